"""The kinds of values a setting can have: what is accepted, and how that is said to a person."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final, Generic, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")
E = TypeVar("E", bound=Enum)

HIDDEN: Final = "(not shown)"
PASSWORD: Final = re.compile(r"//[^/@]*@")
"""In an address."""

PKCS11: Final = "pkcs11:"
LARGEST: Final = 2**31 - 1
"""The client in Go takes what an int of a 32 bit device takes."""


class WrongValueError(Exception):
    """The value is not of the form that the kind names. Carries nothing of it: it may be secret."""


class LogLevel(Enum):
    """How much the log says; every level includes those before it."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    DEBUG = "debug"


class BootBackend(Enum):
    """What talks to the boot loader."""

    AUTO = "auto"
    UBOOT = "uboot"
    GRUB = "grub"
    SYSTEMD_BOOT = "systemd-boot"
    EFI = "efi"
    RASPBERRY_PI = "raspberry-pi"
    CUSTOM = "custom"
    SIMULATED = "simulated"


class BootScheme(Enum):
    """Which variables of the boot environment mean what."""

    AUTO = "auto"
    MENDER = "mender"
    SLOTS = "slots"


class WhenOffline(Enum):
    """What becomes of a server's pause when the server cannot be asked any more."""

    STAY = "stay"
    CONTINUE = "continue"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Secret:
    """A text that shows itself in no message and no log; what needs it asks for `value`."""

    value: str

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[T]):
    """What values are accepted: `read` gives the typed value or raises WrongValueError, `form` says what is right."""

    form: str
    read: Callable[[object], T]
    many: bool = False
    """A list; where a file has a single text it is a list of one."""
    secret: bool = False


def _text(value: object) -> str:
    if not isinstance(value, str) or not value or "\x00" in value:
        raise WrongValueError
    return value


def _path(value: object) -> Path:
    text = _text(value)
    if not text.startswith("/"):
        raise WrongValueError
    return Path(text)


def _device(value: object) -> Path:
    # UBI volumes are named as the kernel names them: `ubi0_0` is /dev/ubi0_0.
    return Path("/dev") / _text(value) if "/" not in _text(value) else _path(value)


def _key(value: object) -> Path:
    return Path(_text(value)) if _text(value).startswith(PKCS11) else _path(value)


def _program(value: object) -> str:
    text = _text(value)
    if "/" in text and not text.startswith("/"):
        raise WrongValueError
    return text


def _url(value: object) -> str:
    text = _text(value)
    try:
        parts = urlsplit(text)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        sound = False
    if not sound or any(character <= " " for character in text):
        raise WrongValueError
    return text.rstrip("/")


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise WrongValueError
    return value


def _secret(value: object) -> Secret:
    return Secret(_text(value))


BOOLEAN: Final = Kind(form="true or false", read=_boolean)
TEXT: Final = Kind(form="a text that is not empty", read=_text)
PATH: Final = Kind(form="an absolute path", read=_path)
KEY: Final = Kind(form="the absolute path of a key, or a pkcs11: URI", read=_key)
DEVICE: Final = Kind(form="the path of a device", read=_device)
PROGRAM: Final = Kind(form="a program: its name or its absolute path", read=_program)
SECRET: Final = Kind(form="a text that is not empty", read=_secret, secret=True)


def number(least: int, most: int = LARGEST) -> Kind[int]:
    """Return the kind of a whole number between `least` and `most`."""

    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise WrongValueError
        return value

    limits = f"from {least} to {most}" if most != LARGEST else f"{least} or more"
    return Kind(form=f"a whole number, {limits}", read=read)


def seconds(least: int) -> Kind[int]:
    """Return the kind of a time in whole seconds."""
    return Kind(form=f"whole seconds, {least} or more", read=number(least).read)


def several(kind: Kind[T], form: str) -> Kind[tuple[T, ...]]:
    """Return the kind of a list."""

    def read(value: object) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise WrongValueError
        # Twice the same says nothing new.
        return tuple(dict.fromkeys(kind.read(item) for item in value))

    return Kind(form=form, read=read, many=True, secret=kind.secret)


def _command(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise WrongValueError
    return tuple(_text(word) if index else _program(word) for index, word in enumerate(value))


COMMAND: Final = Kind(
    form='a list of a program and its arguments, such as ["/usr/bin/signer", "--slot", "0"]', read=_command, many=True
)
PATHS: Final = several(PATH, "a list of absolute paths")
TEXTS: Final = several(TEXT, "a list of texts")
NUMBERS: Final = several(number(1), "a list of whole numbers")
# An address may carry a password.
URLS: Final = several(Kind(form="", read=_url, secret=True), "a list of addresses, such as https://updates.example.com")


def choice(enum: type[E], other_names: dict[str, E] | None = None) -> Kind[E]:
    """Return the kind of one of the values of `enum`; `other_names` are taken, too, but not recommended."""
    names: dict[str, E] = {**{str(member.value): member for member in enum}, **(other_names or {})}

    def read(value: object) -> E:
        if not isinstance(value, str) or value.lower() not in names:
            raise WrongValueError
        return names[value.lower()]

    *first, last = (f'"{member.value}"' for member in enum)
    return Kind(form=f"{', '.join(first)} or {last}", read=read)


LOG_LEVEL: Final = choice(
    LogLevel,
    {"panic": LogLevel.ERROR, "fatal": LogLevel.ERROR, "warn": LogLevel.WARNING, "trace": LogLevel.DEBUG},
)
BOOT_BACKEND: Final = choice(BootBackend)
BOOT_SCHEME: Final = choice(BootScheme)
WHEN_OFFLINE: Final = choice(WhenOffline)


def shown(value: Any) -> str:
    """Return a value as it is written in TOML, without what is secret in it; an empty text if there is none."""
    if value is None:
        return ""
    if isinstance(value, Secret):
        return HIDDEN
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(shown(item) for item in value)}]"
    if isinstance(value, int):
        return str(value)
    text = str(value.value if isinstance(value, Enum) else value)
    text = PASSWORD.sub("//…@", text)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
