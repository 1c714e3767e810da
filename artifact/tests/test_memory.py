"""Memory does not grow with what passes by: measured as the peak of a fresh process. FORMAT.md §10."""

import hashlib
import lzma
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest
from forge import (
    END,
    KEYS,
    Forge,
    compress,
    encode,
    header_info,
    module,
    tar,
    tar_header,
    tar_member,
    type_info,
    zstd_encoder,
)

MIB = 1 << 20
VERIFY_PEAK = 48 * MIB
WRITE_PEAK = 96 * MIB
HEADER_PEAK = 128 * MIB
"""A header of 64 MiB stored and 64 MiB expanded is held in memory, before and after it was taken apart."""

READ = """
import sys
from pathlib import Path
from bistable.artifact import BistableError, Policy, read_artifact, read_verifiers
policy = Policy(verifiers=read_verifiers(Path(sys.argv[2])) if len(sys.argv) > 2 else ())
try:
    with open(sys.argv[1], "rb") as file:
        read_artifact(file, policy)
    print("accepted")
except BistableError as error:
    print(error.rule)
"""

WRITE = """
import io, random, sys
from pathlib import Path
from bistable.artifact import Codec, InputStream, Options, rootfs_request, write_artifact
size, kind, codec, target = int(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4])
class Source:
    left = size
    random = random.Random(0)
    def read(self, count):
        count = min(count, self.left)
        self.left -= count
        return bytes(count) if kind == "zeros" else self.random.randbytes(count)
request = rootfs_request(InputStream(name="image", source=Source()), name="n", device_types=["d"])
write_artifact(target, request, Options(codec=Codec.parse(codec)))
print("written")
"""

PEAK = """
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="this kernel does not tell a process's peak"
)


def peak(script: str, *arguments: object) -> tuple[str, int]:
    """Run a script and return what it printed and its peak resident size in bytes."""
    command = [sys.executable, "-c", script + PEAK, *map(str, arguments)]
    said, kib = subprocess.run(command, capture_output=True, check=True, text=True, timeout=600).stdout.split()
    return said, int(kib) * 1024


class Encoder(Protocol):
    """What compresses piece by piece."""

    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


class Plain:
    """No compression."""

    def compress(self, data: bytes, /) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


ENCODERS: dict[str, Callable[[], Encoder]] = {
    "": Plain,
    ".gz": lambda: zlib.compressobj(1, zlib.DEFLATED, 31),
    ".xz": lambda: lzma.LZMACompressor(preset=0),
    ".zst": zstd_encoder,
}


def zeros(size: int) -> Iterator[bytes]:
    chunk = bytes(MIB)
    for start in range(0, size, MIB):
        yield chunk[: min(MIB, size - start)]


def bomb(path: Path, kind: str, size: int) -> None:
    """Write a signed artifact whose one file is `size` zeros."""
    digest = hashlib.sha256()
    encoder = ENCODERS[kind]()
    parts = [encoder.compress(tar_header("image", size_field=b"\x80" + size.to_bytes(11, "big")))]
    for chunk in zeros(size):
        digest.update(chunk)
        parts.append(encoder.compress(chunk))
    parts += [encoder.compress(bytes(-size % 512) + END), encoder.flush()]
    info, types = header_info("rootfs-image"), type_info()
    made = Forge(kind=kind, info=info, type_info=types, files=[], key="ec256")
    made.lines = lambda lines: [(digest.hexdigest(), "data/0000/image"), *lines]
    made.data = b"".join(parts)
    path.write_bytes(made.build())


@pytest.mark.parametrize("kind", [".gz", ".xz", ".zst"])
@pytest.mark.parametrize("size", [200 * MIB, pytest.param(2048 * MIB, marks=pytest.mark.slow)])
def test_a_decompression_bomb_is_verified_in_little_memory(kind: str, size: int, tmp_path: Path) -> None:
    bomb(tmp_path / "bomb", kind, size)
    assert (tmp_path / "bomb").stat().st_size < size // 50
    said, used = peak(READ, tmp_path / "bomb", KEYS / "ec256.pub")
    assert said == "accepted"
    assert used < VERIFY_PEAK


def test_a_large_file_that_is_not_compressed_is_verified_in_little_memory(tmp_path: Path) -> None:
    bomb(tmp_path / "large", "", 200 * MIB)
    said, used = peak(READ, tmp_path / "large", KEYS / "ec256.pub")
    assert (said, used < VERIFY_PEAK) == ("accepted", True)


def test_ten_thousand_files_are_verified_in_little_memory(tmp_path: Path) -> None:
    files = [(f"file-{n}", b"") for n in range(10_000)]
    (tmp_path / "many").write_bytes(module(*files, key="ec256").build())
    said, used = peak(READ, tmp_path / "many", KEYS / "ec256.pub")
    assert (said, used < VERIFY_PEAK + 32 * MIB) == ("accepted", True)


def extensions(count: int) -> bytes:
    """Return an archive that never gets to its first member."""
    records = [b"%d %s\n" % (len(b"20 k%011d=vvvvvv\n" % n), b"k%011d=vvvvvv" % n) for n in range(3000)]
    return tar_member("x", b"".join(records), flag=b"x") * count


def directories(count: int) -> bytes:
    return tar(("header-info", encode(header_info())))[: -len(END)] + tar_header("scripts/", flag=b"5") * count


HOSTILE_HEADERS: dict[str, Callable[[], bytes]] = {
    "extension headers without end": lambda: extensions(2000),
    "directories without end": lambda: directories(200_000),
    "zeros without end": lambda: END + bytes(100 * MIB),
    "a script of 60 MiB": lambda: tar(
        ("header-info", encode(header_info())), ("scripts/ArtifactInstall_Enter_00", bytes(60 * MIB))
    ),
    "a document of 60 MiB": lambda: tar(("header-info", b" " * (60 * MIB))),
    "a document of empty lists": lambda: tar(("header-info", b'{"a":[' + b"[]," * 340_000 + b"[]]}")),
    "a document of keys": lambda: tar(("header-info", encode({f"{n}": {} for n in range(90_000)}))),
}


@pytest.mark.parametrize("name", HOSTILE_HEADERS)
def test_a_hostile_header_is_refused_in_bounded_memory(name: str, tmp_path: Path) -> None:
    made = Forge(kind=".zst", header=compress(".zst", HOSTILE_HEADERS[name]()))
    (tmp_path / "hostile").write_bytes(made.build())
    said, used = peak(READ, tmp_path / "hostile")
    assert said != "accepted"
    assert used < HEADER_PEAK


@pytest.mark.parametrize("kind", ["zeros", "random"])
@pytest.mark.parametrize(
    ("size", "codec"),
    [
        (200 * MIB, "zstd"),
        (200 * MIB, "gzip"),
        (200 * MIB, "none"),
        pytest.param(1024 * MIB, "zstd", marks=pytest.mark.slow),
        pytest.param(1024 * MIB, "gzip", marks=pytest.mark.slow),
    ],
)
def test_any_size_is_written_in_little_memory(size: int, codec: str, kind: str, tmp_path: Path) -> None:
    said, used = peak(WRITE, size, kind, codec, tmp_path / "out")
    assert said == "written"
    assert used < WRITE_PEAK
