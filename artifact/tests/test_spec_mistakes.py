"""Every mistake in a build file is named by line, table and key."""

from typing import Final

import pytest
from build_files import BASE, MODULE, ROOTFS, refusal
from hypothesis import given
from hypothesis import strategies as st

from bistable.artifact import RequestError
from bistable.artifact.spec import SIZE_LIMIT, TABLES, load
from bistable.artifact.spec.schema import Form
from bistable.artifact.spec.text import BuildText


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
