"""Every change of an artifact moves its payload as it is, and leaves the old file if it fails. FORMAT.md §12."""

import csv
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from answers import accepted, refused, tolerated, with_key
from faults import file_size_limit
from forge import Augment, Forge, module, pax, tar, tar_member
from rewriting import CHANGES, EC, EVERY_CHANGE, RENAMED, Change, artifact, contents, data_member, made, read

from bistable.artifact import (
    BistableError,
    KeyUnusableError,
    MachineError,
    Options,
    RejectedError,
    modify_artifact,
    recompress_artifact,
    sign_artifact,
)

__all__ = ["artifact"]

CORPUS = Path(__file__).parent / "vectors" / "corpus"


def valid_files() -> list[Any]:
    with (CORPUS / "MANIFEST.tsv").open() as file:
        names = [row["file"] for row in csv.DictReader(file, delimiter="\t")]
    names = [name for name in names if name.startswith("valid/") and "augment" not in name]
    return [pytest.param(CORPUS / name, id=Path(name).stem) for name in names]


# --- what holds for every change


@pytest.mark.parametrize("change", EVERY_CHANGE)
@pytest.mark.parametrize("path", valid_files())
def test_every_change_of_a_real_artifact_gives_one_with_the_same_files(
    path: Path, change: Change, tmp_path: Path
) -> None:
    target = tmp_path / "new"
    before = path.read_bytes()
    change(path, target)
    assert contents(target) == contents(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["sign", "strip", "modify", "repair"])
@pytest.mark.parametrize("path", valid_files())
def test_the_data_member_of_a_real_artifact_is_moved_to_the_byte(path: Path, name: str, tmp_path: Path) -> None:
    CHANGES[name](path, tmp_path / "new")
    assert data_member(tmp_path / "new") == data_member(path)


@pytest.mark.parametrize("change", EVERY_CHANGE)
def test_a_change_in_place_gives_the_same_as_a_change_to_another_file(
    artifact: Path, change: Change, tmp_path: Path
) -> None:
    change(artifact, tmp_path / "new")
    change(artifact, artifact)
    assert artifact.read_bytes() == (tmp_path / "new").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"artifact.mender", "new"}


@pytest.mark.parametrize("change", EVERY_CHANGE)
def test_a_change_in_place_keeps_the_mode(artifact: Path, change: Change) -> None:
    artifact.chmod(0o604)
    change(artifact, artifact)
    assert artifact.stat().st_mode & 0o777 == 0o604


@pytest.mark.parametrize("change", EVERY_CHANGE)
def test_the_size_that_is_told_is_the_size_of_the_file(artifact: Path, change: Change) -> None:
    assert change(artifact, artifact).size == artifact.stat().st_size


@pytest.mark.parametrize("change", EVERY_CHANGE)
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(lambda raw: raw[:2000], id="cut in the head"),
        pytest.param(lambda raw: raw[:-1600], id="cut in the payload"),
        pytest.param(lambda raw: raw.replace(b"board", b"bored"), id="damaged head"),
        pytest.param(lambda raw: b"not an artifact" * 100, id="not an artifact"),
        pytest.param(lambda raw: b"", id="empty"),
    ],
)
def test_a_faulty_artifact_is_refused_and_left_as_it_is(
    tmp_path: Path, change: Change, fault: Callable[[bytes], bytes]
) -> None:
    path = made(tmp_path, Forge(kind=""))
    path.write_bytes(fault(path.read_bytes()))
    before = path.read_bytes()
    with pytest.raises(RejectedError):
        change(path, path)
    with pytest.raises(RejectedError):
        change(path, tmp_path / "new")
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["artifact.mender"]


@pytest.mark.parametrize("change", EVERY_CHANGE)
def test_a_missing_artifact_is_an_error_of_the_machine(tmp_path: Path, change: Change) -> None:
    with pytest.raises(MachineError, match="cannot read"):
        change(tmp_path / "missing", tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", EVERY_CHANGE)
def test_an_augmented_artifact_is_refused(tmp_path: Path, change: Change) -> None:
    path = made(tmp_path, module(("a", b"1"), augment=Augment()))
    before = path.read_bytes()
    with pytest.raises(BistableError, match="augmented"):
        change(path, path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["sign", "strip", "modify", "repair"])
def test_a_payload_that_is_damaged_is_moved_unread(tmp_path: Path, name: str) -> None:
    path = made(tmp_path, Forge(data_archive=tar(("rootfs.ext4", b"damaged"))))
    CHANGES[name](path, path)
    refused(path.read_bytes(), "digest.mismatch")


def test_a_data_member_with_an_extension_header_is_moved_whole(tmp_path: Path) -> None:
    members: list[Any] = Forge().members()
    name, body = members[-1]
    extension = pax(("size", str(len(body))), ("mtime", "1.5"))
    members[-1] = extension + tar_member(name, body, size_field=b"0" * 11 + b"\x00")
    path = tmp_path / "artifact"
    path.write_bytes(tar(*[m if isinstance(m, bytes) else tar_member(*m) for m in members]))
    sign_artifact(path, path, EC)
    tolerated(path.read_bytes(), policy=with_key("ec256"))


def test_an_artifact_without_a_data_member_is_changed_too(tmp_path: Path) -> None:
    path = tmp_path / "artifact"
    path.write_bytes(tar(*module().members()[:-1]))
    modify_artifact(path, path, RENAMED)
    assert read(path).head.header.info.artifact_name == "release-2"


# --- failures


def test_an_interruption_while_recompressing_leaves_the_old_file(artifact: Path) -> None:
    before = artifact.read_bytes()

    def stop(_count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recompress_artifact(artifact, artifact, Options(on_progress=stop))
    assert artifact.read_bytes() == before
    assert len(list(artifact.parent.iterdir())) == 1


def test_a_signer_that_fails_leaves_the_old_file(artifact: Path) -> None:
    class Gone:
        public = EC.public
        signature_size = 64

        def sign(self, message: bytes) -> bytes:
            raise KeyUnusableError("cannot sign: the token was removed")

    before = artifact.read_bytes()
    changes: list[Callable[[], object]] = [
        lambda: sign_artifact(artifact, artifact, Gone()),
        lambda: modify_artifact(artifact, artifact, RENAMED, signer=Gone()),
        lambda: recompress_artifact(artifact, artifact, Options(signer=Gone())),
    ]
    for change in changes:
        with pytest.raises(KeyUnusableError, match="token was removed"):
            change()
    assert artifact.read_bytes() == before
    assert len(list(artifact.parent.iterdir())) == 1


@pytest.mark.parametrize("change", EVERY_CHANGE)
@pytest.mark.parametrize("limit", [100, 3000, 500_000])
def test_a_disk_that_is_full_leaves_the_old_file(tmp_path: Path, change: Change, limit: int) -> None:
    path = made(tmp_path, Forge(kind="", files=[("rootfs.ext4", os.urandom(1 << 20))]))
    before = path.read_bytes()
    with file_size_limit(limit), pytest.raises(MachineError, match=r"cannot write .*artifact.mender: File too large"):
        change(path, path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_a_target_that_cannot_be_made_is_named(artifact: Path) -> None:
    for change in CHANGES.values():
        with pytest.raises(MachineError, match=r"cannot write .*missing/new"):
            change(artifact, artifact.parent / "missing" / "new")


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="this kernel does not count what a process reads")
def test_a_payload_of_many_mebibytes_is_moved_by_the_kernel(tmp_path: Path) -> None:
    path = made(tmp_path, Forge(kind="", files=[("rootfs.ext4", os.urandom(20 << 20))]))
    counter = Path("/proc/self/io")
    before = int(counter.read_text().split("rchar: ")[1].split()[0])
    modify_artifact(path, tmp_path / "new", RENAMED)
    after = int(counter.read_text().split("rchar: ")[1].split()[0])
    assert data_member(tmp_path / "new") == data_member(path)
    # copy_file_range(2) counts as reading; what matters is that it happens once.
    assert after - before < 21 << 20
    accepted(io.BytesIO((tmp_path / "new").read_bytes()))
