"""Our environment for GRUB, read and written in place: on a raw partition, or in two files that keep their blocks.

A write is one call over 1024 bytes, never beyond what is there, followed by a flush; then it is read back past the page
cache. If neither copy is valid, `read` says what the boot script then goes by, and the next change makes a valid copy
again. That is done only where nothing else lies around the copies: a setting that names another partition must not
cost that partition its content.
"""

import fcntl
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final, Protocol

from bistable.client.boot.grub.block import SIZE, BadBlockError
from bistable.client.boot.grub.copies import LOST, Copy, current, next_write, parse_copy, valid_copy
from bistable.client.boot.grub.lock import take_lock
from bistable.client.boot.places import Place
from bistable.client.errors import BootError

BLKFLSBUF: Final = 0x1261
"""linux/fs.h, _IO(0x12, 97): write out and forget what the page cache holds of a block device."""

LOOKED_AT: Final = 1024 * 1024
"""Bytes from the start of a partition in which every file system and every RAID leaves a sign of itself."""

DIRECTORY: Final = range(16 * 2048, 21 * 2048)
DIRECTORY_SIGNS: Final[Mapping[int, bytes]] = {0: b"\x01CD001\x01", 40: b"BOOT_ENV "}
"""GRUB finds the blocks as files of an ISO 9660 file system that nobody else has a use for: where it is, and what it
holds at which of its bytes."""

SETTING: Final = "boot.grub-copies"


class Blocks(Protocol):
    """Where the two copies are. All calls raise BootError."""

    def read(self) -> tuple[bytes, bytes]:
        """Return both, as they are on the storage; a place that is too short gives less."""

    def write(self, number: int, data: bytes) -> None:
        """Write one, durably."""

    def alone(self) -> bool:
        """Return whether nothing else is near them."""

    def locked(self) -> AbstractContextManager[None]:
        """Keep other processes of ours away inside the block."""


class GrubEnvironment:
    """The variables in two copies. Others than those of the scheme cannot be set."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks

    @property
    def where(self) -> str:
        """The setting."""
        return f"the setting {SETTING}"

    def read(self) -> Mapping[str, str]:
        """Return the variables.

        Raises:
            BootError: they cannot be read; neither copy is valid, and something else is where they should be.
        """
        return self._newest(self._copies()).variables

    def write(self, values: Mapping[str, str]) -> None:
        """Set all these variables at once, and read them back.

        Raises:
            BootError: they cannot be set, or are not what was set.
        """
        with self._blocks.locked():
            copies = self._copies()
            # Not made up where it is somebody else's.
            self._newest(copies)
            try:
                number, data = next_write(*copies, values)
            except BadBlockError as e:
                raise BootError(f"cannot change the boot loader's environment: {e}") from e
            self._blocks.write(number, data)
            if self._blocks.read()[number] != data:
                raise BootError(
                    "cannot change the boot loader's environment: it does not read as it was written",
                    hint="the storage fails: look at the kernel's log (dmesg)",
                )
        if values:
            from logging import getLogger  # a quick question, which only reads, does without

            shown = " ".join(f"{name}={value!r}" for name, value in values.items())
            getLogger(__name__).info("set in the boot loader's environment: %s", shown)

    def probe(self) -> None:
        """Write the same values as the next copy: all but a number stays as it is.

        Raises:
            BootError: that does not work.
        """
        self.write({})

    def faults(self) -> tuple[str, ...]:
        """Return what is wrong with copies that are not valid.

        Raises:
            BootError: they cannot be read.
        """
        found = []
        for number, data in enumerate(self._blocks.read(), start=1):
            try:
                parse_copy(data)
            except BadBlockError as e:
                found.append(f"copy {number} is not valid: {e}")
        return tuple(found)

    def _copies(self) -> tuple[Copy | None, Copy | None]:
        first, second = self._blocks.read()
        return valid_copy(first), valid_copy(second)

    def _newest(self, copies: tuple[Copy | None, Copy | None]) -> Copy:
        number = current(*copies)
        found = None if number is None else copies[number]
        if found is not None:
            return found
        if not self._blocks.alone():
            raise BootError(
                "cannot read the boot loader's environment: neither copy is valid, and something else is there",
                hint=f"check that {self.where} names the place where the boot script keeps its environment",
            )
        return Copy(sequence=0, variables=LOST)


class RawBlocks:
    """Two copies at places of devices or files; whoever else has the lock is waited for, up to `timeout` seconds."""

    def __init__(self, first: Place, second: Place, *, timeout: float) -> None:
        if first == second or (first.path == second.path and abs(first.offset - second.offset) < SIZE):
            raise BootError(
                f"cannot use {first} and {second} for two copies of the environment: they overlap",
                hint=f"correct {SETTING}",
            )
        self._places, self._timeout = (first, second), timeout

    def read(self) -> tuple[bytes, bytes]:
        """Return both copies, as they are on the storage."""
        first, second = (_read(place, SIZE, place.offset) for place in self._places)
        return first, second

    def write(self, number: int, data: bytes) -> None:
        """Write one copy in place, and flush."""
        place = self._places[number]
        with _opened(place, os.O_RDWR) as file:
            if os.lseek(file, 0, os.SEEK_END) < place.offset + len(data):
                # A file that grows gets blocks that the boot loader may not find yet after a power cut.
                raise BootError(
                    f"cannot write {place}: it ends before that",
                    hint="make it as it was made when the device was set up; see docs/how-to/grub-on-the-device.md",
                )
            if os.pwrite(file, data, place.offset) != len(data):
                raise BootError(f"cannot write {place}: only a part was written")
            os.fsync(file)

    def alone(self) -> bool:
        """Return whether all that is around the copies is blank."""
        return all(self._blank_around(path) for path in dict.fromkeys(place.path for place in self._places))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold a lock on the first place; it ends with the process, however it ends."""
        with _opened(self._places[0], os.O_RDONLY) as file:
            take_lock(file, timeout=self._timeout, name=self._places[0].path)
            yield

    def _blank_around(self, path: Path) -> bool:
        ours = [range(place.offset, place.offset + SIZE) for place in self._places if place.path == path]
        found = bytearray(_read(Place(path=path), LOOKED_AT, 0))
        if all(found.startswith(sign, DIRECTORY.start + at) for at, sign in DIRECTORY_SIGNS.items()):
            ours.append(DIRECTORY)
        for part in sorted(ours, key=lambda part: -part.start):
            del found[part.start : part.stop]
        return not found or (found[0] in {0x00, 0xFF} and found.count(found[0]) == len(found))


@contextmanager
def _opened(place: Place, flags: int) -> Iterator[int]:
    """Give a file descriptor, and turn what the kernel says inside the block into our own words."""
    verb = "change" if flags & os.O_RDWR else "read"
    try:
        file = os.open(place.path, flags | os.O_CLOEXEC)
        try:
            yield file
        finally:
            os.close(file)
    except OSError as e:
        raise BootError(
            f"cannot {verb} the boot loader's environment: {place.path}: {e.strerror or e}",
            hint=f"check {SETTING}, and that this is run as root",
        ) from e


def _read(place: Place, size: int, offset: int) -> bytes:
    with _opened(place, os.O_RDONLY) as file:
        if stat.S_ISBLK(os.fstat(file).st_mode):
            # Without the right to do so, what we wrote is in the cache as it should be on the storage.
            with suppress(OSError):
                fcntl.ioctl(file, BLKFLSBUF)
        else:
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        found = bytearray()
        while len(found) < size and (piece := os.pread(file, size - len(found), offset + len(found))):
            found += piece
        return bytes(found)
