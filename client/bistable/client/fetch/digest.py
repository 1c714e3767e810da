"""What was read so far, as digests: enough to tell whether other bytes are the same, and from where on they are not."""

import hashlib
from dataclasses import dataclass
from typing import Final, Self

from bistable.artifact.limits import KIB, MIB

MARK: Final = MIB
"""Every so many bytes the digest up to there is kept, so that a difference shows early and not at the end."""

TAIL: Final = 4 * KIB
"""Last bytes that are kept as they are: asked for again where a body is continued, they must come again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefix:
    """The digests (SHA-256) of the first `position` bytes of something."""

    position: int
    digest: bytes
    marks: tuple[bytes, ...]
    """Of the first MARK bytes, the first 2 * MARK bytes and so on."""


class RunningDigest:
    """Digests what passes by."""

    def __init__(self) -> None:
        self.position = 0
        self.tail = b""
        self._hash = hashlib.sha256()
        self._marks: list[bytes] = []

    def update(self, data: bytes) -> None:
        """Take the next bytes."""
        view = memoryview(data)
        while view:
            part = view[: MARK - self.position % MARK]
            self._hash.update(part)
            self.position += len(part)
            view = view[len(part) :]
            if self.position % MARK == 0:
                self._marks.append(self._hash.digest())
        self.tail = (self.tail + data[-TAIL:])[-TAIL:]

    def prefix(self) -> Prefix:
        """Return the digests so far."""
        return Prefix(position=self.position, digest=self._hash.digest(), marks=tuple(self._marks))

    def agrees(self, other: Prefix) -> bool:
        """Return whether what is known of the bytes so far is also true of `other`, which has at least as many."""
        whole = self.position // MARK
        if whole and self._marks[-1] != other.marks[whole - 1]:
            return False
        return self.position != other.position or self._hash.digest() == other.digest

    def copy(self) -> Self:
        """Return one that goes on from here by itself."""
        twin = type(self)()
        twin.position, twin.tail, twin._hash, twin._marks = (
            self.position,
            self.tail,
            self._hash.copy(),
            list(self._marks),
        )
        return twin
