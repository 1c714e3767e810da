"""Bounds on what a reader believes before it has proof. FORMAT.md §10.

Every constant bounds a read whose size comes from an untrusted byte. They are far above what real writers make
and far below what would hurt a small device.
"""

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

VERSION_SIZE: Final = 4 * KIB
MANIFEST_SIZE: Final = 1 * MIB
SIGNATURE_SIZE: Final = 16 * KIB
JSON_SIZE: Final = 1 * MIB
JSON_DEPTH: Final = 100
HEADER_STORED_SIZE: Final = 64 * MIB
HEADER_EXPANDED_SIZE: Final = 64 * MIB
SCRIPT_SIZE: Final = 16 * MIB
PAYLOAD_FILES: Final = 10_000
TEXT_BYTES: Final = 256
"""Longest artifact name, group or device type: mender-artifact 4.4 refuses more."""

FILE_NAME_BYTES: Final = 90
"""Longest payload file name a writer may use: the device client holds `data/0000/<name>` in 100 bytes."""

TAR_EXTENSION_SIZE: Final = 64 * KIB
"""PAX header or GNU long name of one member."""

SPARSE_REGIONS: Final = 100_000
SPARSE_SIZE: Final = 16 * KIB * MIB
"""16 GiB, the expanded size of a sparse member: a hole costs the sender nothing, and the reader has to hash it."""

MEMBER_SIZE: Final = 1 << 50
"""1 PiB: a member that claims more is a lie, whatever the stream says."""

WINDOW_LOG: Final = 27
"""zstd window the reader takes (128 MiB), the device client's own limit."""

XZ_MEMORY: Final = 160 * MIB
"""liblzma memory for decoding: a 128 MiB dictionary and its bookkeeping; real writers use at most 64 MiB."""
