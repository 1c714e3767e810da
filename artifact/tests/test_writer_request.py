"""What cannot be written is said before the first byte. FORMAT.md §3.2, §5, §10."""

import io
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from answers import tolerated
from forge import digest

from bistable.artifact import (
    Extras,
    Header,
    HeaderInfo,
    InputBytes,
    InputFile,
    MachineError,
    RequestError,
    Script,
    TypeInfo,
    WriteRequest,
    bootstrap_request,
    module_request,
    rootfs_request,
    write_artifact,
    write_to_file,
)

INFO = HeaderInfo(payload_type="mod", artifact_name="name", device_types=("board",))
TYPE_INFO = TypeInfo(payload_type="mod")
ENTER = "ArtifactInstall_Enter_00"


def refused(request: WriteRequest) -> RequestError:
    out = io.BytesIO()
    with pytest.raises(RequestError) as caught:
        write_to_file(out, request)
    assert caught.value.what.startswith("cannot ")
    assert caught.value.exit_code == 2
    assert out.getvalue() == b""
    return caught.value


def request(info: HeaderInfo = INFO, type_info: TypeInfo = TYPE_INFO, **header: Any) -> WriteRequest:
    return WriteRequest(header=Header(info=info, type_info=type_info, **header))


def with_files(*names: str) -> WriteRequest:
    return replace(request(), files=tuple(InputBytes(name=name, content=b"") for name in names))


def test_the_request_that_the_others_are_made_from_can_be_written() -> None:
    out = io.BytesIO()
    write_to_file(out, request())
    tolerated(out.getvalue())


ODD_TEXTS = ["", "a\nb", "a\tb", "a\x00b", "a\x1b[0m", "\udcff", "a\u2028b", "\u202ea", "x" * 257, "ä" * 129]


@pytest.mark.parametrize("text", [*ODD_TEXTS, "two words", "a\u00a0b"])
def test_an_odd_artifact_name_is_refused(text: str) -> None:
    refused(request(replace(INFO, artifact_name=text)))


@pytest.mark.parametrize("text", ODD_TEXTS)
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda text: {"artifact_group": text}, id="group"),
        pytest.param(lambda text: {"device_types": ("board", text)}, id="device type"),
        pytest.param(lambda text: {"depends_names": (text,)}, id="depends name"),
        pytest.param(lambda text: {"depends_groups": (text,)}, id="depends group"),
    ],
)
def test_an_odd_text_in_header_info_is_refused(change: Callable[[str], dict[str, Any]], text: str) -> None:
    refused(request(replace(INFO, **change(text))))


def test_an_artifact_for_no_device_type_is_refused() -> None:
    assert "-t" in (refused(request(replace(INFO, device_types=()))).hint or "")


@pytest.mark.parametrize("kind", ["", ".", "..", ".hidden", "a/b", "../x", "a b", "ä", "a\n", "x" * 101])
def test_an_odd_payload_type_is_refused(kind: str) -> None:
    refused(request(replace(INFO, payload_type=kind), replace(TYPE_INFO, payload_type=kind)))


def test_two_payload_types_that_differ_are_refused() -> None:
    refused(request(type_info=TypeInfo(payload_type="other")))


@pytest.mark.parametrize("text", ["a\nb", "\x00", "\udc80"])
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda text: {"provides": {text: "v"}}, id="provides key"),
        pytest.param(lambda text: {"provides": {"k": text}}, id="provides value"),
        pytest.param(lambda text: {"depends": {text: "v"}}, id="depends key"),
        pytest.param(lambda text: {"depends": {"k": text}}, id="depends value"),
        pytest.param(lambda text: {"clears_provides": (text,)}, id="clears"),
    ],
)
def test_an_odd_text_in_type_info_is_refused(change: Callable[[str], dict[str, Any]], text: str) -> None:
    refused(request(type_info=replace(TYPE_INFO, **change(text))))


@pytest.mark.parametrize("changes", [{"provides": {"": "v"}}, {"depends": {"": "v"}}])
def test_an_empty_key_is_refused(changes: dict[str, Any]) -> None:
    refused(request(type_info=replace(TYPE_INFO, **changes)))


@pytest.mark.parametrize("key", ["artifact_name", "artifact_group"])
def test_a_key_with_a_place_of_its_own_cannot_be_provided_freely(key: str) -> None:
    refused(request(type_info=replace(TYPE_INFO, provides={key: "v"})))


def test_a_list_of_values_to_depend_on_is_refused() -> None:
    refused(request(type_info=replace(TYPE_INFO, depends={"k": ("a", "b")})))


@pytest.mark.parametrize(
    "name",
    [
        "",
        "foo",
        "ArtifactInstall_Enter",
        "xArtifactInstall_Enter_00",
        "ArtifactInstall_Enter_00y",
        "ArtifactInstall_Enter_00_a b",
        "ArtifactInstall_Enter_00_a/b",
        "ArtifactInstall_Enter_00_a\x07",
        "ArtifactInstall_Enter_00_\udcff",
        "ArtifactInstall_Enter_00_" + "x" * 80,
        "Idle_Enter_00",
    ],
)
def test_an_odd_script_name_is_refused(name: str) -> None:
    refused(request(scripts=(Script(name=name, content=b""),)))


def test_a_script_twice_or_too_large_is_refused() -> None:
    refused(request(scripts=(Script(name=ENTER, content=b"1"), Script(name=ENTER, content=b"2"))))
    refused(request(scripts=(Script(name=ENTER, content=bytes((16 << 20) + 1)),)))


def test_a_header_that_readers_refuse_for_its_size_is_refused() -> None:
    many = {f"key-{n}": "v" * 100 for n in range(10_000)}
    refused(request(type_info=replace(TYPE_INFO, provides=many)))
    refused(request(replace(INFO, device_types=tuple(f"{n:0200}" for n in range(6_000)))))
    scripts = tuple(Script(name=f"ArtifactInstall_Enter_{n:02}", content=bytes(16 << 20)) for n in range(4))
    refused(request(scripts=scripts))


def test_the_largest_header_that_can_be_written_can_be_read() -> None:
    # 64 MiB less what tar needs: a block for each of six members, content of a block or two, and the end.
    sizes = [16 << 20] * 3 + [(16 << 20) - 9 * 512 - 1024]
    scripts = tuple(Script(name=f"ArtifactInstall_Enter_{n:02}", content=bytes(size)) for n, size in enumerate(sizes))
    out = io.BytesIO()
    try:
        write_to_file(out, request(scripts=scripts))
    except RequestError:
        return
    tolerated(out.getvalue())


@pytest.mark.parametrize(
    "meta_data", [b"[]", b"1", b"{", b"{}{}", b'{"a":1,"a":2}', b"\xff", b'{"a":NaN}', b"\xef\xbb\xbf{}"]
)
def test_meta_data_that_is_no_object_is_refused(meta_data: bytes) -> None:
    refused(request(meta_data=meta_data))


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../a", "/a", "a b", "ä", "a\n", "a\x00", "a:b", "a*", "x" * 91]
)
def test_an_odd_file_name_is_refused(name: str) -> None:
    refused(with_files(name))


def test_a_file_name_twice_is_refused() -> None:
    refused(with_files("a", "b", "a"))


def test_more_files_than_readers_take_are_refused() -> None:
    refused(with_files(*[f"{n}" for n in range(10_001)]))


def test_more_names_than_fit_into_a_manifest_are_refused() -> None:
    refused(with_files(*[f"{n:090}" for n in range(9_000)]))


@pytest.mark.parametrize("count", [0, 2])
def test_a_rootfs_image_has_exactly_one_file(count: int) -> None:
    made = rootfs_request(InputBytes(name="a", content=b""), name="n", device_types=["d"])
    files = tuple(InputBytes(name=f"{n}", content=b"") for n in range(count))
    refused(replace(made, files=files))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda made: replace(made, files=(InputBytes(name="a", content=b""),)), id="file"),
        pytest.param(lambda made: replace(made, header=replace(made.header, meta_data=b"")), id="meta-data"),
        pytest.param(
            lambda made: replace(made, header=replace(made.header, scripts=(Script(name=ENTER, content=b""),))),
            id="script",
        ),
    ],
)
def test_an_empty_payload_with_something_is_refused(change: Callable[[WriteRequest], WriteRequest]) -> None:
    refused(change(bootstrap_request(name="n", device_types=["d"])))


def test_nothing_is_opened_before_the_request_is_sound(tmp_path: Path) -> None:
    missing = InputFile(name="bad name", path=tmp_path / "missing")
    refused(module_request("mod", [missing], name="n", device_types=["d"]))


def test_a_directory_is_no_payload_file(tmp_path: Path) -> None:
    made = module_request("mod", [InputFile(name="d", path=tmp_path)], name="n", device_types=["d"])
    with pytest.raises((RequestError, MachineError), match="directory"):
        write_artifact(tmp_path / "out", made)
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_the_checksum_is_the_one_of_the_image_whatever_was_given() -> None:
    extras = Extras(provides={"rootfs-image.checksum": "mine"})
    made = rootfs_request(InputBytes(name="i", content=b""), name="n", device_types=["d"], extras=extras)
    out = io.BytesIO()
    write_to_file(out, made)
    assert tolerated(out.getvalue()).head.header.type_info.provides["rootfs-image.checksum"] == digest(b"")
