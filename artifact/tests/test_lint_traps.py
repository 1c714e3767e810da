"""What is taken and goes wrong later: each trap is warned of, and its neighbour that is fine is not."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from forge import IMAGE, Forge, bootstrap, digest, header_info, module, type_info, version_2
from hypothesis import given
from hypothesis import strategies as st
from image_samples import EXT4_TOOLS

from bistable.artifact import (
    Extras,
    InputBytes,
    Options,
    SoftwareVersion,
    bootstrap_request,
    module_request,
    read_signer,
    rootfs_request,
    write_to_file,
)
from bistable.artifact.image import ImageKind, ImageOptions, make_image
from bistable.artifact.lint import PROFILES, examine_image, judge, lint_artifact
from bistable.artifact.model import Finding, Severity
from bistable.artifact.patterns import crashing_key, matches
from bistable.artifact.writer import WriteRequest

KEYS: Final = Path(__file__).parent / "vectors" / "keys"
CHECKSUM: Final = {"rootfs-image.checksum": digest(IMAGE)}
CLEARS: Final = {"clears_artifact_provides": ["rootfs-image.*"]}
SCRIPT: Final = b"#!/bin/sh\nexit 0\n"


def sound(**changes: Any) -> Forge:
    """Return a signed rootfs artifact with nothing to complain of, but for the changes to its type-info."""
    info = {"artifact_provides": {"rootfs-image.version": "release-1", **CHECKSUM}, **CLEARS}
    return Forge(kind="", key="ec256", type_info=type_info(**(info | changes)))


def sound_module(**changes: Any) -> Forge:
    info = {"artifact_provides": {"app.version": "1"}, "clears_artifact_provides": ["app.*"]}
    parts = {"kind": "", "key": "ec256", "type_info": type_info("mod", **(info | changes.pop("type_info", {})))}
    return module(("app.bin", b"app"), **(parts | changes))


def findings(forge: Forge, target: str = "bistable") -> list[Finding]:
    return list(lint_artifact(io.BytesIO(forge.build()), PROFILES[target]))


def rules(forge: Forge, target: str = "bistable") -> set[str]:
    return {finding.rule for finding in findings(forge, target)}


TRAPS: Final[Mapping[str, tuple[Callable[[], Forge], str]]] = {
    "an artifact that is not signed": (lambda: with_changes(sound(), key=None), "lint.unsigned"),
    "white space in the name": (
        lambda: with_changes(sound(), info=header_info(artifact_provides={"artifact_name": "release 1"})),
        "lint.white-space",
    ),
    "white space in the group": (
        lambda: with_changes(
            sound(), info=header_info(artifact_provides={"artifact_name": "r", "artifact_group": "a b"})
        ),
        "lint.white-space",
    ),
    "a pattern that clears nothing": (
        lambda: sound(clears_artifact_provides=["rootfs-image.*", "rootfs_image.*"]),
        "lint.clears-nothing",
    ),
    "a pattern that crashes a client": (
        lambda: sound(clears_artifact_provides=["rootfs-image.*", "*.version"]),
        "lint.clears-crash",
    ),
    "a key that is provided and not cleared": (
        lambda: sound(artifact_provides={"rootfs-image.version": "1", "other": "2", **CHECKSUM}),
        "lint.not-cleared",
    ),
    "a module image without a list of clears": (
        lambda: sound_module(type_info={"clears_artifact_provides": ...}),
        "lint.clears-missing",
    ),
    "a rootfs image without its checksum": (
        lambda: sound(artifact_provides={"rootfs-image.version": "1"}),
        "lint.checksum-missing",
    ),
    "the checksum of another image": (
        lambda: sound(artifact_provides={"rootfs-image.checksum": "0" * 64}),
        "lint.checksum-wrong",
    ),
    "a script without an interpreter": (
        lambda: with_changes(sound(), scripts=[("ArtifactInstall_Enter_00", b"exit 0\n")]),
        "lint.script-interpreter",
    ),
    "a script with DOS line ends": (
        lambda: with_changes(sound(), scripts=[("ArtifactInstall_Enter_00", b"#!/bin/sh\r\nexit 0\r\n")]),
        "lint.script-interpreter",
    ),
    "a script that is never run": (
        lambda: with_changes(sound(), scripts=[("ArtifactRollback_Error_00", SCRIPT)]),
        "lint.script-never-runs",
    ),
    "a number that parsers round": (
        lambda: sound_module(meta_data=b'{"a":[{"b":9007199254740993}]}'),
        "lint.number",
    ),
    "an empty image": (
        lambda: with_changes(
            sound(artifact_provides={"rootfs-image.checksum": digest(b"")}), files=[("rootfs.ext4", b"")]
        ),
        "lint.empty-image",
    ),
}

FINE: Final[Mapping[str, Callable[[], Forge]]] = {
    "a rootfs image": sound,
    "a module image": sound_module,
    "an empty payload": lambda: bootstrap(kind="", key="ec256"),
    "patterns that old devices need": lambda: sound(
        clears_artifact_provides=["artifact_group", "rootfs_image_checksum", "rootfs-image.*"]
    ),
    "a checksum under its old name": lambda: sound(
        artifact_provides={"rootfs_image_checksum": digest(IMAGE)}, clears_artifact_provides=["rootfs_image_checksum"]
    ),
    "a rootfs image without a list of clears": lambda: sound(clears_artifact_provides=...),
    "a group that is cleared": lambda: with_changes(
        sound(clears_artifact_provides=["rootfs-image.*", "artifact_g*"]),
        info=header_info(artifact_provides={"artifact_name": "r", "artifact_group": "g"}),
    ),
    "a script and a program": lambda: with_changes(
        sound(), scripts=[("ArtifactCommit_Leave_00", SCRIPT), ("ArtifactFailure_Enter_00", b"\x7fELF...")]
    ),
    "the largest number that is kept": lambda: sound_module(meta_data=b'{"a":-9007199254740991,"b":0.1}'),
}


def with_changes(forge: Forge, **changes: Any) -> Forge:
    for name, value in changes.items():
        setattr(forge, name, value)
    return forge


@pytest.mark.parametrize("what", TRAPS)
def test_a_trap_is_warned_of_and_nothing_else_is(what: str) -> None:
    make, rule = TRAPS[what]
    found = findings(make())
    assert [finding.rule for finding in found] == [rule]
    assert found[0].severity is Severity.WARNING


@pytest.mark.parametrize("what", FINE)
def test_what_is_fine_gives_no_findings(what: str) -> None:
    assert findings(FINE[what]()) == []


def test_version_2_is_a_trap_where_it_is_still_read() -> None:
    assert "lint.old-version" in rules(version_2(kind="", key="ec256"), "mender-client-3")
    assert "lint.old-version" not in rules(version_2(kind="", key="ec256"), "mender-client-4")


def test_to_a_server_or_tool_a_missing_signature_is_a_note() -> None:
    found = findings(with_changes(sound(), key=None), "mender-artifact-4.4")
    assert [(finding.rule, finding.severity) for finding in found] == [("lint.unsigned", Severity.NOTE)]


@pytest.mark.parametrize("kind", ["", ".gz", ".xz", ".zst"])
def test_memory_that_every_device_has_is_not_worth_a_note(kind: str) -> None:
    assert "lint.memory" not in rules(with_changes(sound(), kind=kind))


def test_the_memory_that_xz_needs_at_its_highest_level_is_told() -> None:
    import lzma

    forge = sound_module(data_kind=".xz", data=lzma.compress(archive_of(sound_module()), preset=9))
    found = [finding for finding in findings(forge) if finding.rule == "lint.memory"]
    assert len(found) == 1
    assert "64 MiB" in found[0].what


def archive_of(forge: Forge) -> bytes:
    return dict(with_changes(forge, kind="", data_kind="").members())["data/0000.tar"]


def test_only_the_first_patterns_and_keys_of_very_many_are_compared() -> None:
    many = {f"k{number}": "" for number in range(30_000)}
    forge = sound(artifact_provides=many, clears_artifact_provides=["*a*b*c*d*"] * 30_000)
    assert len(findings(forge)) < 600


# --- what our own writer writes

REQUESTS: Final[Mapping[str, WriteRequest]] = {
    "rootfs": rootfs_request(InputBytes(name="rootfs.ext4", content=IMAGE), name="release-1", device_types=["board"]),
    "module": module_request(
        "single-file",
        [InputBytes(name="app.bin", content=b"app")],
        name="release-1",
        device_types=["board"],
        extras=Extras(software=SoftwareVersion(filesystem="data-partition")),
    ),
    "bootstrap": bootstrap_request(name="release-1", device_types=["board"]),
}


@pytest.mark.parametrize("request_", list(REQUESTS.values()), ids=list(REQUESTS))
def test_what_our_writer_writes_by_default_is_fine(request_: WriteRequest) -> None:
    out = io.BytesIO()
    write_to_file(out, request_, Options(signer=read_signer(KEYS / "rsa3072.key")))
    for target in ("bistable", "mender-client-4", "mender-artifact-4.4", "hosted-mender"):
        out.seek(0)
        assert lint_artifact(out, PROFILES[target]) == ()


# --- inside the image


def artifact_of_image(image: bytes) -> io.BytesIO:
    forge = with_changes(
        sound(artifact_provides={"rootfs-image.checksum": digest(image)}), files=[("rootfs.ext4", image)]
    )
    return io.BytesIO(forge.build())


def ext4(tmp_path: Path, artifact_info: str | None) -> bytes:
    root = tmp_path / "root"
    (root / "etc" / "mender").mkdir(parents=True)
    if artifact_info is not None:
        (root / "etc" / "mender" / "artifact_info").write_text(artifact_info)
    image = tmp_path / "image.ext4"
    make_image(root, image, ImageOptions(kind=ImageKind.EXT4, epoch=1))
    return image.read_bytes()


@EXT4_TOOLS
@pytest.mark.parametrize(
    ("artifact_info", "expected"),
    [
        ("artifact_name=release-1\n", []),
        ("artifact_name=release-0\n", ["lint.release-name"]),
        ("# no name\nother=release-0\n", []),
        (None, []),
    ],
)
def test_an_image_that_calls_itself_by_another_name_is_warned_of(
    tmp_path: Path, artifact_info: str | None, expected: list[str]
) -> None:
    evidence = examine_image(artifact_of_image(ext4(tmp_path, artifact_info)))
    assert [finding.rule for finding in judge(evidence, PROFILES["bistable"])] == expected


@EXT4_TOOLS
def test_an_image_is_not_looked_into_unless_that_is_asked_for(tmp_path: Path) -> None:
    assert lint_artifact(artifact_of_image(ext4(tmp_path, "artifact_name=release-0\n"))) == ()


@EXT4_TOOLS
def test_a_damaged_image_is_warned_of(tmp_path: Path) -> None:
    image = bytearray(ext4(tmp_path, None))
    image[2048 : 2048 + 4096] = b"\xff" * 4096  # the group descriptors
    found = judge(examine_image(artifact_of_image(bytes(image))), PROFILES["bistable"])
    assert [finding.rule for finding in found] == ["lint.image-damaged"]


def test_an_image_of_an_unknown_kind_is_noted() -> None:
    found = judge(examine_image(artifact_of_image(IMAGE)), PROFILES["bistable"])
    assert [(finding.rule, finding.severity) for finding in found] == [("lint.image-kind", Severity.NOTE)]


def test_a_module_image_is_not_looked_into() -> None:
    assert examine_image(io.BytesIO(sound_module().build())).inside is None


# --- patterns

LETTERS: Final = st.text(alphabet="ab.", max_size=6)
PATTERNS: Final = st.text(alphabet="ab.*", max_size=8)


def the_clients_function(key: str, pattern: str) -> bool:
    """Match as device clients from 4.0 on do; IndexError is their std::out_of_range."""
    if not pattern:
        return not key
    pieces = pattern.split("*")
    if pieces[0] and key[: len(pieces[0])] != pieces[0]:
        return False
    if pieces[-1]:
        if len(key) < len(pieces[-1]):
            raise IndexError
        if key[len(key) - len(pieces[-1]) :] != pieces[-1]:
            return False
    at = 0
    for piece in filter(None, pieces):
        found = key.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return True


@given(PATTERNS, LETTERS)
def test_a_pattern_clears_what_a_regular_expression_would(pattern: str, key: str) -> None:
    import re

    expected = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), key) is not None
    assert matches(pattern, key) == expected


@given(PATTERNS)
def test_a_key_is_named_if_and_only_if_one_can_crash_the_client(pattern: str) -> None:
    key = crashing_key(pattern)
    if key is not None:
        with pytest.raises(IndexError):
            the_clients_function(key, pattern)
        return
    first = pattern.split("*")[0]
    for length in range(9):
        the_clients_function(first + "x" * length, pattern)
