"""What a slot is made of: a block device, a file, or a UBI volume; opened for writing by nobody else."""

import errno
import fcntl
import os
import re
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

from bistable.client.errors import SlotError
from bistable.client.install.direct import DirectFile

Ioctl: TypeAlias = Callable[[int, int, bytes], Any]

UBI_VOLUME: Final = re.compile(r"ubi\d+_\d+")

BLKZEROOUT: Final = 0x127F
"""linux/fs.h, _IO(0x12, 127): (start, length) read as zeros afterwards, for which the device may free them."""

SPACE: Final = "@hhqqiI4i"
"""struct space_resv of linux/falloc.h: type, whence, start, length, and three fields without a meaning."""


def write_ioctl(kind: str, number: int, size: int, machine: str) -> int:
    """Return the number of an ioctl that passes `size` bytes in, _IOW(kind, number, size), on this kind of processor.

    linux/asm-generic/ioctl.h; MIPS, PowerPC, SPARC and Alpha have their own place for the direction.
    """
    direction = 4 << 29 if machine.startswith(("mips", "ppc", "sparc", "alpha")) else 1 << 30
    return direction | size << 16 | ord(kind) << 8 | number


class Medium(Protocol):
    """Where an image goes, from its start to its end.

    Raises:
        OSError: from every call.
    """

    @property
    def comparable(self) -> bool:
        """Whether what it holds can be read while it is written."""
        ...

    def begin(self, size: int) -> None:
        """Get ready for an image of `size` bytes; from here on the old content is lost."""
        ...

    def read(self, into: memoryview, offset: int) -> int:
        """Read what it holds now."""
        ...

    def write(self, data: memoryview, offset: int) -> None:
        """Write the next piece."""
        ...

    def zero(self, offset: int, length: int) -> bool:
        """Make whole units read as zeros without writing them; False if that cannot be done here."""
        ...

    def flush(self) -> None:
        """Return when everything written is on the storage."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class BlockMedium:
    """A block device or a regular file."""

    comparable = True

    def __init__(self, path: Path, *, block: bool) -> None:
        # On a block device O_EXCL means: fail if it is mounted, or part of something, in whatever namespace.
        self._file = DirectFile(path, os.O_RDWR | (os.O_EXCL if block else 0))
        self._block = block
        self._can_zero = True

    def begin(self, size: int) -> None:
        """Do nothing: the first write begins."""

    def read(self, into: memoryview, offset: int) -> int:
        """Read what it holds now."""
        return self._file.read(into, offset)

    def write(self, data: memoryview, offset: int) -> None:
        """Write the next piece."""
        self._file.write(data, offset)

    def zero(self, offset: int, length: int) -> bool:
        """Zero by the device's own means, or punch a hole; what a mere discard leaves behind nobody guarantees."""
        if not self._can_zero:
            return False
        request, argument = BLKZEROOUT, struct.pack("@QQ", offset, length)
        if not self._block:
            argument = struct.pack(SPACE, 0, os.SEEK_SET, offset, length, 0, 0, 0, 0, 0, 0)
            # FS_IOC_UNRESVSP64, which is fallocate(2) with FALLOC_FL_PUNCH_HOLE on every file system that has it.
            request = write_ioctl("X", 43, len(argument), os.uname().machine)
        try:
            fcntl.ioctl(self._file.descriptor, request, argument)
        except OSError as e:
            if e.errno not in {errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EPERM}:
                raise
            self._can_zero = False
        return self._can_zero

    def flush(self) -> None:
        """Sync."""
        self._file.sync()

    def close(self) -> None:
        """Close."""
        self._file.close()


class UbiMedium:
    """A UBI volume: the size is announced, then it takes exactly as many bytes, and is whole only with the last.

    linux/Documentation and mtd/ubi-user.h, "UBI volume update". Nothing can be compared or left out.
    """

    comparable = False

    def __init__(self, path: Path, *, ioctl: Ioctl = fcntl.ioctl) -> None:
        self._ioctl = ioctl
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)

    def begin(self, size: int) -> None:
        """Start the update of the volume."""
        self._ioctl(self._descriptor, write_ioctl("O", 0, 8, os.uname().machine), struct.pack("@q", size))

    def read(self, into: memoryview, offset: int) -> int:
        """Read nothing: it cannot be read now."""
        raise OSError(errno.EBUSY, f"cannot read {len(into)} bytes at {offset} during an update")

    def write(self, data: memoryview, offset: int) -> None:  # noqa: ARG002 - a volume takes things in order only
        """Write the next piece."""
        while data:
            data = data[os.write(self._descriptor, data) :]

    def zero(self, offset: int, length: int) -> bool:  # noqa: ARG002 - the same everywhere
        """Return False: every byte has to be written."""
        return False

    def flush(self) -> None:
        """Sync."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Close; a volume that did not get all bytes stays marked as broken."""
        os.close(self._descriptor)


def is_ubi_volume(name: str, mode: int) -> bool:
    """Decide by a device's name (without folder) and mode whether it is a UBI volume."""
    return stat.S_ISCHR(mode) and UBI_VOLUME.fullmatch(name) is not None


def open_medium(device: Path) -> Medium:
    """Open a slot's device for writing, exclusively; nothing is written yet.

    Raises:
        SlotError: there is none, it is in use, or it is nothing that can be a slot.
    """
    try:
        real = device.resolve(strict=True)
        mode = real.stat().st_mode
        if is_ubi_volume(real.name, mode):
            return UbiMedium(real)
        if stat.S_ISBLK(mode) or stat.S_ISREG(mode):
            return BlockMedium(real, block=stat.S_ISBLK(mode))
    except OSError as e:
        raise slot_error(f"open {device} for writing", e) from e
    raise SlotError(
        f"cannot write {device}: it is neither a block device nor a UBI volume nor a file",
        hint="correct the slots in the configuration",
    )


HINTS: Final = {
    errno.ENOENT: "correct the slots in the configuration, or find out why the kernel does not show the device",
    errno.EBUSY: "unmount it, and take it out of whatever uses it (RAID, LVM, dm-crypt)",
    errno.ENOSPC: "the file system that holds this file is full, or the device is smaller than it says",
    errno.EIO: "the storage fails: look at the kernel's log (dmesg), and replace it",
    errno.EROFS: "the device is write-protected: look for a switch, or at the device's ro file in /sys/block",
    errno.EPERM: "the device is write-protected, or this process has no right to write to it",
    errno.EACCES: "run as root",
}
"""What to do next, by what the kernel said."""


def slot_error(what: str, error: OSError) -> SlotError:
    """Return the error for something that could not be done with a slot's device."""
    return SlotError(f"cannot {what}: {error.strerror or error}", hint=HINTS.get(error.errno or 0))
