"""What board.toml says, and what is said of mistakes in it."""

from pathlib import Path, PurePosixPath

import pytest
from board_mistakes import UNREADABLE
from board_samples import DISK, QEMU, SAMPLES, UBI, VENDOR, board, changed

from bistable.artifact.errors import RequestError
from bistable.tools.board.catalogue import TEMPLATES, board_keys, boards, catalogue_folder, find_board
from bistable.tools.board.load import load_board, parse_board
from bistable.tools.board.model import Flow, OwnEnvironment, Status, StorageKind
from bistable.tools.boot.ubi import FlashPartition

MIB = 1 << 20


def refusal(text: str, *, folder: str = "acorn") -> RequestError:
    with pytest.raises(RequestError) as caught:
        parse_board(text.encode(), Path("/boards") / folder)
    return caught.value


# --- what is right


def test_a_board_with_a_disk_is_what_its_tables_say() -> None:
    found = board(DISK)
    assert found.key == "acorn-2"
    assert (found.name, found.soc, found.status) == ("Acorn 2", "NXP i.MX 8M Plus", Status.CHECKED)
    assert (found.storage.kind, found.storage.capacity) == (StorageKind.EMMC, 7456 * MIB)
    assert found.layout is not None
    assert found.layout.name == "acorn-2"
    assert found.layout.slots.size == 2048 * MIB
    assert (found.boot.flow, found.boot.kernel) == (Flow.UBOOT, PurePosixPath("/boot/Image"))
    assert found.watchdog is not None
    assert found.watchdog.uboot == "watchdog@30280000"
    assert found.uboot is not None
    assert found.uboot.addresses["fdt_addr_r"] == 0x43000000
    assert found.uboot.environment == OwnEnvironment(kind="mmc", offset=4032 * 1024, size=64 * 1024)
    assert found.yocto is not None
    assert found.yocto.layers[0].sublayers == ("meta-acorn-bsp",)
    assert found.yocto.layers[0].revisions["wrynose"] == ("wrynose", "123456789abcdef0123456789abcdef012345678")
    assert found.steps[1] == "`uuu -b emmc_all imx-boot IMAGE`"
    assert (found.ubi, found.vendor, found.qemu) == (None, None, None)


def test_a_board_with_ubi_has_flash_and_volumes_instead_of_a_layout() -> None:
    found = board(UBI)
    assert found.layout is None
    assert found.ubi is not None
    assert found.ubi.environment == ("env", "env-r")
    assert (found.ubi.slot_size, found.ubi.data_size) == (96 * MIB, None)
    assert found.ubi.flash.sub_page == found.ubi.flash.page == 2048
    assert found.ubi.flash.partitions[-1] == FlashPartition(name="ubi", offset=5 * MIB, size=None)
    assert found.device_type == "acorn-1"


def test_a_board_with_the_vendors_boot_loader_has_neither() -> None:
    found = board(VENDOR)
    assert (found.layout, found.ubi) == (None, None)
    assert found.vendor is not None
    assert found.vendor.boot_names == ("0", "1")


def test_what_is_not_written_has_its_default() -> None:
    found = board(VENDOR)
    assert (found.console.speed, found.console.user) == (115200, "root")
    assert found.watchdog is not None
    assert (found.watchdog.device, found.watchdog.timeout, found.watchdog.uboot) == ("/dev/watchdog0", 60, None)
    assert found.boot.tries == 3
    found = board(changed(QEMU, ("memory = 512\n", ""), ('bus = "pci"\n', ""), ('watchdog = "i6300esb"\n', "")))
    assert found.qemu is not None
    assert (found.qemu.memory, found.qemu.bus, found.qemu.watchdog) == (512, "pci", None)


def test_a_board_is_found_by_name_by_folder_and_by_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "acorn-2").mkdir()
    (tmp_path / "acorn-2/board.toml").write_text(DISK)
    monkeypatch.chdir(tmp_path)
    for name in ("./acorn-2", "acorn-2", "acorn-2/board.toml", str(tmp_path / "acorn-2")):
        assert find_board(name).key == "acorn-2"
    monkeypatch.chdir(tmp_path / "acorn-2")
    assert find_board("board.toml").key == find_board("./").key == load_board(Path()).key == "acorn-2"
    assert find_board("qemuarm64").key == "qemuarm64"


def test_the_catalogue_has_its_boards_in_order() -> None:
    keys = board_keys()
    assert list(keys) == sorted(keys)
    assert [found.key for found in boards()] == list(keys)
    assert (catalogue_folder() / TEMPLATES).is_dir()


def test_an_unknown_board_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(RequestError, match="none of that name") as caught:
        find_board("qemuarm46")
    assert caught.value.hint is not None
    assert "did you mean qemuarm64?" in caught.value.hint


def test_a_folder_without_a_board_is_answered_with_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"cannot read the board .*board\.toml") as caught:
        find_board(f"{tmp_path}/")
    assert caught.value.hint is not None
    assert "bistable board new" in caught.value.hint


@pytest.mark.parametrize("folder", ["Acorn", "acorn_2", "-acorn", "acorn 2", "ächorn"])
def test_a_folder_that_is_called_otherwise_is_no_board(folder: str) -> None:
    assert "no name for a board" in refusal(DISK, folder=folder).what


# --- mistakes


@pytest.mark.parametrize(
    ("text", "old", "new", "where", "words"), [m[1:] for m in UNREADABLE], ids=[m[0] for m in UNREADABLE]
)
def test_a_mistake_is_named_with_its_place_and_what_would_be_right(
    text: str, old: str, new: str, where: str, words: str
) -> None:
    error = refusal(changed(text, (old, new)))
    assert where in error.what
    assert words in f"{error.what} {error.hint}"


def test_a_mistake_is_named_with_its_line() -> None:
    text = changed(DISK, ("speed = 115200", "speed = 8"))
    line = text.splitlines().index("speed = 8") + 1
    assert f"board.toml: line {line}, [console] speed: " in refusal(text).what


def test_there_are_many_mistakes_in_the_list_and_each_is_of_its_own() -> None:
    assert len({mistake[0] for mistake in UNREADABLE}) == len(UNREADABLE) >= 30


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_key_is_refused_if_it_holds_something_else(sample: str) -> None:
    """No value of a key is taken for what it is not, wherever it stands."""
    lines = SAMPLES[sample].splitlines()
    for number, line in enumerate(lines):
        key, equals, value = line.partition(" = ")
        if not equals:
            continue
        wrong = "1" if value.startswith(('"', "[", "{")) else '"x"'
        text = "\n".join([*lines[:number], f"{key} = {wrong}", *lines[number + 1 :]])
        error = refusal(text)
        assert f"line {number + 1}, [" in error.what, error.what
        assert f"] {key}: " in error.what
        assert error.hint
