"""PEM files as people have them: split into blocks, with an answer for everything that is not PEM.

Nothing in here looks inside a block, so that this module needs no cryptographic library.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bistable.artifact.errors import KeyUnusableError
from bistable.artifact.limits import MIB

KEY_FILE_SIZE: Final = 1 * MIB
"""Largest key, certificate or revocation list file that is read; a larger one was named by mistake."""

PARAMETERS: Final = "EC PARAMETERS"
"""The block that `openssl ecparam -genkey` puts before the key; it adds nothing to a key with a named curve."""

CERTIFICATE: Final = "CERTIFICATE"
PUBLIC_LABELS: Final = frozenset({"PUBLIC KEY", "RSA PUBLIC KEY"})
PRIVATE_LABELS: Final = frozenset({"PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"})

_BLOCK: Final = re.compile(
    rb"-----BEGIN (?P<label>[A-Z0-9][A-Z0-9 ]*)-----[ \t]*\r?\n.*?-----END (?P=label)-----", re.DOTALL
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PemBlock:
    """One block with its BEGIN and END lines."""

    label: str
    text: bytes = field(repr=False)

    @property
    def is_private(self) -> bool:
        """Return whether the block holds a private key of any form, also of one that cannot be used."""
        return self.label.endswith("PRIVATE KEY")

    @property
    def is_encrypted(self) -> bool:
        """Return whether a passphrase is needed: PKCS#8 says so in the label, the older forms in a header line."""
        return self.label == "ENCRYPTED PRIVATE KEY" or b"\nProc-Type: 4,ENCRYPTED" in self.text


def split_pem(data: bytes, *, origin: str) -> tuple[PemBlock, ...]:
    """Return the blocks of `data` in order, without curve parameters; `origin` names the data in errors.

    Raises:
        KeyUnusableError: there is no block with a key, a certificate or a list.
    """
    found = [PemBlock(label=m["label"].decode("ascii"), text=m[0] + b"\n") for m in _BLOCK.finditer(data)]
    blocks = tuple(block for block in found if block.label != PARAMETERS)
    if blocks:
        return blocks
    if found:
        raise KeyUnusableError(
            f"cannot use {origin}: it holds the parameters of a curve and no key",
            hint="make a key with `bistable artifact keys generate`",
        )
    raise _not_pem(data, origin)


def read_key_file(path: Path) -> bytes:
    """Return the content of a key, certificate or list file.

    Raises:
        KeyUnusableError: missing, unreadable, not a file, or too large to be one.
    """
    try:
        with path.open("rb") as file:
            data = file.read(KEY_FILE_SIZE + 1)
    except FileNotFoundError as e:
        raise KeyUnusableError(f"cannot read {path}: no such file", hint="check the path of the key") from e
    except OSError as e:
        raise KeyUnusableError(f"cannot read {path}: {e.strerror or e}") from e
    if len(data) > KEY_FILE_SIZE:
        raise KeyUnusableError(f"cannot read {path}: larger than {KEY_FILE_SIZE // MIB} MiB, so it is no key")
    return data


def _not_pem(data: bytes, origin: str) -> KeyUnusableError:
    if not data.strip():
        return KeyUnusableError(f"cannot use {origin}: it is empty")
    if data.startswith(b"\x30"):
        return KeyUnusableError(
            f"cannot use {origin}: it is binary (DER), and PEM is needed",
            hint="convert it: `openssl pkey -inform DER -in FILE` (public key: -pubin; instead of pkey: x509, crl)",
        )
    if data.startswith((b"ssh-", b"ecdsa-sha2-")):
        return KeyUnusableError(
            f"cannot use {origin}: it is an OpenSSH public key, and PEM is needed",
            hint="convert it: `ssh-keygen -e -m PKCS8 -f FILE`",
        )
    if b"-----BEGIN " in data:
        return KeyUnusableError(f"cannot use {origin}: its PEM block is cut off or damaged")
    return KeyUnusableError(f"cannot use {origin}: it is not PEM", hint="a key in PEM starts with -----BEGIN")
