"""The key that a device logs in with: by it the server knows the device again."""

import base64
import binascii
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from bistable.artifact.errors import BistableError, KeyUnusableError
from bistable.client.errors import ConfigError, ProgramError, StoreError
from bistable.client.files import make_directory, replacing

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

SIGNER_SECONDS: Final = 60.0
RSA_BITS: Final = 2048
"""The least that is taken; devices of the Mender client have 3072."""

PKCS11: Final = "pkcs11:"
OTHERS: Final = 0o077

_log = logging.getLogger(__name__)


class DeviceKey(Protocol):
    """A private key, wherever it lies."""

    @property
    def public_pem(self) -> str:
        """Its public half as the server wants it: PEM, SubjectPublicKeyInfo."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the signature as the server wants it.

        RSA: PKCS#1 v1.5 over SHA-256; P-256: DER over SHA-256; Ed25519: over the message itself.

        Raises:
            ConfigError: the key cannot sign.
        """
        ...


class FileKey:
    """A private key in memory."""

    def __init__(self, key: "PrivateKeyTypes", name: str) -> None:
        self._key, self._name = key, name
        public = key.public_key()
        self._public = _checked(public, name)
        self.public_pem = _pem(public)

    def sign(self, message: bytes) -> bytes:
        """Return the signature."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

        match self._key:
            case rsa.RSAPrivateKey():
                signature = self._key.sign(message, padding.PKCS1v15(), hashes.SHA256())
            case ec.EllipticCurvePrivateKey():
                signature = self._key.sign(message, ec.ECDSA(hashes.SHA256()))
            case _:
                assert isinstance(self._key, ed25519.Ed25519PrivateKey)
                signature = self._key.sign(message)
        # A damaged key makes signatures that give it away.
        if not _verifies(self._public, signature, message):
            raise ConfigError(f"cannot sign with {self._name}: the key is damaged")
        return signature


class CommandKey:
    """A private key that only a program can use: in a token, a secure element, a TPM.

    The program gets the message on its standard input and writes the signature: as it is or in base64, that of P-256
    in DER or as two numbers side by side.
    """

    def __init__(self, command: Sequence[str], public: bytes, name: str) -> None:
        self._command = tuple(command)
        self._public = _checked(_open_public(public, name), name)
        self.public_pem = _pem(self._public)

    def sign(self, message: bytes) -> bytes:
        """Return the signature."""
        from bistable.client.run import run

        try:
            # What tells the program where its token is comes with the environment of the service.
            written = run(self._command, timeout=SIGNER_SECONDS, stdin=message, inherit=True).stdout
        except ProgramError as e:
            raise ConfigError(f"cannot sign a login: {e.what}", hint=e.hint) from e
        for signature in _readings(written):
            if _verifies(self._public, signature, message):
                return signature
        raise ConfigError(
            f"cannot sign a login: what {self._command[0]} writes is no signature by server.auth-public-key",
            hint="RSA: PKCS#1 v1.5 with SHA-256; P-256: ECDSA with SHA-256; Ed25519: over the message itself",
        )


def find_key(own: Path, *, chosen: Path | None = None, existing: Path | None = None) -> DeviceKey:
    """Return the device's key.

    `chosen` is the one that the settings name; it must be there. Without it `own` is used, or `existing` (of a client
    that the device had before: with another key it would be another device); if there is neither, `own` is made.

    Raises:
        ConfigError: a key cannot be used.
        StoreError: it cannot be made durable.
    """
    if chosen is not None:
        if str(chosen).startswith(PKCS11):
            raise ConfigError(
                "cannot use server.auth-key: it is in a token", hint="set server.auth-signer to a program that uses it"
            )
        return read_key(chosen)
    for path in (own, existing):
        if path is not None and path.exists():
            return read_key(path)
    return make_key(own)


def read_key(path: Path) -> FileKey:
    """Read a private key (PEM; PKCS#1, SEC1 or PKCS#8).

    Raises:
        ConfigError: it cannot be read or used.
    """
    from bistable.artifact.keys.load import require_private
    from bistable.artifact.keys.pem import read_key_file, split_pem
    from bistable.artifact.keys.private import open_to_sign

    origin = str(path)
    try:
        block = require_private(split_pem(read_key_file(path), origin=origin), origin)
        key = FileKey(open_to_sign(block, origin=origin, passphrase=None), origin)
    except KeyUnusableError as e:
        raise ConfigError(e.what, hint=e.hint) from e
    if path.stat().st_mode & OTHERS:
        _log.info("%s can be read by others than its owner: whoever has it can pass for this device", path)
    return key


def make_key(path: Path) -> FileKey:
    """Make a key (Ed25519) that nobody else can read, and return it once it is durable.

    Raises:
        StoreError: it cannot be written.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = Ed25519PrivateKey.generate()
    try:
        make_directory(path.parent)
        with replacing(path) as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    except (OSError, BistableError) as e:
        raise StoreError(f"cannot keep a new key in {path}: {e}") from e
    _log.info("made a new key for this device: %s", path)
    return FileKey(key, str(path))


def command_key(command: Sequence[str], public_key: Path | None) -> CommandKey:
    """Return the key that a program signs with.

    Raises:
        ConfigError: its public half is missing or cannot be used.
    """
    from bistable.artifact.keys.pem import read_key_file

    if public_key is None:
        raise ConfigError(
            "cannot use server.auth-signer: its public key is missing", hint="set server.auth-public-key, too"
        )
    try:
        return CommandKey(command, read_key_file(public_key), str(public_key))
    except KeyUnusableError as e:
        raise ConfigError(e.what, hint=e.hint) from e


def _open_public(pem: bytes, name: str) -> "PublicKeyTypes":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        return load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as e:
        raise ConfigError(f"cannot use {name}: it is not a public key in PEM") from e


def _checked(key: "PublicKeyTypes", name: str) -> Any:
    """Return the key if servers know what to do with it."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    match key:
        case ed25519.Ed25519PublicKey():
            return key
        case ec.EllipticCurvePublicKey() if isinstance(key.curve, ec.SECP256R1):
            return key
        case rsa.RSAPublicKey() if key.key_size >= RSA_BITS:
            return key
        case _:
            raise ConfigError(
                f"cannot log in with {name}: it must be an Ed25519, P-256 or RSA key of at least {RSA_BITS} bits"
            )


def _pem(key: "PublicKeyTypes") -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _verifies(key: Any, signature: bytes, message: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

    try:
        match key:
            case rsa.RSAPublicKey():
                key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
            case ec.EllipticCurvePublicKey():
                key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
            case _:
                key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _readings(written: bytes) -> Iterator[bytes]:
    """Yield what the output of a signing program may mean."""
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    forms = [written]
    with suppress(binascii.Error, ValueError):
        forms.append(base64.b64decode(b"".join(written.split()), validate=True))
    for form in forms:
        yield form
        half = len(form) // 2
        if form and len(form) % 2 == 0:
            numbers = int.from_bytes(form[:half], "big"), int.from_bytes(form[half:], "big")
            yield encode_dss_signature(*numbers)
