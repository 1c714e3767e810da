"""version, manifest, header-info and type-info, from bytes and back. FORMAT.md §2, §3, §5."""

from collections.abc import Callable
from typing import Any

import pytest
from answers import accepted, check_refusal, refused, tolerated
from forge import Forge, Line, encode, header_info, module, type_info, version_2
from hypothesis import given
from hypothesis import strategies as st

from bistable.artifact import HeaderInfo, Manifest, RejectedError, TypeInfo, UnsupportedError
from bistable.artifact.documents import (
    VERSION_3,
    encode_header_info,
    encode_manifest,
    encode_type_info,
    parse_header_info,
    parse_manifest,
    parse_type_info,
)
from bistable.artifact.model import ManifestLine

NAME = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=40).filter(
    str.isprintable
)
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)


# --- version (§2)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(VERSION_3, id="as written"),
        pytest.param(b'{\n  "version": 3,\n  "format": "mender"\n}\n', id="pretty, other order"),
    ],
)
def test_version_3_is_accepted_with_any_white_space(body: bytes) -> None:
    assert accepted(Forge(version=body).build()).head.version == 3


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        pytest.param(b"", "json.syntax", id="empty"),
        pytest.param(b"3", "json.kind", id="a number alone"),
        pytest.param(b'{"format":"foo","version":3}', "version.format", id="another format"),
        pytest.param(b'{"version":3}', "version.format", id="no format"),
        pytest.param(b'{"format":"Mender","version":3}', "version.format", id="another case"),
        pytest.param(b'{"Format":"mender","VERSION":3}', "version.format", id="keys in another case"),
        pytest.param(b'{"format":["mender"],"version":3}', "version.format", id="format in a list"),
        pytest.param(b'{"format":"mender"}', "version.number", id="no version"),
        pytest.param(b'{"format":"mender","version":"3"}', "version.number", id="version as text"),
        pytest.param(b'{"format":"mender","version":3.0}', "version.number", id="version as a fraction"),
        pytest.param(b'{"format":"mender","version":true}', "version.number", id="version as truth"),
        pytest.param(b'{"format":"mender","version":null}', "version.number", id="version null"),
        pytest.param(b'{"format":"mender","version":3}x', "json.trailing", id="something behind"),
        pytest.param(b'{"format":"mender","version":2,"version":3}', "json.duplicate-key", id="two versions"),
        pytest.param(VERSION_3 + b" " * 4096, "limit.member", id="longer than 4 KiB"),
    ],
)
def test_a_version_document_that_says_something_else_is_refused(body: bytes, rule: str) -> None:
    refused(Forge(version=body).build(), rule)


@pytest.mark.parametrize("number", ["1", "0", "4", "-3", "9" * 4000])
def test_an_unknown_version_is_unsupported(number: str) -> None:
    error = refused(
        Forge(version=b'{"format":"mender","version":' + number.encode() + b"}").build(), "version.unsupported"
    )
    assert isinstance(error, UnsupportedError)
    assert error.exit_code == 5


def test_an_unknown_key_in_version_is_tolerated() -> None:
    tolerated(Forge(version=b'{"format":"mender","version":3,"x":1}').build(), "json.unknown-key")


# --- manifest (§3)


def lines(change: Callable[[list[Line]], list[Line]], **parts: Any) -> bytes:
    return Forge(lines=change, **parts).build()


ZERO = "0" * 64


@given(st.lists(st.tuples(st.binary(min_size=32, max_size=32), NAME), max_size=6, unique_by=lambda pair: pair[1]))
def test_a_manifest_is_read_back_as_it_was_written(pairs: list[tuple[bytes, str]]) -> None:
    manifest = Manifest(lines=tuple(ManifestLine(digest=digest.hex(), name=name) for digest, name in pairs))
    assert parse_manifest(encode_manifest(manifest), member="manifest", found=[]) == manifest


@given(
    st.binary(max_size=300)
    | st.lists(st.sampled_from([b"a" * 64, b"  ", b"\n", b"x", b" ", b"\r"]), max_size=12).map(b"".join)
)
def test_any_bytes_are_a_manifest_or_are_refused(raw: bytes) -> None:
    found: list[Any] = []
    try:
        manifest = parse_manifest(raw, member="manifest", found=found)
    except RejectedError as error:
        check_refusal(error, ("manifest.line", "manifest.duplicate"))
    else:
        # What was understood is all there is: nothing was skipped or normalised.
        assert encode_manifest(manifest) == raw + (b"\n" if found else b"")


@pytest.mark.parametrize("order", [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 1, 0]])
def test_lines_may_stand_in_any_order(order: list[int]) -> None:
    accepted(lines(lambda ls: [ls[i] for i in order]))


@pytest.mark.parametrize("last", ["version", "data"])
def test_a_last_line_without_an_end_is_tolerated(last: str) -> None:
    order = [0, 1, 2] if last == "version" else [1, 2, 0]
    tolerated(
        Forge(lines=lambda ls: [ls[i] for i in order], manifest=lambda raw: raw[:-1]).build(), "manifest.unterminated"
    )


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda raw: raw.replace(b"\n", b"\r\n"), id="CR LF"),
        pytest.param(lambda raw: raw.replace(b"\n", b"\r"), id="CR"),
        pytest.param(lambda raw: raw.replace(b"\n", b"\n\n"), id="blank lines"),
        pytest.param(lambda raw: b"\n" + raw, id="blank line first"),
        pytest.param(lambda raw: raw + b"\n", id="blank line last"),
        pytest.param(lambda raw: raw.replace(b"\n", b"  \n"), id="blanks at the end"),
        pytest.param(lambda raw: b" " + raw, id="blank at the start"),
        pytest.param(lambda raw: raw.replace(b"  ", b" "), id="one blank"),
        pytest.param(lambda raw: raw.replace(b"  ", b"   "), id="three blanks"),
        pytest.param(lambda raw: raw.replace(b"  ", b"\t"), id="tab"),
        pytest.param(lambda raw: raw.replace(b"  ", b" *"), id="binary mode"),
        pytest.param(lambda raw: raw.replace(b"version", b"ver sion"), id="blank in a name"),
        pytest.param(lambda raw: raw.replace(b"version", b"version\x0b"), id="vertical tab in a name"),
        pytest.param(lambda raw: raw.replace(b"version", b"\xff"), id="name not in UTF-8"),
        pytest.param(lambda raw: raw[:64].upper() + raw[64:], id="upper-case digits"),
        pytest.param(lambda raw: raw[24:], id="short digest"),
        pytest.param(lambda raw: b"0" + raw, id="long digest"),
        pytest.param(lambda raw: b"g" + raw[1:], id="not a digit"),
        pytest.param(lambda raw: b"\\" + raw, id="backslash before the digest, as sha256sum writes"),
        pytest.param(lambda raw: b"\xef\xbb\xbf" + raw, id="byte order mark"),
        pytest.param(lambda raw: raw.replace(b"\n", b"\x00"), id="zero bytes"),
        pytest.param(lambda raw: raw + b"x", id="rubbish in a last line without end"),
    ],
)
def test_a_manifest_of_another_grammar_is_refused(change: Callable[[bytes], bytes]) -> None:
    refused(Forge(manifest=change).build(), "manifest.line")


def test_the_faulty_line_is_told() -> None:
    where = refused(Forge(manifest=lambda raw: raw + b"x\n").build(), "manifest.line").where
    assert where is not None
    assert (where.member, where.line, where.offset) == ("manifest", 4, 64 * 3 + 6 + 21 + 13 + 7 + 3)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        pytest.param(lambda ls: [], "manifest.missing", id="no line at all"),
        pytest.param(lambda ls: ls[:-1], "manifest.missing", id="version not listed"),
        pytest.param(lambda ls: [ls[0], ls[2]], "manifest.missing", id="header not listed"),
        pytest.param(lambda ls: ls[1:], "payload.unlisted", id="file not listed"),
        pytest.param(lambda ls: [*ls, ls[-1]], "manifest.duplicate", id="line twice"),
        pytest.param(lambda ls: [(ZERO, ls[0][1]), *ls], "manifest.duplicate", id="file with two digests"),
        pytest.param(lambda ls: [*ls, (ZERO, "foo")], "manifest.unknown", id="stray name"),
        pytest.param(lambda ls: [*ls, (ZERO, "manifest")], "manifest.unknown", id="manifest in itself"),
        pytest.param(lambda ls: [*ls, (ZERO, "header.tar")], "manifest.unknown", id="second header"),
        pytest.param(lambda ls: [*ls, (ZERO, "data/0000.tar.gz")], "manifest.unknown", id="the data member"),
        pytest.param(lambda ls: [*ls, (ZERO, "data/0001/x")], "manifest.unknown", id="second payload"),
        pytest.param(
            lambda ls: [(ls[0][0], "data/000/rootfs.ext4"), *ls[1:]], "manifest.unknown", id="number of 3 digits"
        ),
        pytest.param(lambda ls: [*ls, (ZERO, "data/00x0/f")], "manifest.unknown", id="number that is none"),
        pytest.param(lambda ls: [*ls, (ZERO, "header-augment.tar.gz")], "manifest.unknown", id="augmented header"),
        pytest.param(lambda ls: [*ls, (ZERO, "\x1b]0;pwned\x07")], "manifest.unknown", id="terminal commands"),
        pytest.param(lambda ls: [*ls[:-1], (ZERO, "version")], "digest.mismatch", id="wrong digest of version"),
        pytest.param(lambda ls: [ls[0], (ZERO, ls[1][1]), ls[2]], "digest.mismatch", id="wrong digest of the header"),
        pytest.param(lambda ls: [(ZERO, ls[0][1]), *ls[1:]], "digest.mismatch", id="wrong digest of a file"),
    ],
)
def test_a_manifest_that_does_not_fit_the_artifact_is_refused(
    change: Callable[[list[Line]], list[Line]], rule: str
) -> None:
    refused(lines(change), rule)


def test_a_listed_file_that_does_not_come_is_refused() -> None:
    refused(module(("a", b"1"), lines=lambda ls: [(ZERO, "data/0000/ghost"), *ls]).build(), "payload.missing")


@pytest.mark.parametrize(
    "name", ["..", ".", "", "sub/file", "../../etc/passwd", "/rootfs.ext4", "ä", "a~b", "a:b", "a\x00b"]
)
def test_a_file_name_that_leads_elsewhere_or_is_odd_is_refused(name: str) -> None:
    refused(module((name, b"x")).build(), ("payload.file-name", "manifest.line"))


@pytest.mark.parametrize("name", ["a", "...", "-rf", "a.b,c_d-E9", "x" * 90])
def test_a_plain_file_name_is_accepted(name: str) -> None:
    tolerated(module((name, b"x")).build())


def test_a_file_name_over_90_bytes_is_tolerated() -> None:
    tolerated(module(("x" * 91, b"x")).build(), "payload.long-name")


def test_a_manifest_over_1_mib_is_refused() -> None:
    refused(Forge(manifest=lambda raw: raw * 8000).build(), "limit.member")


# --- header-info (§5.1)

PROVIDES = {"artifact_name": "release-1"}
DEPENDS = {"device_type": ["board"]}


def with_info(document: Any) -> bytes:
    return Forge(info=document).build()


@given(
    st.builds(
        HeaderInfo,
        payload_type=st.none()
        | st.just("rootfs-image")
        | NAME.filter(lambda n: not n.startswith(".") and "/" not in n),
        artifact_name=NAME,
        device_types=st.lists(NAME, min_size=1, max_size=3).map(tuple),
        artifact_group=st.none() | NAME,
        depends_names=st.lists(NAME, max_size=2).map(tuple),
        depends_groups=st.lists(NAME, max_size=2).map(tuple),
    )
)
def test_a_header_info_is_read_back_as_it_was_written(info: HeaderInfo) -> None:
    assert parse_header_info(encode_header_info(info), version=3, found=[]) == info


@pytest.mark.parametrize(
    ("document", "rule"),
    [
        pytest.param(b"{", "json.syntax", id="broken"),
        pytest.param(b"[]", "json.kind", id="an array"),
        pytest.param(encode(header_info()) + b"{}", "json.trailing", id="two objects"),
        pytest.param(b"\xef\xbb\xbf" + encode(header_info()), "json.syntax", id="byte order mark"),
        pytest.param(encode(header_info())[:-1] + b',"payloads":[]}', "json.duplicate-key", id="payloads twice"),
        pytest.param(header_info(payloads=...), "header-info.payloads", id="no payloads"),
        pytest.param(header_info(payloads=[]), "header-info.payloads", id="zero payloads"),
        pytest.param(header_info(payloads=[{"type": "rootfs-image"}] * 2), "header-info.payloads", id="two payloads"),
        pytest.param(
            header_info(payloads={"type": "rootfs-image"}), "header-info.payloads", id="payload outside a list"
        ),
        pytest.param(header_info(payloads=["rootfs-image"]), "header-info.payloads", id="payload as text"),
        pytest.param(header_info(payloads=[{}]), "header-info.payload-type", id="payload without type"),
        pytest.param(header_info(""), "header-info.payload-type", id="empty type"),
        pytest.param(header_info("../../bin/sh"), "header-info.payload-type", id="type that leads elsewhere"),
        pytest.param(header_info(".."), "header-info.payload-type", id="type dot dot"),
        pytest.param(header_info("a\nb"), "header-info.payload-type", id="type with a line end"),
        pytest.param(header_info(payloads=[{"type": 1}]), "header-info.payload-type", id="type as a number"),
        pytest.param(header_info(payloads=[{"type": ["x" * 5000]}]), "header-info.payload-type", id="type as a list"),
        pytest.param(header_info(artifact_provides=...), "header-info.kind", id="no provides"),
        pytest.param(header_info(artifact_provides=[]), "header-info.kind", id="provides as a list"),
        pytest.param(header_info(artifact_provides={}), "header-info.text", id="no name"),
        pytest.param(header_info(artifact_provides={"artifact_name": ""}), "header-info.text", id="empty name"),
        pytest.param(header_info(artifact_provides={"artifact_name": 1}), "header-info.text", id="name as a number"),
        pytest.param(header_info(artifact_provides={"artifact_name": ["a"]}), "header-info.text", id="name as a list"),
        pytest.param(
            header_info(artifact_provides={"artifact_name": "a\nb"}), "header-info.text", id="line end in a name"
        ),
        pytest.param(
            header_info(artifact_provides={"artifact_name": "\u202eabc"}), "header-info.text", id="direction mark"
        ),
        pytest.param(header_info(artifact_provides={"artifact_name": "x" * 257}), "header-info.text", id="257 bytes"),
        pytest.param(
            header_info(artifact_provides={"artifact_name": "ä" * 129}), "header-info.text", id="258 bytes in UTF-8"
        ),
        pytest.param(
            header_info(artifact_provides={**PROVIDES, "artifact_group": ""}), "header-info.text", id="empty group"
        ),
        pytest.param(header_info(artifact_depends=...), "header-info.kind", id="no depends"),
        pytest.param(header_info(artifact_depends=None), "header-info.kind", id="depends null"),
        pytest.param(header_info(artifact_depends={}), "header-info.device-type", id="no device type"),
        pytest.param(
            header_info(artifact_depends={"device_type": []}), "header-info.device-type", id="zero device types"
        ),
        pytest.param(header_info(artifact_depends={"device_type": "board"}), "json.list", id="device type as text"),
        pytest.param(header_info(artifact_depends={"device_type": [1]}), "json.list", id="device type as a number"),
        pytest.param(header_info(artifact_depends={"device_type": [""]}), "header-info.text", id="empty device type"),
        pytest.param(header_info(artifact_depends={**DEPENDS, "artifact_name": "a"}), "json.list", id="names as text"),
        pytest.param(
            header_info(artifact_depends={**DEPENDS, "artifact_group": {}}), "json.list", id="groups as an object"
        ),
    ],
)
def test_a_faulty_header_info_is_refused(document: Any, rule: str) -> None:
    refused(with_info(document), rule)


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(header_info(x=1), id="at the top"),
        pytest.param(header_info(artifact_provides={**PROVIDES, "x": 1}), id="in provides"),
        pytest.param(header_info(artifact_depends={**DEPENDS, "x": [[1]]}), id="in depends"),
        pytest.param(header_info(payloads=[{"type": "rootfs-image", "x": 1}]), id="in a payload"),
    ],
)
def test_unknown_keys_in_header_info_are_tolerated(document: Any) -> None:
    tolerated(with_info(document), "json.unknown-key")


def test_a_hundred_thousand_unknown_keys_do_not_make_as_many_findings() -> None:
    assert len(accepted(with_info(header_info() | {f"{n:x}": 1 for n in range(90_000)})).findings) < 100


def test_names_of_256_bytes_with_blanks_and_any_script_are_read() -> None:
    name = "Änderung № 5 " + "x" * 240
    assert (
        accepted(with_info(header_info(artifact_provides={"artifact_name": name}))).head.header.info.artifact_name
        == name
    )


# --- type-info (§5.2)


def with_type_info(document: Any, **parts: Any) -> bytes:
    return Forge(type_info=document, **parts).build()


@given(
    st.builds(
        TypeInfo,
        payload_type=st.none() | st.just("mod"),
        provides=st.dictionaries(TEXT, TEXT, max_size=3),
        depends=st.dictionaries(TEXT, TEXT | st.lists(TEXT, max_size=2).map(tuple), max_size=3),
        clears_provides=st.none() | st.lists(TEXT, max_size=3).map(tuple),
    )
)
def test_a_type_info_is_read_back_as_it_was_written(info: TypeInfo) -> None:
    assert parse_type_info(encode_type_info(info), found=[]) == info


@pytest.mark.parametrize(
    ("document", "rule"),
    [
        pytest.param(b"", "json.syntax", id="empty"),
        pytest.param(b"{", "json.syntax", id="broken"),
        pytest.param(encode(type_info()) + b"x", "json.trailing", id="something behind"),
        pytest.param(type_info(type=...), "type-info.type", id="no type"),
        pytest.param(type_info("other"), "header.type", id="another type"),
        pytest.param(type_info(type=1), "header-info.payload-type", id="type as a number"),
        pytest.param(type_info("a/b"), "header-info.payload-type", id="type that leads elsewhere"),
        pytest.param(type_info(artifact_provides=[]), "type-info.kind", id="provides as a list"),
        pytest.param(type_info(artifact_provides={"a": 1}), "type-info.provides", id="provides a number"),
        pytest.param(type_info(artifact_provides={"a": ["b"]}), "type-info.provides", id="provides a list"),
        pytest.param(type_info(artifact_provides={"a": None}), "type-info.provides", id="provides null"),
        pytest.param(type_info(artifact_provides={"artifact_name": "b"}), "type-info.provides", id="provides the name"),
        pytest.param(type_info(artifact_depends="a"), "type-info.kind", id="depends as text"),
        pytest.param(type_info(artifact_depends={"a": 1}), "json.list", id="depends on a number"),
        pytest.param(type_info(artifact_depends={"a": [1]}), "json.list", id="depends on a list of numbers"),
        pytest.param(type_info(clears_artifact_provides="*"), "json.list", id="clears as text"),
        pytest.param(type_info(clears_artifact_provides=[None]), "json.list", id="clears null"),
    ],
)
def test_a_faulty_type_info_is_refused(document: Any, rule: str) -> None:
    refused(with_type_info(document), rule)


def test_a_group_may_be_provided_in_one_place_only() -> None:
    both = {"artifact_group": "g"}
    accepted(with_type_info(type_info(artifact_provides=both)))
    info = header_info(artifact_provides={**PROVIDES, **both})
    refused(with_type_info(type_info(artifact_provides=both), info=info), "type-info.provides")


@pytest.mark.parametrize("empty", ["", None])
def test_the_empty_type_of_a_known_fault_is_tolerated_for_rootfs_images_only(empty: str | None) -> None:
    tolerated(with_type_info(type_info(empty)), "type-info.empty-type")
    refused(module(type_info=type_info(empty)).build(), "header.type")


def test_a_depends_value_may_be_a_list() -> None:
    artifact = tolerated(with_type_info(type_info(artifact_depends={"a": ["b", "c"], "d": "e"})))
    assert artifact.head.header.type_info.depends == {"a": ("b", "c"), "d": "e"}


def test_an_absent_clears_list_differs_from_an_empty_one() -> None:
    assert accepted(with_type_info(type_info())).head.header.type_info.clears_provides is None
    empty = with_type_info(type_info(clears_artifact_provides=[]))
    assert accepted(empty).head.header.type_info.clears_provides == ()


def test_an_unknown_key_in_type_info_is_tolerated() -> None:
    tolerated(with_type_info(type_info(x={})), "json.unknown-key")


# --- version 2 (§9)


def test_version_2_is_read() -> None:
    head = tolerated(version_2().build()).head
    assert (head.version, head.header.info.artifact_name, head.header.info.device_types) == (2, "release-1", ("board",))


INFO_2 = {"artifact_name": "a", "updates": [{"type": "rootfs-image"}], "device_types_compatible": ["b"]}


@pytest.mark.parametrize(
    ("parts", "rule"),
    [
        pytest.param({"info": header_info()}, "header-info.payloads", id="header-info of version 3"),
        pytest.param(
            {"info": {**INFO_2, "updates": [{"type": "mod"}]}}, "header-info.payload-type", id="update module"
        ),
        pytest.param({"info": {**INFO_2, "artifact_name": ""}}, "header-info.text", id="empty name"),
        pytest.param(
            {"info": {**INFO_2, "device_types_compatible": []}}, "header-info.device-type", id="no device type"
        ),
        pytest.param({"files_entry": []}, "header.missing", id="no list of files"),
        pytest.param({"files_entry": [("headers/0000/files", b'{"files":[]}')]}, "files.count", id="no file"),
        pytest.param({"files_entry": [("headers/0000/files", b'{"files":["a","b"]}')]}, "files.count", id="two files"),
        pytest.param(
            {"files_entry": [("headers/0000/files", b'{"files":["x"]}')]}, "files.mismatch", id="another file"
        ),
        pytest.param({"files_entry": [("headers/0000/files", b'{"files":"x"}')]}, "json.list", id="files as text"),
        pytest.param({"type_info": type_info()}, "type-info.version", id="provides"),
    ],
)
def test_a_faulty_version_2_artifact_is_refused(parts: dict[str, Any], rule: str) -> None:
    refused(version_2(**parts).build(), rule)
