"""Whatever fails while an artifact is written: the old file stays, nothing else does, and the right one is blamed."""

import io
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from faults import file_size_limit
from forge import KEYS

from bistable.artifact import (
    BistableError,
    Codec,
    InputBytes,
    InputFile,
    InputStream,
    KeyUnusableError,
    MachineError,
    Options,
    PolicyError,
    module_request,
    read_signer,
    rootfs_request,
    write_artifact,
    write_to_file,
    write_to_stream,
)
from bistable.artifact.keys.ports import Verifier
from bistable.artifact.writer.inputs import OpenInput

SIZE = 6 << 20
CODECS = ["none", "gzip:1", "xz:0", "zstd:1"]
OLD = b"the artifact that was there before"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Give a directory with an image and an old artifact, and look at it, and at threads, afterwards."""
    (tmp_path / "image").write_bytes(os.urandom(SIZE))
    (tmp_path / "out").write_bytes(OLD)
    threads = threading.active_count()
    yield tmp_path
    assert {path.name for path in tmp_path.iterdir()} <= {"image", "out"}
    assert (tmp_path / "out").read_bytes() == OLD
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(timeout=60)
    assert threading.active_count() <= threads


def fails(place: Path, error: type[BaseException], match: str, **options: object) -> BaseException:
    request = rootfs_request(place / "image", name="n", device_types=["d"])
    with pytest.raises(error, match=match) as caught:
        write_artifact(place / "out", request, Options(**options))  # type: ignore[arg-type]
    if isinstance(caught.value, BistableError):
        assert caught.value.what.startswith("cannot ")
    return caught.value


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("limit", [100, 5000, 1_000_000, SIZE])
def test_a_disk_that_is_full_leaves_the_old_file_and_blames_the_target(place: Path, limit: int, codec: str) -> None:
    with file_size_limit(limit):
        error = fails(place, MachineError, "cannot write .*/out: File too large", codec=Codec.parse(codec))
    assert "image" not in str(error)


def test_a_full_file_system_leaves_nothing(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], check=False).returncode:
        pytest.skip("this machine lets nobody mount a tmpfs")
    try:
        image = InputBytes(name="image", content=os.urandom(2 << 20))
        with pytest.raises(MachineError, match="No space left on device"):
            write_artifact(small / "out", rootfs_request(image, name="n", device_types=["d"]))
        assert list(small.iterdir()) == []
        assert os.statvfs(small).f_bfree == os.statvfs(small).f_blocks
    finally:
        subprocess.run(["umount", small], check=True)


# --- inputs that change or fail


def changing(change: Callable[[], object]) -> Callable[[int], None]:
    """Return a progress callback that calls `change` once."""
    changes = iter([change])

    def progress(_count: int) -> None:
        for call in changes:
            call()

    return progress


def test_an_input_that_shrinks_is_noticed(place: Path) -> None:
    progress = changing(lambda: os.truncate(place / "image", 2 << 20))
    fails(place, MachineError, "image: it became shorter while it was read", on_progress=progress)


def test_an_input_that_grows_is_noticed(place: Path) -> None:
    progress = changing(lambda: os.truncate(place / "image", SIZE + 1))
    fails(place, MachineError, "image: its size changed while it was read", on_progress=progress)


def test_an_input_that_loses_its_name_while_it_is_read_does_not_matter(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(bytes(SIZE))
    request = rootfs_request(image, name="n", device_types=["d"])
    made = write_artifact(tmp_path / "out", request, Options(on_progress=changing(image.unlink)))
    assert made.files[0].size == SIZE


def test_an_input_that_is_missing_is_named(place: Path) -> None:
    (place / "image").unlink()
    fails(place, MachineError, "cannot read .*/image: No such file or directory")


def test_an_input_that_vanished_between_two_files_is_named(place: Path) -> None:
    second = place / "second"
    second.write_bytes(b"x")
    request = module_request("mod", [place / "image", second], name="n", device_types=["d"])
    with pytest.raises(MachineError, match="second: No such file"):
        write_artifact(place / "out", request, Options(on_progress=changing(second.unlink)))


class Broken:
    """A stream whose cable was pulled."""

    def __init__(self) -> None:
        self._left = 3

    def read(self, size: int, /) -> bytes:
        self._left -= 1
        if not self._left:
            raise OSError(5, "Input/output error")
        return bytes(size)


def test_a_stream_that_breaks_is_blamed_and_not_the_target(place: Path) -> None:
    request = rootfs_request(InputStream(name="image", source=Broken()), name="n", device_types=["d"])
    with pytest.raises(MachineError, match="cannot read image: Input/output error"):
        write_artifact(place / "out", request)


@dataclass
class Lying:
    """An input that has fewer bytes than it says."""

    name: str = "liar"
    size: int = 1000

    @contextmanager
    def open(self) -> Iterator[OpenInput]:
        yield self

    def chunks(self) -> Iterator[memoryview]:
        yield memoryview(bytes(999))


def test_an_input_of_another_size_than_it_says_is_refused(place: Path) -> None:
    with pytest.raises(MachineError, match="liar: its size changed"):
        write_artifact(place / "out", module_request("mod", [Lying()], name="n", device_types=["d"]))


# --- the caller


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_an_interruption_leaves_the_old_file(place: Path, error: type[BaseException], codec: str) -> None:
    def progress(_count: int) -> None:
        raise error("stop")

    fails(place, error, "stop", on_progress=progress, codec=Codec.parse(codec))


def test_an_artifact_over_its_limit_is_given_up(place: Path) -> None:
    fails(place, PolicyError, "larger than 1000000 bytes", max_size=1_000_000)


# --- signers


@dataclass
class Signer:
    """A signer that does something else than it should."""

    make: Callable[[bytes], bytes]
    signature_size: int = 64

    @property
    def public(self) -> Verifier:
        return read_signer(KEYS / "ec256.key").public

    def sign(self, message: bytes) -> bytes:
        return self.make(message)


def test_a_signer_that_makes_longer_signatures_than_it_said_is_refused(place: Path) -> None:
    fails(place, MachineError, "signature of another length", signer=Signer(lambda _: bytes(2048)))


def test_a_signer_that_fails_leaves_the_old_file(place: Path) -> None:
    def fail(_message: bytes) -> bytes:
        raise KeyUnusableError("cannot sign: the token was removed")

    fails(place, KeyUnusableError, "token was removed", signer=Signer(fail))


# --- targets


@pytest.mark.parametrize("target", ["missing/out", "image/out"])
def test_a_target_without_a_directory_is_named(place: Path, target: str) -> None:
    request = rootfs_request(place / "image", name="n", device_types=["d"])
    with pytest.raises(MachineError, match=f"cannot write .*{target}"):
        write_artifact(place / target, request)


def test_a_target_that_is_a_directory_is_refused(place: Path) -> None:
    request = rootfs_request(place / "image", name="n", device_types=["d"])
    with pytest.raises(BistableError, match="cannot write"):
        write_artifact(place, request)


def test_a_reader_that_goes_away_is_told_apart_from_faults() -> None:
    source, target = os.pipe()
    os.close(source)
    request = rootfs_request(InputBytes(name="i", content=bytes(100)), name="n", device_types=["d"])
    with os.fdopen(target, "wb", buffering=0) as stream, pytest.raises(BrokenPipeError):
        write_to_stream(stream, request)


def test_a_spool_that_cannot_be_made_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")
    request = rootfs_request(InputBytes(name="i", content=bytes(100)), name="n", device_types=["d"])
    with pytest.raises(MachineError, match="cannot write a temporary file") as caught:
        write_to_stream(io.BytesIO(), request)
    assert "TMPDIR" in (caught.value.hint or "")


def test_a_target_in_memory_works() -> None:
    out = io.BytesIO()
    write_to_file(out, rootfs_request(InputBytes(name="i", content=b""), name="n", device_types=["d"]))
    assert out.getvalue()


KILLED = """
import os, signal, sys
from pathlib import Path
from bistable.artifact import *
place = Path(sys.argv[1])
request = rootfs_request(place / "image", name="n", device_types=["d"])
write_artifact(place / "out", request, Options(on_progress=lambda _: os.kill(os.getpid(), signal.SIGKILL)))
"""


def test_a_killed_process_leaves_the_old_file_and_no_part_of_a_new_one(place: Path) -> None:
    if not hasattr(os, "O_TMPFILE"):
        pytest.skip("no unnamed files here")
    done = subprocess.run([sys.executable, "-c", KILLED, place], check=False)
    assert done.returncode == -signal.SIGKILL


def test_an_input_is_not_harmed_by_being_the_target(place: Path) -> None:
    # One process, one file: read to its end before it is replaced.
    copy = place / "image"
    request = module_request("mod", [InputFile(name="image", path=copy)], name="n", device_types=["d"])
    made = write_artifact(copy, request)
    assert made.files[0].size == SIZE


def test_a_target_may_have_a_name_as_long_as_file_systems_allow(tmp_path: Path) -> None:
    for name in ("x" * 255, "ä" * 127, "板" * 85):
        write_artifact(tmp_path / name, rootfs_request(InputBytes(name="i", content=b""), name="n", device_types=["d"]))
        assert (tmp_path / name).stat().st_size
