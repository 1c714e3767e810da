"""What a kernel file is, by its first bytes, and how much memory it takes."""

from collections.abc import Mapping
from typing import Final

_MAGICS: Final[tuple[tuple[int, bytes, str], ...]] = (
    (0x38, b"ARM\x64", "arm64"),
    (0x24, b"\x18\x28\x6f\x01", "armhf"),
    (0x38, b"RSC\x05", "riscv64"),
    (0x202, b"HdrS", "amd64"),
)
"""Offset, bytes, and the architecture whose plain kernel has them there (Documentation/arch of the kernel)."""

_OTHERS: Final[Mapping[bytes, str]] = {
    b"\x27\x05\x19\x56": "a uImage, which only `bootm` takes",
    b"\xd0\x0d\xfe\xed": "a FIT image, which only `bootm` takes",
    b"\x1f\x8b": "compressed with gzip",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"\xfd7zXZ": "compressed with xz",
    b"\x02\x21\x4c\x18": "compressed with lz4",
    b"\x7fELF": "an ELF file",
}
DEVICETREE: Final = b"\xd0\x0d\xfe\xed"
_SIZE: Final = slice(16, 24)
"""Where the kernels of arm64 and riscv64 say how much memory they take."""

_SIZED: Final = frozenset({"arm64", "riscv64"})


def architecture_of(content: bytes) -> str | None:
    """Return for which architecture a plain kernel is, None if it is none."""
    return next((name for at, magic, name in _MAGICS if content[at : at + len(magic)] == magic), None)


def wrapping_of(content: bytes) -> str | None:
    """Return what a file is that is no plain kernel; None: unknown."""
    return next((words for magic, words in _OTHERS.items() if content.startswith(magic)), None)


def memory_of(content: bytes) -> int:
    """Return how many bytes of memory a kernel takes: with what it sets to zero, if its head says that."""
    said = int.from_bytes(content[_SIZE], "little") if architecture_of(content) in _SIZED else 0
    return max(len(content), said)
