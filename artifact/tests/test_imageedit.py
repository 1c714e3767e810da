"""Files inside the image that an artifact carries: read, changed, and the artifact written anew."""

import io
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest
from forge import Augment, Forge, digest, header_info, module, type_info, version_2
from image_samples import EXT4_TOOLS, is_clean, needs

from bistable.artifact import (
    Artifact,
    Codec,
    Compression,
    InputFile,
    MachineError,
    Options,
    Policy,
    RejectedError,
    RequestError,
    SignatureState,
    UnsupportedError,
    read_artifact,
    read_signer,
    read_verifiers,
    rootfs_request,
    write_artifact,
)
from bistable.artifact.image import ImageKind, ImageOptions, Kind, make_image, read_file
from bistable.artifact.imageedit import (
    CopyIn,
    Edited,
    MakeDirectory,
    Operation,
    Remove,
    RemoveTree,
    edit_image,
    list_files,
    list_tree,
    unpacked_image,
)

pytestmark = EXT4_TOOLS

KEYS: Final = Path(__file__).parent / "vectors" / "keys"
EPOCH: Final = 1_600_000_000
FILES: Final = {"etc/motd": "hello\n", "etc/hosts": "localhost\n", "usr/bin/tool": "#!/bin/sh\n"}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with rootfs.ext4 and, if mksquashfs is there, rootfs.squashfs."""
    top = tmp_path_factory.mktemp("images")
    for path, content in FILES.items():
        (top / "root" / path).parent.mkdir(parents=True, exist_ok=True)
        (top / "root" / path).write_text(content)
    make_image(top / "root", top / "rootfs.ext4", ImageOptions(epoch=EPOCH, size=8 << 20))
    return top


@pytest.fixture
def artifact(images: Path, tmp_path: Path) -> Path:
    """Return an unsigned artifact of the ext4 image."""
    path = tmp_path / "release.mender"
    write_artifact(path, rootfs_request(images / "rootfs.ext4", name="release-1", device_types=["board"]))
    return path


def forged(tmp_path: Path, forge: Forge) -> Path:
    path = tmp_path / "forged.mender"
    path.write_bytes(forge.build())
    return path


def read(path: Path, policy: Policy | None = None) -> Artifact:
    with path.open("rb") as file:
        return read_artifact(file, policy)


def content_of(path: Path, name: str) -> bytes:
    parts: list[bytes] = []
    with path.open("rb") as file, unpacked_image(file) as image:
        read_file(image, name, parts.append)
    return b"".join(parts)


def listed(path: Path, directory: str = "/") -> list[str]:
    with path.open("rb") as file:
        return [entry.path for entry in list_files(file, directory)]


def edit(path: Path, *operations: Operation) -> Edited:
    return edit_image(path, path, operations)


# --- looking


def test_a_directory_in_the_image_is_listed(artifact: Path) -> None:
    assert listed(artifact) == ["/etc", "/lost+found", "/usr"]
    assert listed(artifact, "/etc") == ["/etc/hosts", "/etc/motd"]


def test_a_tree_in_the_image_is_listed(artifact: Path) -> None:
    with artifact.open("rb") as file:
        found = [entry.path for entry in list_tree(file, "/usr")]
    assert found == ["/usr", "/usr/bin", "/usr/bin/tool"]


def test_the_whole_tree_is_listed_from_the_root(artifact: Path) -> None:
    with artifact.open("rb") as file:
        assert {f"/{name}" for name in FILES} < {entry.path for entry in list_tree(file)}


@needs("mksquashfs", "unsquashfs")
def test_squashfs_images_are_looked_into(images: Path, tmp_path: Path) -> None:
    squash = tmp_path / "rootfs.squashfs"
    make_image(images / "root", squash, ImageOptions(kind=ImageKind.SQUASHFS, epoch=EPOCH))
    path = tmp_path / "squash.mender"
    write_artifact(path, rootfs_request(squash, name="release-1", device_types=["board"]))
    assert listed(path, "/etc") == ["/etc/hosts", "/etc/motd"]
    assert content_of(path, "/etc/motd") == b"hello\n"


def test_a_payload_of_an_unknown_kind_is_not_looked_into(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"cannot look into rootfs\.ext4: it is an unknown kind of data"):
        listed(forged(tmp_path, Forge()))


@pytest.mark.parametrize("count", [0, 2])
def test_a_payload_that_is_not_one_file_is_not_looked_into(tmp_path: Path, count: int) -> None:
    files = [(f"f{number}", b"") for number in range(count)]
    with pytest.raises(RequestError, match="it is not one image"):
        listed(forged(tmp_path, module(*files)))


def test_nothing_of_a_payload_with_a_wrong_digest_is_shown(images: Path, tmp_path: Path) -> None:
    content = (images / "rootfs.ext4").read_bytes()
    forge = Forge(files=[("rootfs.ext4", content)], lines=lambda lines: [("0" * 64, lines[0][1]), *lines[1:]])
    with pytest.raises(RejectedError, match="SHA-256"):
        listed(forged(tmp_path, forge))


# --- changing


def test_a_file_is_copied_in_with_its_mode_and_the_digest_put_right(artifact: Path, tmp_path: Path) -> None:
    source = tmp_path / "start.sh"
    source.write_text("#!/bin/sh\n")
    source.chmod(0o750)
    before = read(artifact)
    done = edit(artifact, CopyIn(source=source, path="/usr/bin/start"))
    after = read(artifact)
    assert done.done == (f"copied {source} to /usr/bin/start",)
    assert content_of(artifact, "/usr/bin/start") == b"#!/bin/sh\n"
    with artifact.open("rb") as file:
        entry = next(entry for entry in list_files(file, "/usr/bin") if entry.name == "start")
    assert (entry.kind, entry.mode, entry.uid, entry.gid) == (Kind.FILE, 0o750, 0, 0)
    assert after.files[0].digest != before.files[0].digest
    assert after.head.header.type_info.provides["rootfs-image.checksum"] == after.files[0].digest


def test_all_else_of_the_header_stays(artifact: Path, tmp_path: Path) -> None:
    before = read(artifact).head.header
    edit(artifact, Remove(path="/etc/motd"))
    after = read(artifact).head.header
    assert after.info == before.info
    assert after.scripts == before.scripts
    assert after.type_info.clears_provides == before.type_info.clears_provides
    assert {**after.type_info.provides, "rootfs-image.checksum": ""} == {
        **before.type_info.provides,
        "rootfs-image.checksum": "",
    }


def test_a_directory_gets_files_under_their_own_names(artifact: Path, tmp_path: Path) -> None:
    source = tmp_path / "fstab"
    source.write_text("")
    edit(artifact, CopyIn(source=source, path="/etc"), CopyIn(source=source, path="/usr/"))
    assert "/etc/fstab" in listed(artifact, "/etc")
    assert "/usr/fstab" in listed(artifact, "/usr")


def test_a_source_without_a_name_needs_one_in_the_image(artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(RequestError, match="cannot copy standard input to /etc: it needs a name there"):
        edit(artifact, CopyIn(source=tmp_path / "x", shown="standard input", path="/etc"))


def test_several_operations_are_done_in_order(artifact: Path, tmp_path: Path) -> None:
    source = tmp_path / "a"
    source.write_text("a")
    edited = edit(
        artifact,
        MakeDirectory(path="/data/app", parents=True, mode=0o700),
        CopyIn(source=source, path="/data/app/a", mode=0o4755, uid=1, gid=2),
        RemoveTree(path="/usr"),
        Remove(path="/etc/motd"),
        MakeDirectory(path="/data", parents=True),
    )
    assert edited.done == (
        "made /data, /data/app",
        f"copied {source} to /data/app/a",
        "removed /usr and 2 beneath it",
        "removed /etc/motd",
        "/data was there already",
    )
    assert listed(artifact) == ["/data", "/etc", "/lost+found"]
    with artifact.open("rb") as file:
        modes = {entry.path: (entry.mode, entry.uid, entry.gid) for entry in list_tree(file, "/data")}
    assert modes == {"/data": (0o755, 0, 0), "/data/app": (0o700, 0, 0), "/data/app/a": (0o4755, 1, 2)}


def test_the_changed_image_is_sound(artifact: Path, tmp_path: Path) -> None:
    edit(artifact, MakeDirectory(path="/data"), RemoveTree(path="/usr"))
    with artifact.open("rb") as file, unpacked_image(file) as image:
        copy = tmp_path / "copy.ext4"
        copy.write_bytes(image.read_bytes())
    assert is_clean(copy)


def test_the_same_change_gives_the_same_bytes(images: Path, tmp_path: Path) -> None:
    results: list[bytes] = []
    for name in ("a", "b"):
        path = tmp_path / f"{name}.mender"
        write_artifact(path, rootfs_request(images / "rootfs.ext4", name="release-1", device_types=["board"]))
        source = tmp_path / "motd"
        source.write_text("hello, world\n")
        os.utime(source, (len(results) * 1000, len(results) * 1000))
        edit(path, CopyIn(source=source, path="/etc/motd"), MakeDirectory(path="/data"))
        results.append(path.read_bytes())
    assert results[0] == results[1]


@pytest.mark.parametrize(("epoch", "expected"), [(None, EPOCH), (1_700_000_000, 1_700_000_000)])
def test_what_is_made_is_as_old_as_the_image_or_as_it_is_told_to_be(
    artifact: Path, epoch: int | None, expected: int
) -> None:
    edit_image(artifact, artifact, [MakeDirectory(path="/data")], epoch=epoch)
    with artifact.open("rb") as file:
        assert {entry.path: entry.mtime for entry in list_files(file)}["/data"] == expected


def test_another_file_can_be_written_and_the_old_one_stays(artifact: Path, tmp_path: Path) -> None:
    before = artifact.read_bytes()
    target = tmp_path / "new.mender"
    edit_image(artifact, target, [Remove(path="/etc/motd")])
    assert artifact.read_bytes() == before
    assert listed(target, "/etc") == ["/etc/hosts"]


@pytest.mark.parametrize("kind", list(Compression))
def test_the_kind_of_compression_stays(images: Path, tmp_path: Path, kind: Compression) -> None:
    path = tmp_path / "release.mender"
    request = rootfs_request(images / "rootfs.ext4", name="release-1", device_types=["board"])
    write_artifact(path, request, Options(codec=Codec(kind=kind)))
    edit(path, Remove(path="/etc/motd"))
    after = read(path)
    assert (after.data_compression, after.head.header_compression) == (kind, kind)


def test_another_compression_can_be_chosen(artifact: Path) -> None:
    edit_image(artifact, artifact, [Remove(path="/etc/motd")], codec=Codec(kind=Compression.GZIP))
    assert read(artifact).data_compression is Compression.GZIP


@pytest.mark.parametrize("keys", [[], ["rootfs_image_checksum"], ["rootfs-image.checksum", "rootfs_image_checksum"]])
def test_a_checksum_is_put_right_under_the_names_that_it_has(images: Path, tmp_path: Path, keys: Sequence[str]) -> None:
    content = (images / "rootfs.ext4").read_bytes()
    info = type_info(artifact_provides=dict.fromkeys(keys, digest(content)) | {"other": "1"})
    path = forged(tmp_path, Forge(files=[("rootfs.ext4", content)], type_info=info))
    edit(path, Remove(path="/etc/motd"))
    after = read(path)
    assert after.head.header.type_info.provides == dict.fromkeys(keys, after.files[0].digest) | {"other": "1"}


def test_an_artifact_of_version_2_becomes_one_of_version_3(images: Path, tmp_path: Path) -> None:
    content = (images / "rootfs.ext4").read_bytes()
    path = forged(tmp_path, version_2(files=[("rootfs.ext4", content)]))
    edit(path, Remove(path="/etc/motd"))
    after = read(path)
    assert after.head.version == 3
    assert after.head.header.type_info.provides["rootfs-image.checksum"] == after.files[0].digest


# --- signatures


def test_a_signed_artifact_is_not_changed_without_a_key(artifact: Path, images: Path) -> None:
    sign(artifact, images)
    before = artifact.read_bytes()
    with pytest.raises(RequestError, match="it is signed"):
        edit(artifact, Remove(path="/etc/motd"))
    assert artifact.read_bytes() == before


def test_a_signed_artifact_is_signed_again(artifact: Path, images: Path) -> None:
    sign(artifact, images)
    edit_image(artifact, artifact, [Remove(path="/etc/motd")], signer=read_signer(KEYS / "rsa3072.key"))
    after = read(artifact, Policy(verifiers=read_verifiers(KEYS / "rsa3072.pub")))
    assert after.head.signature is SignatureState.VERIFIED


def test_a_signature_is_dropped_if_that_is_asked_for(artifact: Path, images: Path) -> None:
    sign(artifact, images)
    edit_image(artifact, artifact, [Remove(path="/etc/motd")], drop_signature=True)
    assert read(artifact).head.signature is SignatureState.UNSIGNED


def sign(path: Path, images: Path) -> None:
    request = rootfs_request(images / "rootfs.ext4", name="release-1", device_types=["board"])
    write_artifact(path, request, Options(signer=read_signer(KEYS / "ec256.key")))


# --- what cannot be done


@pytest.mark.parametrize(
    "operation",
    [
        Remove(path="/nothing"),
        Remove(path="/etc"),
        MakeDirectory(path="/etc"),
        MakeDirectory(path="/a/b"),
        CopyIn(source=Path("/nothing/here"), path="/etc/x"),
        CopyIn(source=Path("/"), path="/etc/x"),
        CopyIn(source=Path(__file__), path="/nothing/x"),
    ],
)
def test_an_operation_that_cannot_be_done_leaves_the_artifact_as_it_was(artifact: Path, operation: Operation) -> None:
    before = artifact.read_bytes()
    with pytest.raises(RequestError, match=r"^cannot "):
        edit(artifact, MakeDirectory(path="/first"), operation)
    assert artifact.read_bytes() == before
    assert [path.name for path in artifact.parent.iterdir()] == [artifact.name]


@needs("mksquashfs", "unsquashfs")
def test_a_squashfs_image_is_not_changed(images: Path, tmp_path: Path) -> None:
    squash = tmp_path / "rootfs.squashfs"
    make_image(images / "root", squash, ImageOptions(kind=ImageKind.SQUASHFS, epoch=EPOCH))
    path = tmp_path / "squash.mender"
    write_artifact(path, rootfs_request(squash, name="release-1", device_types=["board"]))
    with pytest.raises(RequestError, match=r"cannot change files in rootfs\.squashfs: it is squashfs"):
        edit(path, Remove(path="/etc/motd"))


def test_an_augmented_artifact_is_not_changed(tmp_path: Path) -> None:
    forge = Forge(info=header_info("base"), type_info=type_info("base"), files=(), augment=Augment())
    with pytest.raises(RequestError, match="it is augmented"):
        edit(forged(tmp_path, forge), Remove(path="/etc/motd"))


def test_a_damaged_artifact_is_not_changed(artifact: Path) -> None:
    data = bytearray(artifact.read_bytes())
    data[-2000] ^= 1
    artifact.write_bytes(data)
    with pytest.raises(RejectedError):
        edit(artifact, Remove(path="/etc/motd"))
    assert artifact.read_bytes() == bytes(data)


def test_a_missing_artifact_is_a_fault_of_the_machine(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="cannot read"):
        edit(tmp_path / "nothing.mender", Remove(path="/x"))


# --- room


def test_the_unpacked_image_has_holes_and_no_name(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spare = tmp_path / "tmp"
    spare.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(spare))
    with artifact.open("rb") as file, unpacked_image(file) as image:
        status = image.stat()
        assert status.st_size == 8 << 20
        assert status.st_blocks * 512 < 2 << 20
        assert status.st_nlink == 0
    assert list(spare.iterdir()) == []


def test_what_is_unpacked_is_what_was_packed(images: Path, artifact: Path) -> None:
    with artifact.open("rb") as file, unpacked_image(file) as image:
        assert image.read_bytes() == (images / "rootfs.ext4").read_bytes()


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 1 << 20, (1 << 20) + 5])
@pytest.mark.parametrize("fill", [b"\x00", b"x", b"\x00" * 70000 + b"y"])
def test_content_of_any_length_is_unpacked_whole(tmp_path: Path, size: int, fill: bytes) -> None:
    content = (fill * (size // len(fill) + 1))[:size]
    source = tmp_path / "image"
    source.write_bytes(content)
    path = tmp_path / "release.mender"
    write_artifact(path, rootfs_request(InputFile(name="i", path=source), name="release-1", device_types=["board"]))
    with io.BytesIO(path.read_bytes()) as file, unpacked_image(file) as image:
        assert image.read_bytes() == content
