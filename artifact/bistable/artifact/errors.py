"""What can go wrong, by cause: the artifact, its signature, a key, the machine, or the request.

Every error carries words for a person (`what`, `hint`), a place (`where`) and, when an artifact is at
fault, the identifier of the broken rule (`rule`, listed in docs/reference/rules.md). The class carries the exit code.
"""

from dataclasses import dataclass
from typing import ClassVar, Final

QUOTED: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """A place in an artifact: member name, line (from 1) and byte offset (from 0) inside that member."""

    member: str
    line: int | None = None
    offset: int | None = None

    def __str__(self) -> str:
        parts = [self.member]
        if self.line is not None:
            parts.append(f"line {self.line}")
        if self.offset is not None:
            parts.append(f"byte {self.offset}")
        return ", ".join(parts)


class BistableError(Exception):
    """The root of every error that the library raises on purpose."""

    exit_code: ClassVar[int] = 7

    def __init__(
        self, what: str, *, hint: str | None = None, where: Where | None = None, rule: str | None = None
    ) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint
        self.where = where
        self.rule = rule


class RequestError(BistableError):
    """The caller asked for something that cannot be done or cannot be expressed in the format."""

    exit_code = 2


class RejectedError(BistableError):
    """The artifact is malformed, corrupt or cut off; nothing of it may be used."""

    exit_code = 3


class LimitError(RejectedError):
    """The artifact is larger or more demanding than the reader's limits allow."""


class SignatureError(RejectedError):
    """The artifact's authenticity could not be shown: signature wrong, missing, or by none of the keys."""

    exit_code = 4


class UnsupportedError(RejectedError):
    """The artifact is of a version or kind that this reader does not take."""

    exit_code = 5


class KeyUnusableError(BistableError):
    """A key, certificate or token is missing, unreadable, of an unsupported kind, or its passphrase is wrong."""

    exit_code = 6


class MachineError(BistableError):
    """The machine is at fault: a file, a disk, a tool or the network."""

    exit_code = 7


class PolicyError(BistableError):
    """The artifact is sound, but the chosen policy refuses it (augmented, attestation missing, ...)."""

    exit_code = 8


def quoted(value: object) -> str:
    """Return an untrusted value for a message: in quotes, with escapes for what cannot be printed, and not too long.

    A name out of an artifact must neither send commands to a terminal nor fill a log.
    """
    text = repr(value[:QUOTED] if isinstance(value, str | bytes) else value)
    return text if len(text) <= QUOTED else text[:QUOTED] + "…"
