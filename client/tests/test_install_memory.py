"""The memory of an installation does not grow with the image: measured as the peak of a fresh process."""

import hashlib
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from client_slots import MIB
from forge import END, Forge, compress, header_info, tar_header, type_info, zstd_encoder

PEAK = 40 * MIB
BLOCKS = 8
"""Different ones, over and over: as if the image were of any content."""

INSTALL = """
import sys
from pathlib import Path
from bistable.artifact.reader import ArtifactReader
from bistable.client.install import RootfsPayload, RootfsSettings
from bistable.client.slots import Slot, SlotPair

class Boot:
    def forbid(self, slot): print("forbidden")
    def activate(self, slot): print("armed")

folder = Path(sys.argv[1])
pair = SlotPair(a=Slot(name="a", device=folder / "a"), b=Slot(name="b", device=folder / "b"))
payload = RootfsPayload(
    pair, origin="a", running=lambda: "a", boot=Boot(), note=folder / "note",
    settings=RootfsSettings(skip_identical=sys.argv[2] == "skip"),
)
with open(folder / "artifact", "rb") as file:
    reader = ArtifactReader(file)
    reader.read_head()
    payload.download(reader.files())
    reader.finish()
payload.install()
payload.arm()
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="this kernel does not tell a process's peak"
)


def blocks(size: int) -> Iterator[bytes]:
    """Yield random blocks, and zeros in between."""
    made = random.Random(0)
    some = [*(made.randbytes(MIB) for _ in range(BLOCKS)), bytes(MIB)]
    for start in range(0, size, MIB):
        yield some[start // MIB % len(some)][: size - start]


def make_artifact(path: Path, kind: str, size: int) -> str:
    """Write an artifact with an image of `size` bytes; return the image's digest."""
    digest = hashlib.sha256()
    encoder = zstd_encoder() if kind == ".zst" else None
    stored = (tar_header("image", size), *blocks(size), bytes(-size % 512) + END)
    parts = [compress(kind, chunk) if encoder is None else encoder.compress(chunk) for chunk in stored]
    for chunk in blocks(size):
        digest.update(chunk)
    if encoder is not None:
        parts.append(encoder.flush())
    made = Forge(kind=kind, info=header_info("rootfs-image"), type_info=type_info(), files=[])
    made.lines = lambda lines: [(digest.hexdigest(), "data/0000/image"), *lines]
    made.data = b"".join(parts)
    path.write_bytes(made.build())
    return digest.hexdigest()


@pytest.mark.parametrize("kind", ["", ".gz", ".zst"])
@pytest.mark.parametrize("size", [100 * MIB + 1, pytest.param(1024 * MIB + 1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("skip", ["skip", "write"])
def test_an_image_of_any_size_is_installed_in_little_memory(kind: str, size: int, skip: str, tmp_path: Path) -> None:
    digest = make_artifact(tmp_path / "artifact", kind, size)
    for name in "ab":
        with (tmp_path / name).open("wb") as file:
            file.truncate(size + MIB)
    command: list[str | Path] = [sys.executable, "-c", INSTALL, tmp_path, skip]
    said = subprocess.run(command, capture_output=True, check=True, text=True, timeout=600).stdout.split()
    assert said[:2] == ["forbidden", "armed"]
    assert int(said[2]) * 1024 < PEAK
    with (tmp_path / "b").open("rb") as file:
        assert hashlib.sha256(file.read(size)).hexdigest() == digest
