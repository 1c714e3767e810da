"""Only the files that the manifest lists come out of the data member, however it is compressed. FORMAT.md §6, §7."""

import gzip
import zlib
from collections.abc import Callable

import pytest
from answers import accepted, refused, tolerated
from forge import END, IMAGE, KINDS, Forge, bootstrap, compress, module, pax, tar, tar_header, version_2

# --- the payload (§6)


@pytest.mark.parametrize("count", [0, 1, 2, 300])
def test_a_module_may_have_any_number_of_files(count: int) -> None:
    files = [(f"file-{n}", b"x" * n * 7) for n in range(count)]
    artifact = tolerated(module(*files).build())
    assert [file.name for file in artifact.files] == [name for name, _ in files]


def test_files_may_stand_in_another_order_than_in_the_manifest() -> None:
    files = [("a", b"1"), ("b", b"2"), ("c", b"")]
    tolerated(module(*files, data_archive=tar(*files[::-1])).build())


def test_ten_thousand_files_are_the_limit() -> None:
    files = [(f"{n}", b"") for n in range(10_001)]
    accepted(module(*files[:-1]).build())
    refused(module(*files).build(), "limit.files")


@pytest.mark.parametrize("count", [2, 3])
def test_a_rootfs_image_has_no_second_file(count: int) -> None:
    refused(Forge(files=[(f"f{n}", b"") for n in range(count)]).build(), "payload.count")


def test_a_rootfs_image_without_a_file_is_tolerated() -> None:
    tolerated(Forge(files=()).build(), "payload.none")


@pytest.mark.parametrize("parts", [module(), bootstrap(), Forge(files=())], ids=["module", "bootstrap", "rootfs"])
def test_a_missing_data_member_is_tolerated_if_there_is_no_file(parts: Forge) -> None:
    artifact = accepted(tar(*parts.members()[:-1]))
    assert "data.missing" in {finding.rule for finding in artifact.findings}


@pytest.mark.parametrize("parts", [Forge(), module(("a", b"")), version_2()], ids=["rootfs", "module", "version 2"])
def test_a_missing_data_member_is_refused_if_there_is_a_file(parts: Forge) -> None:
    refused(tar(*parts.members()[:-1]), "payload.missing")


@pytest.mark.parametrize(
    "name", ["../../rootfs.ext4", "/rootfs.ext4", "./rootfs.ext4", "rootfs.ext4/../rootfs.ext4", "rootfs"]
)
def test_a_file_of_another_name_than_listed_is_refused(name: str) -> None:
    refused(Forge(data_archive=tar((name, IMAGE))).build(), "payload.unlisted")


@pytest.mark.parametrize("name", ["rootfs.ext4\n", "rootfs.ext4\x1b[2J", "r" * 40_000])
def test_an_odd_name_in_the_data_member_is_refused_and_not_printed(name: str) -> None:
    refused(Forge(data_archive=tar(pax(("path", name)), ("x", IMAGE))).build(), "payload.unlisted")


@pytest.mark.parametrize("flag", [b"1", b"2", b"3", b"4", b"5", b"6"])
def test_a_payload_member_that_is_no_file_is_refused_even_if_nothing_is_what_was_listed(flag: bytes) -> None:
    member = tar_header("link", flag=flag, link=b"/etc/passwd")
    refused(module(("link", b""), data_archive=tar(member)).build(), "payload.kind")


def test_a_directory_in_the_data_member_is_refused() -> None:
    refused(Forge(data_archive=tar(tar_header("./", flag=b"5"), ("rootfs.ext4", IMAGE))).build(), "payload.kind")


@pytest.mark.parametrize(
    ("archive", "rule"),
    [
        pytest.param(tar(("rootfs.ext4", IMAGE), ("rootfs.ext4", IMAGE)), "payload.unlisted", id="file twice"),
        pytest.param(tar(("rootfs.ext4", IMAGE), ("evil", b"")), "payload.unlisted", id="file not listed"),
        pytest.param(tar(), "payload.missing", id="no file"),
        pytest.param(b"", "payload.missing", id="nothing"),
        pytest.param(tar(("rootfs.ext4", IMAGE + b"x")), "digest.mismatch", id="a byte more"),
        pytest.param(tar(("rootfs.ext4", IMAGE[:-1])), "digest.mismatch", id="a byte less"),
        pytest.param(tar(("rootfs.ext4", b"")), "digest.mismatch", id="empty file"),
        pytest.param(tar(("rootfs.ext4", IMAGE), END, ("evil", b"")), "tar.trailing", id="file behind the end"),
        pytest.param(tar(("rootfs.ext4", IMAGE), END, b"x"), "tar.trailing", id="byte behind the end"),
        pytest.param(tar(("rootfs.ext4", IMAGE))[:-1200], "tar.truncated", id="cut"),
        pytest.param(b"not an archive" * 50, "tar.number", id="no archive"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_data_archive_that_is_not_what_was_listed_is_refused(archive: bytes, rule: str, kind: str) -> None:
    refused(Forge(kind=kind, data_archive=archive).build(), rule)


def test_a_data_archive_without_an_end_is_tolerated() -> None:
    tolerated(Forge(data_archive=tar(("rootfs.ext4", IMAGE), end=b"")).build(), "tar.no-end")


# --- compression (§7)


@pytest.mark.parametrize("kind", KINDS[1:])
@pytest.mark.parametrize("member", ["header", "data"])
@pytest.mark.parametrize(
    ("change", "rules"),
    [
        pytest.param(lambda s: s + b"garbage!", ("compression.trailing", "compression.corrupt"), id="rubbish behind"),
        pytest.param(lambda s: s + b"\x00", ("compression.trailing", "compression.truncated"), id="zero behind"),
        pytest.param(lambda s: s[:-1], ("compression.truncated",), id="a byte less"),
        pytest.param(lambda s: s[: len(s) // 2], ("compression.truncated",), id="half"),
        pytest.param(lambda s: s[:3], ("compression.truncated",), id="three bytes"),
        pytest.param(lambda s: b"", ("compression.truncated",), id="nothing"),
        pytest.param(lambda s: s[1:], ("compression.mismatch",), id="first byte gone"),
    ],
)
def test_a_compressed_stream_must_be_whole_and_alone(
    change: Callable[[bytes], bytes], rules: tuple[str, ...], member: str, kind: str
) -> None:
    parts = Forge(kind=kind)
    stored = dict(parts.members())
    name = f"header.tar{kind}" if member == "header" else f"data/0000.tar{kind}"
    setattr(parts, member, change(stored[name]))
    refused(parts.build(), rules)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_several_streams_in_a_row_are_accepted(kind: str) -> None:
    archive = tar(("rootfs.ext4", IMAGE))
    stored = b"".join(compress(kind, archive[i : i + 700]) for i in range(0, len(archive), 700))
    tolerated(Forge(kind=kind, data=stored).build())


@pytest.mark.parametrize("place", [-8, -4], ids=["CRC", "length"])
def test_a_wrong_trailer_of_gzip_is_refused(place: int) -> None:
    stored = bytearray(gzip.compress(tar(("rootfs.ext4", IMAGE))))
    stored[place] ^= 1
    refused(Forge(data=bytes(stored)).build(), "compression.corrupt")


@pytest.mark.parametrize("named", KINDS)
@pytest.mark.parametrize("real", KINDS)
def test_name_and_content_of_the_data_member_must_agree(named: str, real: str) -> None:
    data = Forge(data_kind=named, data=compress(real, tar(("rootfs.ext4", IMAGE)))).build()
    if named == real:
        tolerated(data)
    else:
        refused(data, "compression.mismatch")


def test_a_deflate_stream_without_gzip_is_refused() -> None:
    refused(Forge(data=zlib.compress(tar(("rootfs.ext4", IMAGE)))).build(), "compression.mismatch")
