"""Sparse members in the four forms that GNU tar knows, and hostile maps. FORMAT.md §1.1, §10."""

import io
import shutil
import subprocess
from pathlib import Path
from typing import Protocol

import pytest
from answers import accepted, check_refusal, refused, tolerated
from forge import GNU, Forge, digest, module, pax, tar, tar_header, tar_member

from bistable.artifact.errors import RejectedError
from bistable.artifact.limits import SPARSE_REGIONS, SPARSE_SIZE
from bistable.artifact.tar import TarReader

Regions = list[tuple[int, int]]

# 100 bytes at 1000, 50 bytes at 3000, a hole up to 4000.
REGIONS: Regions = [(1000, 100), (3000, 50), (4000, 0)]
STORED = b"a" * 100 + b"b" * 50
SIZE = 4000
EXPANDED = bytes(1000) + b"a" * 100 + bytes(1900) + b"b" * 50 + bytes(950)


def number(value: int) -> bytes:
    return b"%011o\x00" % value if value < 8**11 else b"\x80" + value.to_bytes(11, "big")


def pairs(regions: Regions) -> bytes:
    return b"".join(number(offset) + number(length) for offset, length in regions)


def old_gnu(regions: Regions = REGIONS, stored: bytes = STORED, size: int = SIZE) -> bytes:
    """Four regions in the header, 21 in each block that follows."""
    more = [regions[i : i + 21] for i in range(4, len(regions), 21)]
    patches = {386: pairs(regions[:4]), 483: number(size), 482: bytes([bool(more)])}
    header = tar_header("file", len(stored), flag=b"S", magic=GNU, patches=patches)
    blocks = [pairs(part).ljust(504, b"\x00") + bytes([part is not more[-1]]) + bytes(7) for part in more]
    return header + b"".join(blocks) + stored + bytes(-len(stored) % 512)


def pax_0_0(regions: Regions = REGIONS, stored: bytes = STORED, size: int = SIZE) -> bytes:
    records = [("GNU.sparse.size", str(size)), ("GNU.sparse.numblocks", str(len(regions)))]
    for offset, length in regions:
        records += [("GNU.sparse.offset", str(offset)), ("GNU.sparse.numbytes", str(length))]
    return pax(*records) + tar_member("file", stored)


def pax_0_1(regions: Regions = REGIONS, stored: bytes = STORED, size: int = SIZE) -> bytes:
    text = ",".join(f"{offset},{length}" for offset, length in regions)
    records = [("GNU.sparse.size", str(size)), ("GNU.sparse.name", "file"), ("GNU.sparse.map", text)]
    return pax(*records) + tar_member("GNUSparseFile.1/file", stored)


def pax_1_0(regions: Regions = REGIONS, stored: bytes = STORED, size: int = SIZE, count: int | None = None) -> bytes:
    lines = [len(regions) if count is None else count, *[value for region in regions for value in region]]
    text = "".join(f"{line}\n" for line in lines).encode()
    records = [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", "file")]
    records.append(("GNU.sparse.realsize", str(size)))
    return pax(*records) + tar_member("GNUSparseFile.1/file", text + bytes(-len(text) % 512) + stored)


class Form(Protocol):
    """One of the four."""

    def __call__(self, regions: Regions = ..., stored: bytes = ..., size: int = ..., /) -> bytes: ...


FORMS = [pytest.param(form, id=form.__name__) for form in (old_gnu, pax_0_0, pax_0_1, pax_1_0)]


def holding(member: bytes, content: bytes = EXPANDED) -> bytes:
    return module(("file", content), data_archive=tar(member)).build()


@pytest.mark.parametrize("form", FORMS)
def test_a_sparse_member_is_expanded_and_noted(form: Form) -> None:
    tolerated(holding(form()), "tar.sparse")


@pytest.mark.parametrize("form", FORMS)
def test_a_map_of_many_regions_is_read(form: Form) -> None:
    regions = [(i * 20, 10) for i in range(200)]
    content = (b"c" * 10 + bytes(10)) * 200
    tolerated(holding(form(regions, b"c" * 2000, 4000), content), "tar.sparse")


@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_is_one_hole_is_read(form: Form) -> None:
    tolerated(holding(form([(SIZE, 0)], b""), bytes(SIZE)), "tar.sparse")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("regions", "stored", "size"),
    [
        pytest.param([(1000, 100), (1050, 50)], 150, 4000, id="overlap"),
        pytest.param([(3000, 50), (1000, 100)], 150, 4000, id="wrong order"),
        pytest.param([(3950, 51)], 51, 4000, id="beyond the end"),
        pytest.param([(0, 100)], 101, 4000, id="less than is stored"),
        pytest.param([(0, 101)], 100, 4000, id="more than is stored"),
        pytest.param([(2**40, 0)], 0, 4000, id="far away"),
        pytest.param([(0, 5000)], 5000, 4000, id="longer than the file"),
    ],
)
def test_a_map_that_makes_no_sense_is_refused(form: Form, regions: Regions, stored: int, size: int) -> None:
    refused(holding(form(regions, b"x" * stored, size)), "tar.extension")


@pytest.mark.parametrize("form", FORMS)
def test_a_hole_of_a_tebibyte_is_refused_before_it_is_hashed(form: Form) -> None:
    refused(holding(form([(0, 1), (2**40 - 1, 0)], b"x", 2**40)), "limit.sparse")


@pytest.mark.parametrize("form", FORMS)
def test_a_huge_hole_within_the_limit_takes_no_memory(form: Form) -> None:
    reader = TarReader(io.BytesIO(tar(form([(SPARSE_SIZE, 0)], b"", SPARSE_SIZE))), archive="data", found=[])
    member = reader.next_member()
    assert member is not None
    assert member.size == SPARSE_SIZE
    assert len(reader.read(2**40)) <= 1024 * 1024


@pytest.mark.parametrize(
    "member",
    [
        pytest.param(
            pax(("GNU.sparse.major", "2"), ("GNU.sparse.realsize", "1")) + tar_member("file", b""), id="form 2.0"
        ),
        pytest.param(pax(("GNU.sparse.major", "1")) + tar_member("file", bytes(512)), id="1.0 without a size"),
        pytest.param(pax(("GNU.sparse.map", "0,1")) + tar_member("file", b"x"), id="0.1 without a size"),
        pytest.param(
            pax(("GNU.sparse.map", "0,1"), ("GNU.sparse.size", "1"), ("GNU.sparse.major", "1"))
            + tar_member("file", b"x"),
            id="two forms",
        ),
        pytest.param(pax(("GNU.sparse.map", "0,1"), ("GNU.sparse.size", "1")) + old_gnu(), id="two other forms"),
        pytest.param(pax_1_0([], b""), id="1.0 with no region but a size"),
        pytest.param(pax_1_0(count=3000), id="1.0 map longer than the member"),
        pytest.param(pax_1_0([(1, 2)] * 3, count=SPARSE_REGIONS + 1), id="1.0 map too long"),
        pytest.param(pax_1_0(count=-1), id="1.0 negative count"),
        pytest.param(
            pax(("GNU.sparse.major", "1"), ("GNU.sparse.realsize", "9")) + tar_member("file", b"9" * 512),
            id="1.0 without lines",
        ),
        pytest.param(
            pax(("GNU.sparse.major", "1"), ("GNU.sparse.realsize", "9")) + tar_member("file", b""),
            id="1.0 without a map",
        ),
    ],
)
def test_a_sparse_header_that_is_incomplete_is_refused(member: bytes) -> None:
    refused(holding(member), ("tar.sparse-map", "digest.mismatch"))


@pytest.mark.parametrize("text", ["0", "0,1,2", "a,b", "0,-1", "0,,1", "0,1,", "٣,1", "0," + "9" * 30])
def test_a_map_of_form_0_1_that_is_not_numbers_is_refused(text: str) -> None:
    member = pax(("GNU.sparse.size", "10"), ("GNU.sparse.map", text)) + tar_member("file", b"x")
    refused(holding(member), "tar.extension")


def test_an_endless_chain_of_empty_map_blocks_is_refused() -> None:
    header = tar_header("file", 0, flag=b"S", magic=GNU, patches={386: pairs([(0, 0)]), 482: b"\x01", 483: number(10)})
    blank = bytes(504) + b"\x01" + bytes(7)
    refused(holding(header + blank * 50), "tar.sparse-map")


def test_a_map_longer_than_the_limit_is_refused() -> None:
    refused(holding(old_gnu([(i, 0) for i in range(SPARSE_REGIONS + 30)], b"", SPARSE_REGIONS * 2)), "tar.sparse-map")


@pytest.mark.parametrize("form", FORMS)
def test_a_sparse_member_that_is_cut_off_anywhere_is_refused(form: Form) -> None:
    whole = form()
    for cut in range(1, len(whole), 37):
        with pytest.raises(RejectedError) as caught:
            read_all(whole[:cut])
        check_refusal(caught.value)


def read_all(archive: bytes) -> None:
    reader = TarReader(io.BytesIO(archive), archive="data", found=[])
    while (member := reader.next_member()) is not None:
        reader.read_all(member, limit=1 << 20)


def test_holes_count_in_the_size_of_a_header() -> None:
    names = [f"scripts/ArtifactInstall_Enter_{n:02}" for n in range(5)]
    members = [
        tar_header(
            name, 0, flag=b"S", magic=GNU, patches={386: pairs([(16 << 20, 0)]), 483: number(16 << 20), 482: b"\x00"}
        )
        for name in names
    ]
    parts = Forge().header_members()
    refused(Forge(header_archive=tar(parts[0], *members, *parts[1:])).build(), "limit.header")
    accepted(Forge(header_archive=tar(parts[0], *members[:3], *parts[1:])).build())


@pytest.mark.skipif(shutil.which("tar") is None, reason="tar is not there")
@pytest.mark.peer
@pytest.mark.parametrize(
    "options", [["--format=gnu"], *[["--format=pax", f"--sparse-version={v}"] for v in ("0.0", "0.1", "1.0")]]
)
def test_what_gnu_tar_makes_of_a_sparse_file_is_expanded(options: list[str], tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        for place in range(0, 8 << 20, 1 << 20):
            file.seek(place)
            file.write(b"data" * 1024)
        file.truncate(9 << 20)
    made = subprocess.run(
        ["tar", "-cSf", "-", *options, "file"], cwd=tmp_path, capture_output=True, check=True, timeout=60
    )
    assert len(made.stdout) < 1 << 20
    content = (tmp_path / "file").read_bytes()
    artifact = tolerated(module(("file", content), data_archive=made.stdout).build(), "tar.sparse")
    assert artifact.files[0].digest == digest(content)
