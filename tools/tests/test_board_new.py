"""`bistable board new`: a board of one's own, begun from the nearest one."""

import re
import tomllib
from pathlib import Path

import pexpect
import pytest
from board_samples import SAMPLES, board
from commandline import PROGRAM, Outcome, call_program
from schemas import validated

from bistable.tools.board.catalogue import board_keys, boards, find_board
from bistable.tools.board.check import Level, check_board
from bistable.tools.board.create import Wish, compose, nearest
from bistable.tools.board.load import load_board, parse_board
from bistable.tools.board.model import Flow, Status

SAID = ("--name", "Acorn 2", "--soc", "NXP i.MX 8M Plus", "--page", "https://example.com/acorn-2")
NEAR = ("--loader", "uboot", "--architecture", "arm64", "--storage", "emmc")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new(*arguments: str | Path, code: int = 0) -> Outcome:
    outcome = call_program("board", "new", *arguments)
    assert outcome.code == code, outcome.err
    return outcome


def wish(**facts: str) -> Wish:
    return Wish(**{"name": "Acorn 2", "soc": "NXP i.MX 8M Plus", "page": "https://example.com/acorn-2", **facts})


# --- the text


@pytest.mark.parametrize("key", board_keys())
def test_a_board_can_be_begun_from_every_board_and_has_no_errors(key: str) -> None:
    base = find_board(key)
    made = parse_board(compose(wish(soc=base.soc), base, "acorn-2").encode(), Path("/boards/acorn-2"))
    assert made.status is Status.CONTRIBUTED
    assert made.boot.flow is base.boot.flow
    assert not [finding for finding in check_board(made) if finding.level is Level.ERROR]


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_value_that_is_taken_over_says_so(sample: str) -> None:
    base = board(SAMPLES[sample])
    text = compose(wish(), base, "acorn-3")
    said = {"name", "soc", "page", "status", "limits", "type"}
    for line in text.splitlines():
        key = re.match(r"([a-z0-9-]+) = ", line)
        assert key is None or key[1] in said or re.search(r"# (taken from acorn-2|a guess): check$", line), line


def test_what_was_said_stands_there_without_a_remark() -> None:
    text = compose(
        wish(device="/dev/mmcblk0", console="ttyS0", machine="acorn", kernel="/boot/Image-6", capacity="3 GiB"),
        board(),
        "a",
    )
    for line in (
        'device = "/dev/mmcblk0"',
        'device = "ttyS0"',
        'machine = "acorn"',
        'kernel = "/boot/Image-6"',
        'capacity = "3 GiB"',
        'size = "3 GiB"',
    ):
        assert line in text.splitlines()


def test_claims_on_the_other_board_are_not_taken_over() -> None:
    document = tomllib.loads(compose(wish(), board(SAMPLES["qemu"]), "acorn-3"))
    assert "qemu" not in document
    assert document["sources"] == {}
    assert document["board"]["status"] == "contributed"
    assert document["board"]["limits"] == ["Nothing of it was tried yet."]


def test_another_storage_changes_what_goes_with_it() -> None:
    document = tomllib.loads(compose(wish(storage="nvme"), board(), "acorn-3"))
    assert document["storage"]["device"] == "/dev/nvme0n1"
    assert document["boot"]["disk"] == "nvme 0"


def test_a_card_is_waited_for() -> None:
    document = tomllib.loads(compose(wish(storage="sd"), board(SAMPLES["qemu"]), "acorn-3"))
    assert "rootwait" in document["boot"]["arguments"].split()


def test_another_device_has_another_number_in_uboot() -> None:
    document = tomllib.loads(compose(wish(device="/dev/mmcblk1"), board(), "acorn-3"))
    assert document["boot"]["disk"] == "mmc 1"


def test_another_architecture_has_another_kernel() -> None:
    document = tomllib.loads(compose(wish(architecture="armhf"), board(), "acorn-3"))
    assert document["boot"]["kernel"] == "/boot/zImage"


def test_another_console_stands_in_the_arguments_too() -> None:
    document = tomllib.loads(compose(wish(console="ttyS4,1500000"), board(), "acorn-3"))
    assert document["boot"]["arguments"] == "console=ttyS4,1500000 rootwait panic=10"
    assert document["console"] == {"device": "ttyS4", "speed": 1500000}


def test_without_uboot_none_starts_the_watchdog() -> None:
    document = tomllib.loads(compose(wish(loader="grub"), board(), "acorn-3"))
    assert "uboot" not in document["watchdog"]


# --- the nearest


@pytest.mark.parametrize(
    ("facts", "key"),
    [
        ({"loader": "uboot", "architecture": "arm64", "storage": "emmc"}, "imx8mp-evk"),
        ({"loader": "grub", "architecture": "amd64", "storage": "sata", "soc": "Intel Celeron"}, "genericx86-64"),
        (
            {"loader": "raspberry-pi", "architecture": "arm64", "storage": "sd", "soc": "Broadcom BCM2712"},
            "raspberrypi5-tryboot",
        ),
    ],
)
def test_the_nearest_board_has_most_in_common(facts: dict[str, str], key: str) -> None:
    assert nearest(wish(**facts), boards()).key == key


def test_the_boot_flow_counts_most() -> None:
    others = [board(SAMPLES["disk"]), board(SAMPLES["qemu"])]
    found = nearest(wish(loader="grub", architecture="arm64", storage="emmc"), others)
    assert found.boot.flow is Flow.GRUB


def test_a_board_in_ubi_is_begun_from_none_with_a_disk() -> None:
    outcome = new("./acorn-2", *SAID, "--from", "qemuarm64", "--loader", "uboot-ubi", code=2)
    assert "cannot begin with qemuarm64" in outcome.err
    assert "--from" in outcome.err


# --- the command


def test_the_board_that_is_written_can_be_read_and_the_next_steps_are_said(here: Path) -> None:
    outcome = new("acorn-2", *SAID, *NEAR)
    assert load_board(here / "acorn-2").name == "Acorn 2"
    assert outcome.out.startswith("wrote acorn-2/board.toml, begun from imx8mp-evk\n")
    assert "`bistable board check ./acorn-2`: now no errors" in outcome.out
    assert "`bistable board render ./acorn-2`" in outcome.out


def test_the_result_is_told_to_programs(here: Path) -> None:
    found = validated(new("./acorn-2", *SAID, *NEAR, "--json").document)
    assert found.pop("unproved") > 20
    assert found == {
        "schema": "bistable.board.new/1",
        "board": "acorn-2",
        "file": "acorn-2/board.toml",
        "from": "imx8mp-evk",
        "errors": 0,
        "warnings": 1,
    }


def test_nothing_is_overwritten(here: Path) -> None:
    new("acorn-2", *SAID, *NEAR)
    before = (here / "acorn-2/board.toml").read_bytes()
    outcome = new("acorn-2", *SAID, "--from", "qemuarm", code=2)
    assert "it is there already" in outcome.err
    assert (here / "acorn-2/board.toml").read_bytes() == before


def test_what_is_missing_is_named_where_nobody_can_be_asked(here: Path) -> None:
    outcome = new("acorn-2", "--soc", "X", code=2)
    assert "without --name, --page, --loader, --architecture, --storage" in outcome.err
    assert "--from" in outcome.err
    assert not (here / "acorn-2").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--console", "ttyS2,fast"), "no speed"),
        (("--console", "/dev/ttyS2"), "[console] device"),
        (("--device", "mmcblk0"), "[storage] device"),
        (("--capacity", "8 GB"), "[storage] capacity"),
        (("--kernel", "boot/Image"), "[boot] kernel"),
        (("--machine", "a b"), "[yocto] machine"),
        (("--page", "example.com"), "[board] page"),
        (("--name", "two\nlines"), "[board] name"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(here: Path, options: tuple[str, str], words: str) -> None:
    outcome = new("acorn-2", *SAID, *NEAR, *options, code=2)
    assert words in outcome.err
    assert not (here / "acorn-2").exists()


@pytest.mark.parametrize("name", ["Acorn", "acorn_2", "-a"])
def test_a_folder_that_cannot_name_a_board_is_refused(here: Path, name: str) -> None:
    outcome = new(f"./{name}", *SAID, *NEAR, code=2)
    assert "no name for a board" in outcome.err
    assert not (here / name).exists()


def test_on_a_terminal_it_is_asked_and_what_is_offered_stays_a_guess(here: Path) -> None:
    child = pexpect.spawn(PROGRAM[0], [*PROGRAM[1:], "board", "new", "acorn-2"], encoding="utf-8", timeout=60)
    for question, answer in (
        ("What is it called", "Acorn 2"),
        ("Which processor", "NXP i.MX 8M Plus"),
        ("Where is it described", "https://example.com"),
        ("What chooses the slot", "u-boot"),
        ("What chooses the slot", "uboot"),
        ("Which architecture", "arm64"),
        ("What do the slots lie on", "emmc"),
        ("called in Linux", "/dev/mmcblk0"),
        ("serial console", ""),
        ("MACHINE", ""),
    ):
        child.expect(question)
        child.expect(": ")
        child.sendline(answer)
    child.expect("wrote acorn-2/board.toml, begun from imx8mp-evk")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    lines = (here / "acorn-2/board.toml").read_text().splitlines()
    assert 'device = "/dev/mmcblk0"' in lines
    assert 'device = "ttymxc1"  # taken from imx8mp-evk: check' in lines


def test_the_words_of_options_are_those_of_board_toml() -> None:
    from bistable.tools.board.model import Status as Statuses
    from bistable.tools.board.model import StorageKind
    from bistable.tools.board.schema import DISK, SHAPES
    from bistable.tools.cli import boardchoices

    boot = next(table for table in SHAPES[DISK] if table.name == "boot")
    architecture = boot.key("architecture")
    assert architecture is not None
    assert list(boardchoices.FLOWS.choices) == [flow.value for flow in Flow]
    assert list(boardchoices.ARCHITECTURES.choices) == list(architecture.choices)
    assert list(boardchoices.STATUSES.choices) == [status.value for status in Statuses]
    assert list(boardchoices.STORAGES.choices) == [kind.value for kind in StorageKind]
