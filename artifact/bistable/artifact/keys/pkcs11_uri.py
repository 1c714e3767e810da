"""PKCS#11 URIs (RFC 7512): which key on which token, through which module, and where its PIN is."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote, unquote_to_bytes

from bistable.artifact.errors import KeyUnusableError, RequestError

SCHEME: Final = "pkcs11:"
PIN_FILE_SIZE: Final = 4096
"""Largest PIN file that is read, in bytes; tokens take up to 255."""

PATH_ATTRIBUTES: Final = frozenset({"token", "serial", "manufacturer", "model", "object", "id", "type"})
_BAD_ESCAPE: Final = re.compile("%(?![0-9A-Fa-f]{2})")

QUERY_ATTRIBUTES: Final = frozenset({"module-path", "pin-value", "pin-source"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Pkcs11Uri:
    """A parsed URI; attributes that it does not name are None. `text` is the URI without its query, so without PIN."""

    text: str
    token: str | None = None
    serial: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    label: str | None = None
    key_id: bytes | None = None
    module_path: str | None = None
    pin_value: str | None = field(default=None, repr=False)
    pin_source: str | None = None

    def pin(self) -> str | None:
        """Return the PIN that the URI holds or points to, or None if it names none.

        Raises:
            KeyUnusableError: the file cannot be read or is empty.
        """
        if self.pin_source is None:
            return self.pin_value
        path = self.pin_source.removeprefix("file://").removeprefix("file:")
        try:
            with Path(path).open("rb") as file:
                pin = file.read(PIN_FILE_SIZE).decode("utf-8").rstrip("\r\n")
        except OSError as e:
            raise KeyUnusableError(f"cannot read the PIN file {path}: {e.strerror or e}") from e
        except UnicodeDecodeError as e:
            raise KeyUnusableError(f"cannot read the PIN file {path}: it is not text") from e
        if not pin:
            raise KeyUnusableError(f"cannot read the PIN file {path}: it is empty")
        return pin


def parse_pkcs11_uri(uri: str) -> Pkcs11Uri:
    """Parse a URI that names a private key.

    An attribute that is not understood is an error, as RFC 7512 wants it for the path: ignoring one could select
    another key than the one that was meant.

    Raises:
        RequestError: malformed, an unknown attribute, one given twice, or a type other than private.
    """
    if not uri.lower().startswith(SCHEME):
        raise RequestError("cannot use this PKCS#11 URI: it does not start with pkcs11:")
    if _BAD_ESCAPE.search(uri):
        raise RequestError("cannot use this PKCS#11 URI: a % in it is not followed by two hex digits")
    text, _, query = uri.partition("?")
    path = _attributes(text[len(SCHEME) :].split(";"), PATH_ATTRIBUTES)
    options = _attributes(query.split("&"), QUERY_ATTRIBUTES)
    if path.get("type", "private") != "private":
        raise RequestError(f"cannot sign with an object of the type {path['type']}", hint="write type=private")
    if "pin-value" in options and "pin-source" in options:
        raise RequestError("cannot use this PKCS#11 URI: it has both pin-value and pin-source")
    source = _decode(options.get("pin-source"))
    if source is not None and not source.startswith(("/", "file:/")):
        raise RequestError(
            "cannot use this PKCS#11 URI: its pin-source is not a file", hint="write pin-source=file:/path/to/the/pin"
        )
    return Pkcs11Uri(
        text=text,
        token=_decode(path.get("token")),
        serial=_decode(path.get("serial")),
        manufacturer=_decode(path.get("manufacturer")),
        model=_decode(path.get("model")),
        label=_decode(path.get("object")),
        key_id=unquote_to_bytes(path["id"]) if "id" in path else None,
        module_path=_decode(options.get("module-path")),
        pin_value=_decode(options.get("pin-value")),
        pin_source=source,
    )


def _attributes(parts: list[str], known: frozenset[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, parts):
        name, equals, value = part.partition("=")
        if name not in known or not equals:
            # Only the name goes into the message: the value may be a PIN.
            raise RequestError(
                f"cannot use this PKCS#11 URI: {name!r} is not understood", hint=f"known are {', '.join(sorted(known))}"
            )
        if name in found:
            raise RequestError(f"cannot use this PKCS#11 URI: {name} is there twice")
        found[name] = value
    return found


def _decode(value: str | None) -> str | None:
    try:
        return None if value is None else unquote(value, errors="strict")
    except UnicodeDecodeError as e:
        raise RequestError("cannot use this PKCS#11 URI: an attribute other than id is not UTF-8") from e
