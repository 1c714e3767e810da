"""A build file says what it means, with variables filled in and settings put before it."""

from pathlib import Path

import pytest
from build_files import BASE, MODULE, ROOTFS, loaded, refusal
from hypothesis import given
from hypothesis import strategies as st

from bistable.artifact import SoftwareVersion
from bistable.artifact.image import ImageKind
from bistable.artifact.spec import BuildSpec, SignWith

# --- what it says


def test_a_short_file_gets_the_defaults() -> None:
    assert loaded(ROOTFS) == BuildSpec(
        name="release-1",
        payload_type="rootfs-image",
        device_types=("board",),
        files=(BASE / "rootfs.ext4",),
        checksum_key="rootfs-image.checksum",
    )


def test_paths_start_where_the_file_is_unless_they_are_absolute() -> None:
    assert loaded(MODULE).files == (BASE / "a", Path("/b"))


def test_every_key_arrives() -> None:
    spec = loaded(
        """
        [artifact]
        name = "release-1"
        type = "rootfs-image"
        device-types = ["board", "other"]
        output = "out.mender"
        compression = "zstd:9,threads=2"
        scripts = ["scripts"]
        [payload]
        file = "root"
        checksum = "rootfs_image_checksum"
        [image]
        type = "squashfs"
        label = "root"
        compression = "gzip"
        keep-owners = true
        [provides]
        artifact_group = "stable"
        "rootfs-image.app.version" = "7"
        [depends]
        artifact_name = ["a", "b"]
        artifact_group = ["c"]
        key = "value"
        [clears]
        patterns = ["x.*"]
        defaults = false
        [software]
        filesystem = "fs"
        name = "n"
        version = "v"
        defaults = false
        [sign]
        key = "key.pem"
        """
    )
    assert (spec.device_types, spec.output, spec.scripts) == (
        ("board", "other"),
        BASE / "out.mender",
        (BASE / "scripts",),
    )
    assert (spec.codec.level, spec.codec.threads) == (9, 2)
    assert spec.checksum_key == "rootfs_image_checksum"
    image = spec.image
    assert (image.kind, image.label, image.compression, image.keep_owners) == (ImageKind.SQUASHFS, "root", "gzip", True)
    assert (spec.group, spec.provides) == ("stable", {"rootfs-image.app.version": "7"})
    assert (spec.depends_names, spec.depends_groups, spec.depends) == (("a", "b"), ("c",), {"key": "value"})
    assert (spec.clears, spec.default_clears) == (("x.*",), False)
    assert spec.software == SoftwareVersion(filesystem="fs", name="n", version="v", use_defaults=False)
    assert spec.sign_with == SignWith(key=BASE / "key.pem")


@pytest.mark.parametrize(("text", "kind"), [("bootstrap", None), ("rootfs", "rootfs-image"), ("docker", "docker")])
def test_types_have_names(text: str, kind: str | None) -> None:
    files = {"bootstrap": "", "rootfs": 'file = "f"', "docker": 'files = ["f"]'}
    spec = loaded(ROOTFS.replace("rootfs-image", text).replace('file = "rootfs.ext4"', files[text]))
    assert spec.payload_type == kind


@pytest.mark.parametrize(
    ("text", "size"), [("1000", 1000), ("4KiB", 4096), ("512MiB", 512 << 20), ("2 GiB", 2 << 30), ("5MB", 5_000_000)]
)
def test_an_image_has_a_size(text: str, size: int) -> None:
    assert loaded(f'{ROOTFS}[image]\nsize = "{text}"').image.size == size


def test_the_checksum_can_be_left_out() -> None:
    assert loaded(f'{ROOTFS}checksum = "none"').checksum_key is None
    assert loaded(MODULE).checksum_key is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('pkcs11 = "pkcs11:object=k"', SignWith(pkcs11="pkcs11:object=k")),
        (
            'command = ["./sign", "-k", "a/b"]\npublic-key = "k.pub"',
            SignWith(command=("/base/sign", "-k", "a/b"), public_key=BASE / "k.pub"),
        ),
        ('command = ["sign"]\npublic-key = "/k"', SignWith(command=("sign",), public_key=Path("/k"))),
    ],
)
def test_a_key_can_be_elsewhere(text: str, expected: SignWith) -> None:
    assert loaded(f"{ROOTFS}[sign]\n{text}").sign_with == expected


# --- variables


def test_variables_are_filled_in_everywhere_in_strings() -> None:
    text = MODULE.replace("release-1", "release-${V}").replace('"a"', '"${V}.bin"') + 'meta-data = { a = ["${V}"] }\n'
    spec = loaded(text, variables={"V": "2"})
    assert (spec.name, spec.files[0], spec.meta_data) == ("release-2", BASE / "2.bin", {"a": ["2"]})


@given(st.text(alphabet="ab$", max_size=8))
def test_dollars_without_a_brace_stay(text: str) -> None:
    assert loaded(ROOTFS.replace("release-1", text + ".")).name == text + "."


def test_two_dollars_before_a_brace_stand_for_one() -> None:
    assert loaded(ROOTFS.replace("release-1", "$${V}-$${")).name == "${V}-${"


def test_what_a_variable_holds_is_not_filled_in_again() -> None:
    assert loaded(ROOTFS.replace("release-1", "${A}"), variables={"A": "${B}"}).name == "${B}"


def test_a_variable_that_is_not_set_is_an_error() -> None:
    error = refusal(ROOTFS.replace("release-1", "${VERSION}"), variables={"OTHER": ""})
    assert error.what == "cannot use release.toml: line 3, [artifact] name: the variable VERSION is not set"
    assert error.hint == "set it: export VERSION=..."


@pytest.mark.parametrize("text", ["${", "${}", "${A B}", "${1A}", "a${b"])
def test_a_broken_variable_is_an_error(text: str) -> None:
    assert "line 3, [artifact] name" in refusal(ROOTFS.replace("release-1", text)).what


# --- settings


def test_settings_go_before_the_file() -> None:
    spec = loaded(
        ROOTFS,
        settings={
            "artifact.name": "1.0",
            "artifact.device-types": '["a", "b"]',
            "clears.defaults": "false",
            "provides.a.b": "x=y",
        },
    )
    assert (spec.name, spec.device_types, spec.default_clears, spec.provides) == (
        "1.0",
        ("a", "b"),
        False,
        {"a.b": "x=y"},
    )


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("artifact.nam", "x", "cannot set artifact.nam: build files have no such key"),
        ("name", "x", "cannot set name: build files have no such key"),
        ("clears.defaults", "no", "cannot set clears.defaults to 'no': it is true or false"),
        ("artifact.device-types", "board", "cannot set artifact.device-types to 'board': it is a list of strings"),
    ],
)
def test_a_wrong_setting_is_an_error(name: str, value: str, what: str) -> None:
    error = refusal(ROOTFS, settings={name: value})
    assert error.what == what
    assert error.hint
