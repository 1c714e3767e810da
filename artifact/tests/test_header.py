"""The header archive: its one order, scripts, meta-data, and what else might stand in it. FORMAT.md §5."""

import gzip
from collections.abc import Callable
from typing import Any

import pytest
from answers import accepted, refused, tolerated
from forge import (
    END,
    Forge,
    Member,
    bootstrap,
    compress,
    encode,
    gnu_long_name,
    header_info,
    module,
    pax,
    tar,
    tar_header,
    type_info,
)

ENTER = "ArtifactInstall_Enter_00"
TYPE_INFO = ("headers/0000/type-info", encode(type_info()))
META_DATA = ("headers/0000/meta-data", b"")
INFO = ("header-info", encode(header_info()))
SCRIPT = (f"scripts/{ENTER}", b"#!/bin/sh\n")


def header(*members: Member | bytes, end: bytes = END) -> bytes:
    return Forge(header_archive=tar(*members, end=end)).build()


@pytest.mark.parametrize(
    "members",
    [
        pytest.param([INFO, TYPE_INFO, META_DATA], id="as a rootfs image has them"),
        pytest.param([INFO, SCRIPT, TYPE_INFO, META_DATA], id="with a script"),
        pytest.param([INFO, TYPE_INFO], id="without meta-data"),
        pytest.param([INFO, pax(("mtime", "1.5")), TYPE_INFO], id="with an extension header"),
        pytest.param([INFO, gnu_long_name("headers/0000/type-info"), ("x", TYPE_INFO[1])], id="with a long name"),
    ],
)
def test_members_in_their_order_are_accepted(members: list[Member]) -> None:
    tolerated(header(*members))


@pytest.mark.parametrize(
    ("members", "rule"),
    [
        pytest.param([], "header.missing", id="nothing"),
        pytest.param([INFO], "header.missing", id="header-info alone"),
        pytest.param([INFO, META_DATA], "header.missing", id="no type-info"),
        pytest.param([TYPE_INFO, META_DATA], "header.order", id="no header-info"),
        pytest.param([TYPE_INFO, INFO], "header.order", id="header-info not first"),
        pytest.param([SCRIPT, INFO, TYPE_INFO], "header.order", id="script first"),
        pytest.param([INFO, TYPE_INFO, SCRIPT], "header.order", id="script behind type-info"),
        pytest.param([INFO, META_DATA, TYPE_INFO], "header.order", id="meta-data before type-info"),
        pytest.param([INFO, INFO, TYPE_INFO], "header.order", id="header-info twice"),
        pytest.param([INFO, TYPE_INFO, TYPE_INFO], "header.order", id="type-info twice"),
        pytest.param([INFO, TYPE_INFO, META_DATA, META_DATA], "header.order", id="meta-data twice"),
        pytest.param([("header-info.bak", INFO[1]), TYPE_INFO], "header.unknown", id="name with a suffix"),
        pytest.param([("./header-info", INFO[1]), TYPE_INFO], "header.unknown", id="name with a dot"),
        pytest.param([("HEADER-INFO", INFO[1]), TYPE_INFO], "header.unknown", id="name in another case"),
        pytest.param([INFO, TYPE_INFO, ("foo", b"")], "header.unknown", id="unknown member"),
        pytest.param([INFO, TYPE_INFO, ("headers/0000/foo", b"")], "header.unknown", id="unknown in headers/"),
        pytest.param([INFO, ("headers/0001/type-info", b"{}")], "header.unknown", id="another payload"),
        pytest.param([INFO, ("headers/0000/../../etc/type-info", b"{}")], "header.unknown", id="name that leads out"),
        pytest.param([INFO, ("headers/0000/checksums/x", b""), TYPE_INFO], "header.unknown", id="version 1"),
        pytest.param(
            [INFO, ("headers/0000/files", b'{"files":["rootfs.ext4"]}'), TYPE_INFO], "header.unknown", id="version 2"
        ),
        pytest.param([INFO, ("\x1b[31mred", b"")], "header.unknown", id="name with terminal commands"),
        pytest.param([INFO, pax(("path", "n" * 60_000)), ("x", b"")], "header.unknown", id="name of 60000 characters"),
    ],
)
def test_any_other_order_or_member_is_refused(members: list[Member], rule: str) -> None:
    refused(header(*members), rule)


@pytest.mark.parametrize("flag", [b"1", b"2", b"3", b"4", b"6"], ids=["hard link", "symlink", "char", "block", "fifo"])
@pytest.mark.parametrize("name", ["header-info", f"scripts/{ENTER}", "headers/0000/type-info"])
def test_links_devices_and_pipes_are_refused(name: str, flag: bytes) -> None:
    special = tar_header(name, flag=flag, link=b"/etc/passwd")
    members = [special if member[0] == name else member for member in (INFO, SCRIPT, TYPE_INFO)]
    refused(header(*members), "header.kind")


def test_the_directories_that_tar_makes_are_tolerated() -> None:
    directories = [tar_header(name, flag=b"5") for name in ("scripts/", "headers/", "headers/0000")]
    tolerated(header(INFO, directories[0], SCRIPT, *directories[1:], TYPE_INFO, META_DATA), "header.directory")


def test_other_directories_are_refused() -> None:
    refused(header(INFO, tar_header("headers/0001/", flag=b"5"), TYPE_INFO), "header.kind")


def test_a_directory_twice_is_refused() -> None:
    directory = tar_header("scripts/", flag=b"5")
    refused(header(INFO, directory, directory, TYPE_INFO), "header.order")


# --- scripts (§5.3)


@pytest.mark.parametrize("state", ["Install", "Reboot", "Commit", "Rollback", "RollbackReboot", "Failure"])
@pytest.mark.parametrize("action", ["Enter", "Leave", "Error"])
def test_scripts_of_all_states_are_read(state: str, action: str) -> None:
    name = f"Artifact{state}_{action}_07_näme.sh"
    scripts = tolerated(Forge(scripts=[(name, b"x")]).build()).head.header.scripts
    assert [(script.name, script.content) for script in scripts] == [(name, b"x")]


@pytest.mark.parametrize(
    "name",
    [
        "foo.sh",
        "ArtifactInstall_Enter",
        "ArtifactInstall_Enter_0",
        "ArtifactInstall_Enter_000",
        "ArtifactInstall_Enter_00.sh",
        "ArtifactInstall_Enter_00_",
        "ArtifactInstall_Enter_00_a b",
        "ArtifactInstall_Enter_00_a\n",
        "ArtifactInstall_Enter_00_a\x07",
        "ArtifactInstall_Enter_00_a/b",
        "ArtifactInstall_Enter_00_/../../x",
        "ArtifactInstall_Enter_\u0661\u0662",
        "artifactinstall_enter_00",
        "xArtifactInstall_Enter_00",
        "Idle_Enter_00",
        "Sync_Enter_00",
        "Download_Enter_00",
        "ArtifactDownload_Enter_00",
        "ArtifactInstall_Retry_00",
        "sub/ArtifactInstall_Enter_00",
        "../ArtifactInstall_Enter_00",
    ],
)
def test_other_script_names_are_refused(name: str) -> None:
    refused(Forge(scripts=[(name, b"")]).build(), ("script.name", "header.kind"))


def test_a_script_twice_is_refused() -> None:
    refused(Forge(scripts=[(ENTER, b"1"), (ENTER, b"2")]).build(), "script.duplicate")


def test_twenty_thousand_scripts_take_no_more_than_linear_time() -> None:
    # With a search through all earlier ones this takes minutes.
    scripts = [(f"ArtifactInstall_Enter_00_{n}", b"") for n in range(20_000)]
    assert len(accepted(Forge(scripts=scripts).build()).head.header.scripts) == 20_000


def test_a_script_over_16_mib_is_refused() -> None:
    refused(Forge(scripts=[(ENTER, bytes((16 << 20) + 1))]).build(), "limit.member")


# --- meta-data (§5.4)


def test_meta_data_is_kept_to_the_byte() -> None:
    raw = b'{ "b": 12345678901234567890, "a": [{"x": null}] }\n'
    assert tolerated(module(("a", b""), meta_data=raw).build()).head.header.meta_data == raw


def test_absent_and_empty_meta_data_differ() -> None:
    assert accepted(module(meta_data=None).build()).head.header.meta_data is None
    assert accepted(module(meta_data=b"").build()).head.header.meta_data == b""


@pytest.mark.parametrize(
    ("meta_data", "rule"),
    [
        (b"[]", "json.kind"),
        (b"1", "json.kind"),
        (b"{", "json.syntax"),
        (b" ", "json.syntax"),
        (b"{}x", "json.trailing"),
        (b'{"a":1,"a":1}', "json.duplicate-key"),
        (b'{"a":' * 200 + b"1" + b"}" * 200, "json.depth"),
        (b'{"a":"' + b"x" * (1 << 20) + b'"}', "limit.member"),
    ],
)
def test_meta_data_that_is_no_strict_object_is_refused(meta_data: bytes, rule: str) -> None:
    refused(module(meta_data=meta_data).build(), rule)


def test_meta_data_of_a_rootfs_image_is_tolerated() -> None:
    tolerated(Forge(meta_data=b'{"a":1}').build(), "meta-data.rootfs")


# --- the empty payload (§8)


def test_a_bootstrap_artifact_is_accepted() -> None:
    head = tolerated(bootstrap().build()).head
    assert head.header.info.payload_type is None


@pytest.mark.parametrize(
    ("parts", "rule"),
    [
        pytest.param({"meta_data": b""}, "meta-data.not-allowed", id="meta-data"),
        pytest.param({"files": [("a", b"")]}, "payload.count", id="a file"),
        pytest.param({"type_info": type_info("mod")}, "header.type", id="a type in type-info"),
        pytest.param({"info": header_info("mod")}, "header.type", id="a type in header-info"),
    ],
)
def test_a_bootstrap_artifact_with_more_is_refused(parts: dict[str, Any], rule: str) -> None:
    refused(bootstrap(**parts).build(), rule)


# --- the archive and its compression


@pytest.mark.parametrize("kind", ["", ".gz", ".xz", ".zst"])
@pytest.mark.parametrize(
    "tail",
    [
        pytest.param(lambda stored: stored + b"garbage!", id="rubbish"),
        pytest.param(lambda stored: stored + stored, id="the same again"),
        pytest.param(lambda stored: stored[:-5], id="cut"),
    ],
)
def test_a_header_that_does_not_end_where_it_should_is_refused(tail: Callable[[bytes], bytes], kind: str) -> None:
    stored = compress(kind, tar(INFO, TYPE_INFO, META_DATA))
    if kind == "" and len(tail(stored)) < len(stored):
        return  # zeros that are missing at the end of a plain archive are tolerated
    refused(Forge(kind=kind, header=tail(stored)).build(), None)


def test_a_header_without_an_end_is_tolerated() -> None:
    tolerated(header(INFO, TYPE_INFO, META_DATA, end=b""), "tar.no-end")


def test_a_member_behind_the_end_is_refused() -> None:
    refused(header(INFO, TYPE_INFO, META_DATA, END, ("foo", b"")), "tar.trailing")


@pytest.mark.parametrize("real", [".xz", ".zst", ""])
def test_a_header_of_another_kind_than_its_name_says_is_refused(real: str) -> None:
    refused(Forge(header=compress(real, tar(INFO, TYPE_INFO))).build(), "compression.mismatch")


def test_a_header_that_expands_to_more_than_64_mib_is_refused() -> None:
    scripts = [tar((f"scripts/ArtifactInstall_Enter_{n:02}", bytes(16 << 20)), end=b"") for n in range(4)]
    archive = tar(INFO, *scripts, TYPE_INFO)
    refused(Forge(header=gzip.compress(archive, 1)).build(), "limit.header")


def test_nothing_of_a_header_is_looked_at_before_its_digest_matched() -> None:
    for wrong in (b"", b"not compressed at all", compress(".gz", b"no archive")):
        parts = Forge(header=wrong, lines=lambda lines: [lines[0], ("0" * 64, lines[1][1]), lines[2]])
        refused(parts.build(), "digest.mismatch")
