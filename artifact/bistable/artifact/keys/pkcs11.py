"""Signing with a key on a PKCS#11 token: smart card, USB token, HSM, or SoftHSM.

The binding, python-pkcs11, is an extra and is loaded on first use.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bistable.artifact.errors import KeyUnusableError, RequestError
from bistable.artifact.keys.pkcs11_uri import Pkcs11Uri, parse_pkcs11_uri
from bistable.artifact.keys.ports import Verifier
from bistable.artifact.keys.signature import confirm

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

_REFUSALS: Final = {
    "PinIncorrect": "the PIN is wrong",
    "PinInvalid": "the PIN is wrong",
    "PinLenRange": "the PIN is wrong",
    "PinLocked": "the PIN is locked after too many wrong ones",
    "PinExpired": "the PIN has expired",
    "UserPinNotInitialized": "the token has no user PIN yet",
    "MechanismInvalid": "the token does not sign the way artifacts need it (CKM_SHA256_RSA_PKCS, CKM_ECDSA)",
    "DeviceRemoved": "the token was removed",
    "TokenNotPresent": "the token was removed",
}
"""Name of the binding's exception -> words; the exceptions themselves carry none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pkcs11Signer:
    """A key on a token; a session is opened and closed for every signature."""

    uri: Pkcs11Uri
    module: str
    pin: str | None = field(repr=False)
    public: Verifier

    @property
    def signature_size(self) -> int:
        """Length of a signature in bytes, as the public key says."""
        return self.public.signature_size

    def sign(self, message: bytes) -> bytes:
        """Let the token sign and return the signature after it was seen to verify.

        Raises:
            KeyUnusableError: the token refused, is gone, or signed with something else than the public key says.
        """
        import pkcs11

        with _opened(self.module, self.uri, self.pin) as session:
            key = _private_key(session, self.uri)
            if key.key_type == pkcs11.KeyType.RSA:
                signature = key.sign(message, mechanism=pkcs11.Mechanism.SHA256_RSA_PKCS)
            else:
                # Few tokens hash for ECDSA; what comes back is r and s side by side, as artifacts have it.
                signature = key.sign(hashlib.sha256(message).digest(), mechanism=pkcs11.Mechanism.ECDSA)
        return confirm(bytes(signature), message, self.public, maker=self.uri.text)


def pkcs11_signer(uri: str, *, module: str | None = None, pin: str | None = None) -> Pkcs11Signer:
    """Find the private key that an RFC 7512 URI names, and its public half on the same token.

    `module`, the path of the token's PKCS#11 library, goes before the URI's module-path; `pin` before its pin-value and
    pin-source. Without a PIN the token is used without logging in.

    Raises:
        RequestError: the URI is malformed, or no module is named.
        KeyUnusableError: the binding, the module, the token or the key is missing, or the PIN is.
    """
    from bistable.artifact.keys.public import make_verifier

    parsed = parse_pkcs11_uri(uri)
    path = module or parsed.module_path
    if path is None:
        raise RequestError(
            f"cannot use {parsed.text}: no PKCS#11 module is named",
            hint="add ?module-path=/usr/lib/softhsm/libsofthsm2.so or the like to the URI",
        )
    known_pin = pin if pin is not None else parsed.pin()
    with _opened(path, parsed, known_pin) as session:
        key = _public_key(session, _private_key(session, parsed), parsed)
    return Pkcs11Signer(uri=parsed, module=path, pin=known_pin, public=make_verifier(key, origin=parsed.text))


@contextmanager
def _opened(module: str, uri: Pkcs11Uri, pin: str | None) -> Iterator[Any]:
    """Open a session on the token, logged in if there is a PIN; say in words what the binding has no words for."""
    try:
        import pkcs11
        from pkcs11.exceptions import PKCS11Error
    except ImportError as e:
        raise KeyUnusableError(
            f"cannot use {uri.text}: the Python package python-pkcs11 is not installed",
            hint="pip install 'bistable[pkcs11]'",
        ) from e
    try:
        library = pkcs11.lib(module)
    except (PKCS11Error, RuntimeError) as e:
        raise KeyUnusableError(f"cannot load the PKCS#11 module {module}: {e}") from e
    try:
        with _token(library, uri).open(user_pin=pin) as session:
            yield session
    except PKCS11Error as e:
        name = type(e).__name__
        raise KeyUnusableError(f"cannot use {uri.text}: {_REFUSALS.get(name, f'the token said {name}')}") from e


def _token(library: Any, uri: Pkcs11Uri) -> Any:
    tokens = list(library.get_tokens())
    wanted = {"label": uri.token, "manufacturer_id": uri.manufacturer, "model": uri.model, "serial": uri.serial}
    found = [t for t in tokens if all(value is None or _text(getattr(t, k)) == value for k, value in wanted.items())]
    if len(found) == 1:
        return found[0]
    labels = ", ".join(sorted(repr(_text(token.label)) for token in tokens)) or "none"
    raise KeyUnusableError(
        f"cannot use {uri.text}: {len(found) or 'no'} token{'s match' if found else ' matches'}",
        hint=f"present are: {labels}",
    )


def _private_key(session: Any, uri: Pkcs11Uri) -> Any:
    from pkcs11 import Attribute, ObjectClass

    keys = list(session.get_objects(_template(ObjectClass.PRIVATE_KEY, uri.key_id, uri.label)))
    if len(keys) == 1:
        return keys[0]
    if keys:
        raise KeyUnusableError(f"cannot use {uri.text}: {len(keys)} private keys match", hint="add id=%01 or the like")
    others = [_text(key.label) for key in session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY})]
    raise KeyUnusableError(
        f"cannot use {uri.text}: no private key matches",
        hint=f"the token shows: {', '.join(map(repr, sorted(others)))}"
        if others
        else "the token shows no private key; without a PIN most tokens hide them",
    )


def _public_key(session: Any, private: Any, uri: Pkcs11Uri) -> "PublicKeyTypes":
    """Find the public half: a public key or a certificate that has the private key's identifier."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_der_public_key
    from pkcs11 import Attribute, KeyType, ObjectClass
    from pkcs11.util.ec import encode_ec_public_key
    from pkcs11.util.rsa import encode_rsa_public_key

    # A key without an identifier is paired by its label; `confirm` would notice a wrong pair at the first signature.
    same = (private.id, None) if private.id else (None, private.label)
    encoders = {KeyType.RSA: encode_rsa_public_key, KeyType.EC: encode_ec_public_key}
    if private.key_type not in encoders:
        raise KeyUnusableError(f"cannot use {uri.text}: it is a key of the kind {private.key_type.name}")
    try:
        for key in list(session.get_objects(_template(ObjectClass.PUBLIC_KEY, *same))):
            return load_der_public_key(encoders[private.key_type](key))
        for certificate in list(session.get_objects(_template(ObjectClass.CERTIFICATE, *same))):
            return x509.load_der_x509_certificate(certificate[Attribute.VALUE]).public_key()
    except ValueError as e:
        raise KeyUnusableError(f"cannot use {uri.text}: its public key on the token is damaged or unknown") from e
    raise KeyUnusableError(
        f"cannot use {uri.text}: the token holds neither a public key nor a certificate with the same id",
        hint="put the public key on the token: `pkcs11-tool --write-object PUBLIC.der --type pubkey --id ID`",
    )


def _template(kind: Any, key_id: bytes | None, label: str | None) -> dict[Any, Any]:
    from pkcs11 import Attribute

    values = {Attribute.CLASS: kind, Attribute.ID: key_id, Attribute.LABEL: label}
    return {name: value for name, value in values.items() if value is not None}


def _text(value: str | bytes) -> str:
    """Labels are text and serial numbers are bytes, and which of them has varied with the binding's releases."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
