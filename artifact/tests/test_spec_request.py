"""A build file becomes an artifact, with what its paths lead to."""

from pathlib import Path

import pytest
from build_files import MODULE, ROOTFS, loaded
from forge import KEYS

from bistable.artifact import KeyUnusableError, Options, RequestError, read_artifact, write_artifact
from bistable.artifact.spec import SignWith, load, open_signer, read_scripts, to_request


def test_a_build_file_becomes_an_artifact(tmp_path: Path) -> None:
    (tmp_path / "app.bin").write_bytes(b"app")
    (tmp_path / "scripts").mkdir()
    for name in ("ArtifactInstall_Leave_01", "ArtifactInstall_Enter_00"):
        (tmp_path / "scripts" / name).write_text("#!/bin/sh\n")
    text = f"""
    [artifact]
    name = "release-1"
    type = "single-file"
    device-types = ["board"]
    output = "release.mender"
    scripts = ["scripts"]
    [payload]
    files = ["app.bin"]
    meta-data = {{ b = 1, a = "x" }}
    [provides]
    artifact_group = "g"
    extra = "1"
    [sign]
    key = "{KEYS}/ec256.key"
    """
    spec = load(text.encode(), tmp_path)
    assert spec.output is not None
    assert spec.sign_with is not None
    write_artifact(spec.output, to_request(spec), Options(codec=spec.codec, signer=open_signer(spec.sign_with)))
    with (tmp_path / "release.mender").open("rb") as file:
        header = read_artifact(file).head.header
    assert header.info.artifact_group == "g"
    assert header.type_info.provides == {"extra": "1", "rootfs-image.single-file.version": "release-1"}
    assert header.meta_data == b'{"a":"x","b":1}'
    assert [script.name for script in header.scripts] == ["ArtifactInstall_Enter_00", "ArtifactInstall_Leave_01"]


def test_meta_data_can_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_bytes(b'{"b": 1}')
    spec = load(f'{MODULE}meta-data-file = "meta.json"\n'.encode(), tmp_path)
    assert to_request(spec).header.meta_data == b'{"b": 1}'


def test_an_empty_payload_needs_no_payload_table() -> None:
    spec = loaded('[artifact]\nname = "b"\ntype = "bootstrap"\ndevice-types = ["board"]\n')
    assert to_request(spec).header.info.payload_type is None


@pytest.mark.parametrize("value", ["1979-05-27", "inf", "nan"])
def test_meta_data_that_json_lacks_is_an_error(value: str) -> None:
    with pytest.raises(RequestError, match="cannot make meta-data of the table"):
        to_request(loaded(f"{MODULE}meta-data = {{ a = {value} }}\n"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"cannot read .*/meta\.json: No such file"):
        to_request(load(f'{MODULE}meta-data-file = "meta.json"\n'.encode(), tmp_path))
    with pytest.raises(RequestError, match=r"cannot read .*/script: No such file"):
        read_scripts([tmp_path / "script"])


def test_the_files_of_a_directory_are_scripts_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    for name in ("b", "c", "a"):
        (tmp_path / name).write_text(name)
    assert [(script.name, script.content) for script in read_scripts([tmp_path / "c", tmp_path])] == [
        ("c", b"c"),
        ("a", b"a"),
        ("b", b"b"),
        ("c", b"c"),
    ]


def test_an_empty_directory_of_scripts_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="the directory is empty"):
        read_scripts([tmp_path])


@pytest.mark.parametrize("name", ["root", "root.tar", "root.tar.zst", "root.tgz"])
def test_the_content_of_an_image_is_not_taken_for_an_image(tmp_path: Path, name: str) -> None:
    (tmp_path / "root").mkdir()
    with pytest.raises(RequestError, match="it is the content of one"):
        to_request(load(ROOTFS.replace("rootfs.ext4", name).encode(), tmp_path))


def test_a_missing_key_is_an_error_of_the_key() -> None:
    with pytest.raises(KeyUnusableError):
        open_signer(SignWith(key=Path("/nothing")))


def test_a_signing_command_has_one_public_key(tmp_path: Path) -> None:
    both = tmp_path / "both.pub"
    both.write_bytes((KEYS / "ec256.pub").read_bytes() + (KEYS / "rsa3072.pub").read_bytes())
    with pytest.raises(KeyUnusableError, match="it holds 2 keys, and one is needed"):
        open_signer(SignWith(command=("sign",), public_key=both))
