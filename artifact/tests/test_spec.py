"""A build file says what it means, and every mistake in it is named by line, table and key."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
from forge import KEYS
from hypothesis import given
from hypothesis import strategies as st

from bistable.artifact import KeyUnusableError, Options, RequestError, SoftwareVersion, read_artifact, write_artifact
from bistable.artifact.image import ImageKind
from bistable.artifact.spec import (
    SIZE_LIMIT,
    TABLES,
    BuildSpec,
    SignWith,
    json_schema,
    load,
    open_signer,
    read_scripts,
    to_request,
)
from bistable.artifact.spec.schema import Form
from bistable.artifact.spec.text import BuildText

DOCS: Final = Path(__file__).resolve().parents[2] / "docs" / "reference"
BASE: Final = Path("/base")
ROOTFS: Final = """
[artifact]
name = "release-1"
type = "rootfs-image"
device-types = ["board"]
[payload]
file = "rootfs.ext4"
"""
MODULE: Final = """
[artifact]
name = "release-1"
type = "single-file"
device-types = ["board"]
[payload]
files = ["a", "/b"]
"""


def loaded(text: str, **more: Any) -> BuildSpec:
    return load(text.encode(), BASE, origin="release.toml", **more)


def refusal(text: str, **more: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        loaded(text, **more)
    return caught.value


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


# --- mistakes


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (f"a = {'[' * 4000}", "it is not TOML: lists or tables are nested too deeply"),
        (f"a = {'1' * 5000}\n", "it is not TOML: a number has too many digits"),
        (f"a = 1\n{'b.' * 5000}c = 1\n", "line 2 has more than 8192 bytes"),
    ],
    ids=["nested", "digits", "dotted"],
)
def test_a_text_that_would_occupy_the_parser_is_refused(text: str, what: str) -> None:
    with pytest.raises(RequestError) as caught:
        BuildText(text.encode(), origin="release.toml")
    assert caught.value.what == f"cannot use release.toml: {what}"


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        ("[artifact", "it is not TOML: expected ']' at the end of a table declaration (at end of document)", "quotes"),
        ("[artifact]\nname = release", "it is not TOML: invalid value (at line 2, column 8)", "quotes"),
        ("[artefact]\n", "line 1, [artefact]: there is no such table", "did you mean artifact?"),
        ("zzz = 1\n", "line 1, [zzz]: there is no such table", "there are artifact, payload"),
        ("artifact = 1\n", "line 1, [artifact]: it is a table, not a value", "write [artifact]"),
        ("", "[artifact]: name is missing", 'add name = "release-1.4"'),
        ('[artifact]\nname = "a"\n', "line 1, [artifact]: type is missing", "add type ="),
        (f"{ROOTFS}[artifact.x]\n", "line 8, [artifact] x: there is no such key", "there are name"),
        (ROOTFS.replace("name", "nmae"), "line 3, [artifact] nmae: there is no such key", "did you mean name?"),
        (
            ROOTFS.replace('"release-1"', "1.0"),
            "line 3, [artifact] name: it must be a string",
            'write name = "release-1.4"',
        ),
        (
            ROOTFS.replace('["board"]', '"board"'),
            "line 5, [artifact] device-types: it must be a list of strings",
            'write device-types = ["beaglebone"]',
        ),
        (
            f"{ROOTFS}[clears]\ndefaults = 1\n",
            "line 9, [clears] defaults: it must be true or false",
            "defaults = false",
        ),
        (f"{ROOTFS}[provides]\na.b = 'x'\n", "[provides] a: it must be a string", "a key with dots stands in quotes"),
        (f"{ROOTFS}[depends]\na = ['x']\n", "line 9, [depends] a: it must be a string", 'write a = "1.0"'),
        (
            f"{ROOTFS}[provides]\nartifact_name = 'x'\n",
            "line 9, [provides] artifact_name: it has a place",
            "[artifact]",
        ),
        (f"{ROOTFS}[depends]\ndevice_type = 'x'\n", "line 9, [depends] device_type: it has a place", "device-types"),
        (f"{ROOTFS}files = ['x']\n", "line 8, [payload] files: there is a file already", "one of the two"),
        (ROOTFS.replace("file =", "files ="), "it must be a list of strings", "files = ["),
        (MODULE.replace("single-file", "rootfs-image"), "line 6, [payload]: a rootfs-image has one file", "file ="),
        (ROOTFS.replace('file = "rootfs.ext4"', ""), "line 6, [payload]: file is missing", "file ="),
        (MODULE.replace("single-file", "bootstrap"), "[payload]: the type bootstrap has no files", "update module"),
        (f'{MODULE}checksum = "none"\n', "[payload] checksum: only a rootfs-image provides its checksum", None),
        (f'{ROOTFS}checksum = "md5"\n', "line 8, [payload] checksum: 'md5' is unknown", "use rootfs-image.checksum"),
        (f"{ROOTFS}meta-data = {{}}\n", "[payload] meta-data: only artifacts for an update module have", None),
        (f'{MODULE}meta-data = {{}}\nmeta-data-file = "x"\n', "[payload] meta-data-file: meta-data is there", None),
        (f"{MODULE}[image]\n", "line 8, [image]: only a rootfs-image has an image", None),
        (f'{ROOTFS}[image]\ntype = "vfat"\n', "line 9, [image] type: 'vfat' cannot be made", "use ext4"),
        (f'{ROOTFS}[image]\nsize = "1.5GiB"\n', "line 9, [image] size: '1.5GiB' is not a size", "KiB"),
        (
            ROOTFS.replace("[payload]", 'compression = "zip"\n[payload]'),
            "line 6, [artifact] compression: unknown",
            "use none, gzip",
        ),
        (f"{ROOTFS}[sign]\n", "line 8, [sign]: no key is named", "one of key, pkcs11 and command"),
        (f"{ROOTFS}[sign]\nkey = 'k'\npkcs11 = 'p'\n", "line 8, [sign]: key and pkcs11 exclude one another", "one of"),
        (f"{ROOTFS}[sign]\ncommand = ['c']\n", "line 8, [sign]: command and public-key go together", "checked"),
        (
            f"{ROOTFS}[sign]\nkey = '''-----BEGIN PRIVATE KEY-----\nMC4='''\n",
            "line 9, [sign] key: it holds a key",
            "write the path",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place_and_what_would_be_right(text: str, what: str, hint: str | None) -> None:
    error = refusal(text)
    assert error.what.startswith("cannot use release.toml: ")
    assert what in error.what
    assert (hint is None) == (error.hint is None)
    assert hint is None or hint in (error.hint or "")


def test_a_key_in_a_build_file_is_not_repeated_in_the_message() -> None:
    error = refusal(f"{ROOTFS}[sign]\nkey = '''-----BEGIN PRIVATE KEY-----\nMC4CAQAw'''\n")
    assert "MC4" not in error.what + (error.hint or "")


def test_a_file_that_is_no_text_is_an_error() -> None:
    with pytest.raises(RequestError, match="it is not text in UTF-8"):
        load(b"\xff", BASE)


def test_a_huge_file_is_an_error() -> None:
    with pytest.raises(RequestError, match="it has more than 1 MiB"):
        load(b" " * (SIZE_LIMIT + 1), BASE)


@given(st.text(max_size=200))
def test_no_text_whatever_ends_in_anything_but_a_request_error(text: str) -> None:
    with pytest.raises(RequestError):
        load(text.encode("utf-8", "surrogatepass"), BASE)


VALUES: Final = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


@given(st.sampled_from(sorted(TABLES)), st.data())
def test_a_value_of_the_wrong_form_never_gets_through(table: str, data: st.DataObject) -> None:
    keys = TABLES[table].keys
    key = data.draw(st.sampled_from(keys))
    value = data.draw(VALUES)
    assert (
        key.form.holds(value)
        == (
            {
                Form.TEXT: isinstance(value, str),
                Form.FLAG: isinstance(value, bool),
                Form.TEXTS: isinstance(value, list) and all(isinstance(item, str) for item in value),
                Form.OBJECT: isinstance(value, dict),
            }[key.form]
        )
    )


# --- from the file to an artifact


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


# --- the reference


def test_the_reference_explains_every_table_and_key() -> None:
    text = (DOCS / "build-file.md").read_text()
    for table in TABLES.values():
        section = text.partition(f"## `[{table.name}]`")[2].partition("\n## ")[0]
        assert section, table.name
        for key in table.keys:
            form = key.form.value + (", required" if key.required else "")
            row = f"| `{key.name}` | {form} | {key.meaning} | `{key.example}` |"
            assert row in section, row


def test_the_examples_in_the_reference_are_right() -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```", (DOCS / "build-file.md").read_text(), flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 3
    variables = {"VERSION": "1", "KEYS": "/keys"}
    for block in blocks:
        loaded(block, variables=variables)


def test_examples_of_keys_have_the_form_of_their_keys() -> None:
    for table in TABLES.values():
        for key in table.keys:
            assert key.form.holds(tomllib.loads(f"x = {key.example}")["x"])


def test_the_published_json_schema_is_the_one_of_the_code() -> None:
    published = json.loads((DOCS / "schemas" / "build.json").read_text())
    assert published == json_schema()
    jsonschema.Draft202012Validator.check_schema(published)


@pytest.mark.parametrize("text", [ROOTFS, MODULE])
def test_the_json_schema_takes_what_the_program_takes(text: str) -> None:
    jsonschema.validate(tomllib.loads(text), json_schema())


@pytest.mark.parametrize("text", ["", "[artefact]", ROOTFS.replace("name", "nmae"), ROOTFS.replace('"release-1"', "1")])
def test_the_json_schema_refuses_what_the_program_refuses(text: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(text), json_schema())
