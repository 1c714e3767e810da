"""What the writer makes: right, the same every time, and in one pass. FORMAT.md §6, §12."""

import io
import os
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from answers import Recorder, Trickle, tolerated, with_key
from forge import KEYS, digest
from hypothesis import given
from hypothesis import strategies as st

from bistable.artifact import (
    Artifact,
    Codec,
    Compression,
    Extras,
    Header,
    HeaderInfo,
    InputBytes,
    InputFile,
    InputStream,
    Options,
    PayloadInput,
    RequestError,
    Script,
    SoftwareVersion,
    TypeInfo,
    WriteRequest,
    bootstrap_request,
    module_request,
    read_artifact,
    read_signer,
    rootfs_request,
    source_date_epoch,
    write_artifact,
    write_to_file,
    write_to_stream,
)
from bistable.artifact.keys import Signer
from bistable.artifact.writer.inputs import OpenInput

CODECS = ["none", "gzip:1", "xz:0", "zstd:1"]
SIGNER = read_signer(KEYS / "ec256.key")
RSA = read_signer(KEYS / "rsa3072.key")


def pattern(size: int) -> bytes:
    """Return bytes that compress, but not to nothing."""
    return b"".join(b"%x line %d of a file\n" % (n * 2654435761 % 2**32, n) for n in range(size // 18 + 1))[:size]


def written(request: WriteRequest, codec: str = "zstd:1", **options: object) -> bytes:
    out = io.BytesIO()
    made = write_to_file(out, request, Options(codec=Codec.parse(codec), **options))  # type: ignore[arg-type]
    assert made.size == len(out.getvalue())
    return out.getvalue()


def rootfs(content: bytes, name: str = "rootfs.ext4") -> WriteRequest:
    return rootfs_request(InputBytes(name=name, content=content), name="release-1", device_types=["board"])


def files_request(*files: tuple[str, bytes]) -> WriteRequest:
    inputs = [InputBytes(name=name, content=content) for name, content in files]
    return module_request("mod", inputs, name="release-1", device_types=["board"])


# --- round trip

TEXT = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=20)
KEYS_AND_VALUES = st.dictionaries(TEXT.filter(lambda k: not k.startswith("artifact_")), TEXT, max_size=3)
FILES = st.lists(
    st.tuples(st.from_regex(r"[A-Za-z0-9_,-][A-Za-z0-9_.,-]{0,30}", fullmatch=True), st.binary(max_size=2000)),
    max_size=4,
    unique_by=lambda file: file[0],
)
SCRIPTS = st.lists(
    st.builds(
        Script,
        name=st.from_regex(r"Artifact(Install|Commit|Failure)_(Enter|Leave)_[0-9]{2}(_[a-z]{1,5})?", fullmatch=True),
        content=st.binary(max_size=700),
    ),
    max_size=3,
    unique_by=lambda script: script.name,
).map(lambda scripts: tuple(sorted(scripts, key=lambda script: script.name)))


@st.composite
def headers(draw: st.DrawFn) -> Header:
    kind = draw(st.sampled_from(["mod", "rootfs-image", None]))
    return Header(
        info=HeaderInfo(
            payload_type=kind,
            artifact_name=draw(TEXT),
            device_types=tuple(draw(st.lists(TEXT, min_size=1, max_size=3))),
            artifact_group=draw(st.none() | TEXT),
            depends_names=tuple(draw(st.lists(TEXT, max_size=2))),
            depends_groups=tuple(draw(st.lists(TEXT, max_size=2))),
        ),
        type_info=TypeInfo(
            payload_type=kind,
            provides=draw(KEYS_AND_VALUES),
            depends=draw(KEYS_AND_VALUES),
            clears_provides=draw(st.none() | st.lists(TEXT, max_size=2).map(tuple)),
        ),
        scripts=draw(SCRIPTS) if kind else (),
        meta_data={"rootfs-image": b"", "mod": draw(st.sampled_from([None, b"", b'{"a": [1, null]}']))}.get(kind or ""),
    )


@given(headers(), FILES, st.sampled_from(CODECS), st.sampled_from([None, SIGNER]))
def test_what_was_asked_for_is_what_is_read(
    header: Header, files: list[tuple[str, bytes]], codec: str, signer: Signer | None
) -> None:
    if header.info.payload_type is None:
        files = []
    elif header.info.payload_type == "rootfs-image":
        files = (files or [("image", b"")])[:1]
    request = WriteRequest(header=header, files=tuple(InputBytes(name=n, content=c) for n, c in files))
    data = written(request, codec, signer=signer)
    sink = Recorder()
    artifact = read_artifact(io.BytesIO(data), with_key("ec256") if signer else None, sink)
    assert artifact.head.header == header
    assert list(sink.files.items()) == files
    assert artifact.findings == ()


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 1023, 1024, 1025, 65535, 65536, 1 << 20, (1 << 20) + 1])
def test_every_size_around_a_block_is_right(size: int, codec: str) -> None:
    content = pattern(size)
    for request in (rootfs(content), files_request(("a", content), ("b", b""), ("c", content[:5]))):
        assert tolerated(written(request, codec)).files[0].digest == digest(content)


@pytest.mark.parametrize("codec", CODECS)
def test_three_hundred_files_are_right(codec: str) -> None:
    files = [(f"file-{n}", b"x" * n * 3) for n in range(300)]
    artifact = tolerated(written(files_request(*files), codec))
    assert [(file.name, file.size) for file in artifact.files] == [(name, len(content)) for name, content in files]


def test_the_result_says_what_was_written() -> None:
    out = io.BytesIO()
    made = write_to_file(out, rootfs(b"content"), Options(codec=Codec.parse("gzip"), signer=SIGNER))
    artifact = tolerated(out.getvalue())
    assert made.name == "release-1"
    assert made.manifest_digest == artifact.head.manifest_digest
    assert made.files == artifact.files
    assert made.compression is Compression.GZIP
    assert made.key == SIGNER.public.name


# --- the container


def test_metadata_is_fixed_and_members_stand_in_their_order() -> None:
    data = written(files_request(("a", b"1")), "none", mtime=86400, signer=SIGNER)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = archive.getmembers()
        nested = []
        for name in ("header.tar", "data/0000.tar"):
            with tarfile.open(fileobj=archive.extractfile(name)) as inner:
                nested += inner.getmembers()
    names = ["version", "manifest", "manifest.sig", "header.tar", "data/0000.tar"]
    assert [member.name for member in members] == names
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime, m.isreg()) for m in members + nested} == {
        (0, 0, "", "", 86400, True)
    }
    assert {(m.name, m.mode) for m in nested} == {
        ("header-info", 0o600),
        ("headers/0000/type-info", 0o600),
        ("a", 0o644),
    }
    assert not any(member.pax_headers for member in members)


def test_the_manifest_lists_files_header_and_version_in_this_order() -> None:
    artifact = tolerated(written(files_request(("z", b"1"), ("a", b"2"))))
    names = [line.name for line in artifact.head.manifest.lines]
    assert names == ["data/0000/z", "data/0000/a", "header.tar.zst", "version"]


def test_scripts_are_stored_in_the_order_of_their_names() -> None:
    scripts = [
        Script(name=f"ArtifactInstall_{way}_{n}", content=b"x") for n in ("10", "02") for way in ("Leave", "Enter")
    ]
    request = module_request("mod", [], name="n", device_types=["d"], extras=Extras(scripts=scripts))
    names = [script.name for script in tolerated(written(request)).head.header.scripts]
    assert names == sorted(names)


@pytest.mark.parametrize("codec", CODECS)
def test_an_empty_payload_still_has_a_data_member(codec: str) -> None:
    artifact = tolerated(written(bootstrap_request(name="n", device_types=["d"]), codec))
    assert artifact.data_compression is Codec.parse(codec).kind


@pytest.mark.parametrize("signer", [SIGNER, RSA], ids=["P-256", "RSA"])
def test_the_signature_is_one_line_over_the_manifest(signer: Signer) -> None:
    data = written(rootfs(b"x"), signer=signer)
    key = "ec256" if signer is SIGNER else "rsa3072"
    assert tolerated(data, policy=with_key(key)).head.signature.value == "verified"


# --- defaults (§5.5)


def type_info_of(request: WriteRequest) -> TypeInfo:
    return tolerated(written(request)).head.header.type_info


def test_a_rootfs_image_provides_its_version_and_checksum() -> None:
    info = type_info_of(rootfs(b"image"))
    assert info.provides == {"rootfs-image.version": "release-1", "rootfs-image.checksum": digest(b"image")}
    assert info.clears_provides == ("artifact_group", "rootfs_image_checksum", "rootfs-image.*")


def test_a_checksum_can_have_another_name_or_none() -> None:
    image = InputBytes(name="i", content=b"image")
    for key in ("rootfs_image_checksum", None):
        request = rootfs_request(image, name="n", device_types=["d"], checksum_key=key)
        assert [k for k in type_info_of(request).provides if "checksum" in k] == ([key] if key else [])


def test_a_module_image_provides_its_version_under_its_type() -> None:
    info = type_info_of(files_request())
    assert info.provides == {"rootfs-image.mod.version": "release-1"}
    assert info.clears_provides == ("rootfs-image.mod.*",)


def test_a_bootstrap_artifact_provides_what_it_is_told_only() -> None:
    info = type_info_of(bootstrap_request(name="n", device_types=["d"], extras=Extras(provides={"a": "b"})))
    assert (info.provides, info.clears_provides) == ({"a": "b"}, None)


@pytest.mark.parametrize(
    ("software", "provides", "clears"),
    [
        (SoftwareVersion(), {"rootfs-image.mod.version": "n"}, ("rootfs-image.mod.*",)),
        (SoftwareVersion(name="x"), {"rootfs-image.x.version": "n"}, ("rootfs-image.x.*",)),
        (SoftwareVersion(version="9"), {"rootfs-image.mod.version": "9"}, ("rootfs-image.mod.*",)),
        (SoftwareVersion(filesystem="data"), {"data.mod.version": "n"}, ("data.mod.*",)),
        (SoftwareVersion(use_defaults=False), {}, None),
        (SoftwareVersion(version="9", use_defaults=False), {"rootfs-image.version": "9"}, None),
        (SoftwareVersion(version="9", name="x", use_defaults=False), {"rootfs-image.x.version": "9"}, None),
    ],
)
def test_the_software_version_follows_the_rules_of_the_real_tools(
    software: SoftwareVersion, provides: dict[str, str], clears: tuple[str, ...] | None
) -> None:
    request = module_request("mod", [], name="n", device_types=["d"], extras=Extras(software=software))
    info = type_info_of(request)
    assert (info.provides, info.clears_provides) == (provides, clears)


def test_what_is_given_wins_over_defaults_and_comes_first() -> None:
    extras = Extras(provides={"rootfs-image.mod.version": "mine"}, clears=("mine.*",))
    info = type_info_of(module_request("mod", [], name="n", device_types=["d"], extras=extras))
    assert info.provides == {"rootfs-image.mod.version": "mine"}
    assert info.clears_provides == ("mine.*", "rootfs-image.mod.*")
    extras = replace(extras, default_clears=False)
    info = type_info_of(module_request("mod", [], name="n", device_types=["d"], extras=extras))
    assert info.clears_provides == ("mine.*",)


# --- the same bytes every time


@pytest.mark.parametrize("codec", CODECS)
def test_the_same_input_gives_the_same_bytes_whatever_it_comes_from_and_goes_to(codec: str, tmp_path: Path) -> None:
    content = pattern(3 << 20)
    (tmp_path / "rootfs.ext4").write_bytes(content)
    options = Options(codec=Codec.parse(codec), signer=SIGNER if codec == "none" else None)
    inputs: list[PayloadInput] = [
        InputBytes(name="rootfs.ext4", content=content),
        InputFile(name="rootfs.ext4", path=tmp_path / "rootfs.ext4"),
        InputStream(name="rootfs.ext4", source=io.BytesIO(content)),
        InputStream(name="rootfs.ext4", source=Trickle(content, [65536, 1000, 1])),
    ]
    results = set()
    for number, item in enumerate(inputs):
        request = rootfs_request(item, name="n", device_types=["d"])
        write_artifact(tmp_path / f"{number}", request, replace(options, signer=None))
        results.add(digest((tmp_path / f"{number}").read_bytes()))
    stream = io.BytesIO()
    write_to_stream(stream, rootfs_request(inputs[0], name="n", device_types=["d"]), replace(options, signer=None))
    results.add(digest(stream.getvalue()))
    assert len(results) == 1


@pytest.mark.parametrize("codec", ["gzip:1", "xz:0", "zstd:3", "zstd:3,long=24"])
def test_the_number_of_threads_does_not_change_a_byte(codec: str) -> None:
    content = pattern(7 << 20)
    separator = "," if ":" in codec else ":"
    results = {digest(written(rootfs(content), f"{codec}{separator}threads={n}")) for n in (1, 2, 5)}
    assert len(results) == 1


def test_the_time_comes_from_source_date_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert source_date_epoch() == 0
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert source_date_epoch() == 1700000000
    assert written(rootfs(b""), mtime=1) != written(rootfs(b""), mtime=2)


@pytest.mark.parametrize("text", ["x", "-1", "1.5", " 1", "1 ", "0x10", "\u00b2", "\u0661", "9" * 21])
def test_a_source_date_epoch_that_is_no_number_is_an_error(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", text)
    with pytest.raises(RequestError, match="SOURCE_DATE_EPOCH"):
        source_date_epoch()


@pytest.mark.parametrize("mtime", [-1, 8**11, 10**20])
def test_a_time_that_no_header_can_hold_is_an_error(mtime: int) -> None:
    written(rootfs(b""), mtime=8**11 - 1)
    with pytest.raises(RequestError, match="cannot stamp"):
        written(rootfs(b""), mtime=mtime)


# --- one pass, no temporary file, no reading of holes


class Once:
    """An input that can be opened once and read once, and writes down how."""

    def __init__(self, content: bytes, *, size_known: bool) -> None:
        self.name = "rootfs.ext4"
        self.opened = 0
        self.given = 0
        self._content = content
        self.size = len(content) if size_known else None

    @contextmanager
    def open(self) -> Iterator[OpenInput]:
        self.opened += 1
        yield self

    def chunks(self) -> Iterator[memoryview]:
        for start in range(0, len(self._content), 100_000):
            chunk = memoryview(self._content)[start : start + 100_000]
            self.given += len(chunk)
            yield chunk


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("size_known", [True, False])
@pytest.mark.parametrize("kind", ["rootfs", "module"])
def test_every_byte_of_the_input_is_taken_once(kind: str, size_known: bool, codec: str) -> None:
    item = Once(pattern(1_234_567), size_known=size_known)
    if kind == "rootfs":
        request = rootfs_request(item, name="n", device_types=["d"])
    else:
        request = module_request("mod", [item], name="n", device_types=["d"])
    tolerated(written(request, codec))
    assert (item.opened, item.given) == (1, 1_234_567)


def test_progress_counts_every_byte_of_the_payload() -> None:
    counts: list[int] = []
    written(files_request(("a", pattern(3_000_000)), ("b", b"12")), on_progress=counts.append)
    assert sum(counts) == 3_000_002
    assert len(counts) > 2


@pytest.fixture
def no_temporary_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/nonexistent")
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.usefixtures("no_temporary_directory")
def test_a_file_is_written_without_a_temporary_file(codec: str, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.write_bytes(pattern(100_000))
    seen: set[str] = set()

    def look(_count: int) -> None:
        seen.update(path.name for path in tmp_path.iterdir())

    request = rootfs_request(source, name="n", device_types=["d"])
    write_artifact(tmp_path / "out", request, Options(codec=Codec.parse(codec), on_progress=look))
    # On a file system without unnamed files there is a hidden one in the target's directory.
    assert all(name == "in" or name.startswith(".out.") for name in seen)
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}


def read_by_this_process() -> int:
    return int(Path("/proc/self/io").read_text().split("rchar: ")[1].split()[0])


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="this kernel does not count what a process reads")
def test_holes_are_not_read(tmp_path: Path) -> None:
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.write(b"start")
        file.seek(100 << 20)
        file.write(b"end")
        file.truncate(150 << 20)
    before = read_by_this_process()
    made = write_artifact(tmp_path / "out", rootfs_request(image, name="n", device_types=["d"]))
    assert read_by_this_process() - before < 2 << 20
    assert made.files[0].size == 150 << 20
    assert made.size < 1 << 20
    with (tmp_path / "out").open("rb") as file:
        assert read_artifact(file).files == made.files


# --- targets


def test_a_pipe_gets_the_same_bytes_as_a_file(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    write_artifact(fifo, rootfs(b"content"))
    with os.fdopen(reader, "rb") as file:
        assert file.read() == written(rootfs(b"content"), "zstd")


def test_a_replaced_file_keeps_its_mode(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.write_bytes(b"old")
    target.chmod(0o640)
    write_artifact(target, rootfs(b"x"))
    assert target.stat().st_mode & 0o777 == 0o640


def test_a_new_file_has_the_mode_that_the_umask_leaves(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_artifact(tmp_path / "out", rootfs(b"x"))
    finally:
        os.umask(old)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o640


def test_default_compression_is_zstd() -> None:
    out = io.BytesIO()
    write_to_file(out, rootfs(b"x"))
    artifact: Artifact = tolerated(out.getvalue())
    assert (artifact.data_compression, artifact.head.header_compression) == (Compression.ZSTD, Compression.ZSTD)
