"""What a change of the header is asked for is changed, and nothing else. FORMAT.md §5, §9."""

from pathlib import Path
from typing import Any

import pytest
from answers import tolerated
from forge import IMAGE, Forge, digest, module, type_info, version_2
from rewriting import RENAMED, artifact, made, read

from bistable.artifact import Artifact, Compression, HeadEdit, RequestError, Script, modify_artifact, repair_artifact
from bistable.artifact.rewrite import needs_repair

__all__ = ["artifact"]


# --- modify


def modified(path: Path, **edit: Any) -> Artifact:
    modify_artifact(path, path, HeadEdit(**edit))
    return tolerated(path.read_bytes())


def test_a_name_is_changed_and_nothing_else(artifact: Path) -> None:
    before = read(artifact).head.header
    after = modified(artifact, name="release-2").head.header
    assert after.info.artifact_name == "release-2"
    assert (after.type_info, after.scripts, after.meta_data) == (before.type_info, before.scripts, before.meta_data)
    assert after.info.device_types == before.info.device_types


def test_changing_nothing_changes_no_value(artifact: Path) -> None:
    before = read(artifact).head.header
    assert modified(artifact).head.header == before


def test_texts_of_header_info_are_changed_and_removed(artifact: Path) -> None:
    edit = {"group": "g", "device_types": ["x", "y"], "depends_names": ["n"], "depends_groups": ["h"]}
    info = modified(artifact, **edit).head.header.info
    assert (info.artifact_group, info.device_types) == ("g", ("x", "y"))
    assert (info.depends_names, info.depends_groups) == (("n",), ("h",))
    info = modified(artifact, group="", depends_names=[], depends_groups=[]).head.header.info
    assert (info.artifact_group, info.depends_names, info.depends_groups) == (None, (), ())


def test_provides_and_depends_are_added_replaced_and_removed(artifact: Path) -> None:
    info = modified(artifact, provides={"a": "1", "b": "2"}, depends={"c": "3"}).head.header.type_info
    assert info.provides == {"a": "1", "b": "2", "rootfs-image.version": "release-1"}
    assert info.depends == {"c": "3"}
    edit: dict[str, Any] = {"provides": {"a": "9"}, "remove_provides": ["b"], "remove_depends": ["c"]}
    info = modified(artifact, **edit).head.header.type_info
    assert info.provides == {"a": "9", "rootfs-image.version": "release-1"}
    assert info.depends == {}


def test_clears_are_replaced_added_and_removed(artifact: Path) -> None:
    assert modified(artifact, clears=["a.*", "b.*"]).head.header.type_info.clears_provides == ("a.*", "b.*")
    assert modified(artifact, add_clears=["b.*", "c"]).head.header.type_info.clears_provides == ("a.*", "b.*", "c")
    assert modified(artifact, remove_clears=["a.*", "b.*"]).head.header.type_info.clears_provides == ("c",)


def test_removing_the_last_pattern_does_not_make_devices_clear_everything(artifact: Path) -> None:
    modified(artifact, clears=["a.*"])
    assert modified(artifact, remove_clears=["a.*"]).head.header.type_info.clears_provides == ()


def test_scripts_are_added_replaced_and_removed(artifact: Path) -> None:
    enter, leave = "ArtifactInstall_Enter_00", "ArtifactCommit_Leave_01"
    scripts = modified(artifact, scripts=[Script(name=leave, content=b"1"), Script(name=enter, content=b"2")])
    assert [(s.name, s.content) for s in scripts.head.header.scripts] == [(leave, b"1"), (enter, b"2")]
    assert [s.name for s in modified(artifact, remove_scripts=[enter]).head.header.scripts] == [leave]


def test_meta_data_is_set_and_removed(tmp_path: Path) -> None:
    path = made(tmp_path, module(("a", b"1")))
    assert modified(path, meta_data=b'{"a": 1}').head.header.meta_data == b'{"a": 1}'
    assert modified(path, meta_data=b"").head.header.meta_data is None


def test_a_rootfs_image_keeps_its_empty_meta_data(artifact: Path) -> None:
    assert modified(artifact, meta_data=b"").head.header.meta_data == b""


@pytest.mark.parametrize(
    "edit",
    [
        {"remove_provides": ["missing"]},
        {"remove_depends": ["missing"]},
        {"remove_clears": ["missing"]},
        {"remove_scripts": ["ArtifactInstall_Leave_00"]},
        {"name": ""},
        {"name": "two words"},
        {"device_types": []},
        {"meta_data": b"[]"},
        {"provides": {"artifact_name": "x"}},
        {"depends": {"": "x"}},
        {"scripts": [Script(name="foo", content=b"")]},
    ],
)
def test_an_impossible_change_is_refused_and_nothing_is_changed(artifact: Path, edit: dict[str, Any]) -> None:
    before = artifact.read_bytes()
    with pytest.raises(RequestError, match="cannot "):
        modify_artifact(artifact, artifact, HeadEdit(**edit))
    assert artifact.read_bytes() == before


def test_a_changed_header_keeps_its_compression(tmp_path: Path) -> None:
    path = made(tmp_path, Forge(kind=".xz", data_kind=".gz"))
    modify_artifact(path, path, RENAMED)
    artifact = read(path)
    assert (artifact.head.header_compression, artifact.data_compression) == (Compression.XZ, Compression.GZIP)


# --- repair, and version 2 to 3


@pytest.mark.parametrize("empty", ["", None])
def test_the_empty_type_is_repaired(tmp_path: Path, empty: str | None) -> None:
    path = made(tmp_path, Forge(type_info=type_info(empty)))
    assert needs_repair(read(path).head)
    repair_artifact(path, path)
    head = tolerated(path.read_bytes()).head
    assert head.header.type_info.payload_type == "rootfs-image"
    assert not needs_repair(head)


def test_version_2_becomes_version_3_with_the_usual_provides(tmp_path: Path) -> None:
    path = made(tmp_path, version_2())
    assert needs_repair(read(path).head)
    repair_artifact(path, path)
    head = tolerated(path.read_bytes()).head
    assert head.version == 3
    assert head.header.type_info.provides == {
        "rootfs-image.checksum": digest(IMAGE),
        "rootfs-image.version": "release-1",
    }
    assert head.header.type_info.clears_provides == ("artifact_group", "rootfs_image_checksum", "rootfs-image.*")
