"""What is different between two artifacts is found, and nothing else is."""

import io
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from forge import IMAGE, Augment, Forge, bootstrap, digest, header_info, module, type_info, version_2
from image_samples import EXT4_TOOLS, needs

from bistable.artifact import RejectedError
from bistable.artifact.diff import ArtifactDiff, diff_artifacts, diff_artifacts_and_images
from bistable.artifact.image import Change, ImageKind, ImageOptions, make_image

SCRIPT: Final = ("ArtifactInstall_Enter_00", b"#!/bin/sh\n")


def forge(**changes: Any) -> Forge:
    return replace(Forge(kind="", key="ec256"), **changes)


def compare(old: Forge, new: Forge) -> ArtifactDiff:
    return diff_artifacts(io.BytesIO(old.build()), io.BytesIO(new.build()))


def facts(old: Forge, new: Forge) -> list[tuple[str, str, str | None, str | None]]:
    return [(fact.what, fact.name, fact.old, fact.new) for fact in compare(old, new).facts]


def test_an_artifact_is_identical_to_itself() -> None:
    data = forge().build()
    found = diff_artifacts_and_images(io.BytesIO(data), io.BytesIO(data))
    assert found.same
    assert found.identical
    assert found.image_files is None


def test_other_bytes_of_the_same_content_are_the_same_and_not_identical() -> None:
    found = compare(forge(kind=".gz"), forge(kind=".gz", version=b'{"version": 3, "format": "mender"}'))
    assert found.same
    assert not found.identical


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (
            {"info": header_info(artifact_provides={"artifact_name": "release-2"})},
            [("artifact", "name", "release-1", "release-2")],
        ),
        (
            {"info": header_info(artifact_depends={"device_type": ["other", "board"]})},
            [("device type", "other", None, "other")],
        ),
        (
            {"info": header_info(artifact_provides={"artifact_name": "release-1", "artifact_group": "g"})},
            [("provides", "artifact_group", None, "g")],
        ),
        (
            {"info": header_info(artifact_depends={"device_type": ["board"], "artifact_name": ["a", "b"]})},
            [("depends", "artifact_name", None, "a, b")],
        ),
        (
            {"type_info": type_info(artifact_provides={"rootfs-image.version": "2"})},
            [("provides", "rootfs-image.version", "release-1", "2")],
        ),
        ({"type_info": type_info(artifact_depends={"k": ["x", "y"]})}, [("depends", "k", None, "x, y")]),
        (
            {"type_info": type_info(clears_artifact_provides=["a*"])},
            [("clears", "*", "all, since there is no list", None), ("clears", "a*", None, "a*")],
        ),
        (
            {"type_info": type_info(clears_artifact_provides=[])},
            [("clears", "*", "all, since there is no list", None)],
        ),
        ({"kind": ".gz", "data_kind": ""}, [("compression", "header", "none", "gzip")]),
        ({"kind": "", "data_kind": ".zst"}, [("compression", "payload", "none", "zstd")]),
        ({"key": None}, [("signature", "", "signed with a P-256 key", "not signed")]),
        (
            {"key": "rsa3072"},
            [("signature", "", "signed with a P-256 key", "signed with an RSA key of 3072 bits")],
        ),
        (
            {"scripts": [SCRIPT]},
            [("script", SCRIPT[0], None, f"10 bytes, SHA-256 {digest(SCRIPT[1])[:16]}...")],
        ),
    ],
)
def test_a_difference_in_the_header_is_found_and_nothing_else_is(
    new: dict[str, Any], expected: list[tuple[str, str, str | None, str | None]]
) -> None:
    assert facts(forge(), forge(**new)) == expected


def test_a_group_of_facts_stays_together() -> None:
    old = forge(info=header_info(artifact_depends={"device_type": ["a", "b"]}), type_info=type_info())
    new = forge(info=header_info(artifact_depends={"device_type": ["c"]}), type_info=type_info(artifact_provides={}))
    kinds = [fact.what for fact in compare(old, new).facts]
    assert kinds == ["device type"] * 3 + ["provides"]


def test_meta_data_is_compared_value_by_value() -> None:
    old = module(("f", b""), kind="", meta_data=b'{"a":{"b":[1,2]},"c":"x","e":{}}')
    new = module(("f", b""), kind="", meta_data=b'{ "a": {"b": [1, 3]}, "c": "x", "d": null, "e": {} }')
    assert facts(old, new) == [("meta-data", "a.b[1]", "2", "3"), ("meta-data", "d", None, "null")]


def test_meta_data_that_is_spelt_otherwise_is_the_same() -> None:
    old = module(("f", b""), kind="", meta_data=b'{"a":1,"b":2}')
    assert compare(old, module(("f", b""), kind="", meta_data=b'{"b": 2, "a": 1}')).same


def test_versions_and_kinds_of_payload_are_compared() -> None:
    found = facts(version_2(kind="", key="ec256"), bootstrap(kind="", key="ec256"))
    assert ("artifact", "format version", "2", "3") in found
    assert ("artifact", "payload type", "rootfs-image", "none (empty payload)") in found


def test_an_augmented_part_is_a_difference() -> None:
    base = module(kind="")
    assert ("augment", "payload type", None, "delta") in facts(base, replace(base, augment=Augment()))


def test_payload_files_are_compared_by_name_and_digest() -> None:
    found = compare(
        module(("same", b"1"), ("gone", b"2"), ("changed", b"3")),
        module(("same", b"1"), ("changed", b"33"), ("new", b"4")),
    )
    shown = [(file.name, file.old and file.old.size, file.new and file.new.size) for file in found.payload]
    assert shown == [("gone", 1, None), ("changed", 1, 2), ("new", None, 1)]
    assert found.facts == ()
    assert not found.same


def test_a_damaged_artifact_is_rejected_on_either_side() -> None:
    good = forge().build()
    bad = forge(data=b"x" * 512).build()
    for old, new in ((good, bad), (bad, good)):
        with pytest.raises(RejectedError):
            diff_artifacts(io.BytesIO(old), io.BytesIO(new))


# --- inside images


def image(tmp_path: Path, kind: ImageKind, files: dict[str, str]) -> bytes:
    with tempfile.TemporaryDirectory(dir=tmp_path) as name:
        root = Path(name) / "root"
        for path, content in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(content)
        make_image(root, Path(name) / "image", ImageOptions(kind=kind, epoch=1))
        return (Path(name) / "image").read_bytes()


def artifact_of(content: bytes, name: str = "rootfs.img") -> io.BytesIO:
    return io.BytesIO(forge(files=[(name, content)]).build())


@pytest.mark.parametrize(
    "kind",
    [pytest.param(ImageKind.EXT4, marks=EXT4_TOOLS), pytest.param(ImageKind.SQUASHFS, marks=needs("mksquashfs"))],
)
def test_files_that_differ_in_two_images_are_named(tmp_path: Path, kind: ImageKind) -> None:
    old = image(tmp_path, kind, {"etc/motd": "hello", "etc/same": "same", "gone": "x"})
    new = image(tmp_path, kind, {"etc/motd": "HELLO", "etc/same": "same", "new": "y"})
    found = diff_artifacts_and_images(artifact_of(old, "a"), artifact_of(new, "b"))
    assert found.image_files is not None
    assert [(change.path, change.changes) for change in found.image_files] == [
        ("/etc/motd", (Change.CONTENT,)),
        ("/gone", (Change.REMOVED,)),
        ("/new", (Change.ADDED,)),
    ]


@EXT4_TOOLS
def test_images_are_not_opened_unless_that_is_asked_for(tmp_path: Path) -> None:
    old, new = (image(tmp_path, ImageKind.EXT4, {"a": content}) for content in "12")
    found = diff_artifacts(artifact_of(old), artifact_of(new))
    assert found.image_files is None
    assert found.payload


def test_images_that_cannot_be_read_are_compared_as_a_whole() -> None:
    found = diff_artifacts_and_images(artifact_of(IMAGE), artifact_of(IMAGE + IMAGE))
    assert found.image_files is None
    assert found.why_not is not None
    assert found.payload


def test_several_files_are_compared_as_a_whole() -> None:
    old = io.BytesIO(module(("a", b"1"), ("b", b"2")).build())
    new = io.BytesIO(module(("a", b"1"), ("b", b"3")).build())
    found = diff_artifacts_and_images(old, new)
    assert [file.name for file in found.payload] == ["b"]
    assert found.why_not == "not both artifacts carry one single file"


@EXT4_TOOLS
def test_nothing_is_left_in_the_temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = (image(tmp_path, ImageKind.EXT4, {"a": content}) for content in "12")
    spare = tmp_path / "tmp"
    spare.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(spare))
    diff_artifacts_and_images(artifact_of(old), artifact_of(new))
    assert list(spare.iterdir()) == []
