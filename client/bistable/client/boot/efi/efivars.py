"""Variables of the firmware, through efivarfs: a file for each, its attributes in the first four bytes.

A variable is written with one call, attributes and all. Some have the immutable flag, which keeps `rm -rf` from doing
harm; it is taken away for the change. linux/Documentation/filesystems/efivarfs.rst
"""

import fcntl
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Protocol

from bistable.client.errors import BootError, ClientError
from bistable.client.files import read_limited

EFIVARS: Final = Path("/sys/firmware/efi/efivars")
GLOBAL: Final = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
"""EFI_GLOBAL_VARIABLE: the vendor of Boot####, BootOrder, BootNext and BootCurrent."""

KEPT: Final = 0x7
"""Attributes: kept without power, seen by the firmware, seen by us. UEFI 2.10, section 8.2"""

MOST: Final = 64 * 1024
_ATTRIBUTES: Final = struct.Struct("<I")

FS_IOC_GETFLAGS: Final = 0x80086601 if struct.calcsize("l") == 8 else 0x80046601
FS_IOC_SETFLAGS: Final = 0x40086602 if struct.calcsize("l") == 8 else 0x40046602
FS_IMMUTABLE_FL: Final = 0x10
"""linux/fs.h"""


class Variables(Protocol):
    """Variables of the firmware. All calls raise BootError."""

    def names(self, vendor: str) -> Sequence[str]:
        """Return the names of a vendor's variables."""

    def read(self, name: str, vendor: str) -> bytes | None:
        """Return a variable, None if it does not exist."""

    def write(self, name: str, vendor: str, data: bytes) -> None:
        """Set a variable, and read it back."""

    def remove(self, name: str, vendor: str) -> None:
        """Remove a variable, if it exists."""

    def text(self, name: str, vendor: str) -> str | None:
        """Return a variable that is a text, None if it does not exist."""


class EfiVariables:
    """The variables below a mounted efivarfs."""

    def __init__(self, directory: Path = EFIVARS) -> None:
        self._directory = directory

    def names(self, vendor: str) -> Sequence[str]:
        """Return the names of a vendor's variables."""
        try:
            found = sorted(path.name for path in self._directory.iterdir())
        except OSError as e:
            raise BootError(
                f"cannot read the firmware's variables: {self._directory}: {e.strerror or e}",
                hint="start the device by UEFI, and mount efivarfs there",
            ) from e
        return [name.removesuffix(f"-{vendor}") for name in found if name.endswith(f"-{vendor}")]

    def read(self, name: str, vendor: str) -> bytes | None:
        """Return a variable without its attributes."""
        try:
            found = read_limited(self._path(name, vendor), MOST)
        except FileNotFoundError:
            return None
        except (OSError, ClientError) as e:
            raise BootError(f"cannot read the firmware's variable {name}: {e}") from e
        # An empty file is a variable that was removed behind the kernel's back.
        return found[_ATTRIBUTES.size :] if len(found) > _ATTRIBUTES.size else None

    def write(self, name: str, vendor: str, data: bytes) -> None:
        """Set a variable, and read it back."""
        path = self._path(name, vendor)
        try:
            with _changeable(path):
                file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
                try:
                    os.write(file, _ATTRIBUTES.pack(KEPT) + data)
                finally:
                    os.close(file)
        except OSError as e:
            raise _cannot_change(name, e) from e
        if self.read(name, vendor) != data:
            raise BootError(
                f"cannot change the firmware's variable {name}: it does not read as it was written",
                hint="the firmware does not keep it; look for an update of the firmware",
            )

    def remove(self, name: str, vendor: str) -> None:
        """Remove a variable."""
        path = self._path(name, vendor)
        try:
            with _changeable(path):
                path.unlink(missing_ok=True)
        except OSError as e:
            raise _cannot_change(name, e) from e

    def text(self, name: str, vendor: str) -> str | None:
        """Return a variable that is a text."""
        found = self.read(name, vendor)
        return None if found is None else found.decode("utf-16-le", "replace").rstrip("\0")

    def _path(self, name: str, vendor: str) -> Path:
        return self._directory / f"{name}-{vendor}"


@contextmanager
def _changeable(path: Path) -> Iterator[None]:
    """Take the immutable flag away inside the block, if the file has it; the kernel gives new files theirs."""
    flags = _flags(path)
    if flags & FS_IMMUTABLE_FL:
        _set_flags(path, flags & ~FS_IMMUTABLE_FL)
    yield
    if flags & FS_IMMUTABLE_FL:
        with suppress(OSError):
            _set_flags(path, flags)


def _flags(path: Path) -> int:
    """Return the file's flags; none if there is no such file, or no flags on this file system."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        with suppress(OSError):
            return int.from_bytes(fcntl.ioctl(file, FS_IOC_GETFLAGS, b"\0" * 8)[:4], "little")
        return 0
    finally:
        os.close(file)


def _set_flags(path: Path, flags: int) -> None:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(file, FS_IOC_SETFLAGS, struct.pack("=iI", flags, 0))
    finally:
        os.close(file)


def _cannot_change(name: str, error: OSError) -> BootError:
    return BootError(
        f"cannot change the firmware's variable {name}: {error.strerror or error}",
        hint="run as root, and see that efivarfs is mounted for writing and that the firmware has room for variables",
    )
