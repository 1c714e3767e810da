"""What a run needs to be told, and how QEMU is started for a board."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from commandline import call_program
from suite_boards import board_of

from bistable.artifact.errors import MachineError, RequestError
from bistable.tools.bench.switches import PersonSwitch
from bistable.tools.board.model import Board, Flow, Qemu
from bistable.tools.bringup.suite import CASES, Wishes
from bistable.tools.bringup.suite.emulated import qemu_command
from bistable.tools.bringup.suite.session import Emulated, Serial, Session, run_session


def machine(folder: Path, **changes: object) -> Board:
    """Return a board that QEMU runs."""
    (folder / "bios.bin").write_bytes(b"bios")
    qemu = Qemu(
        program="qemu-system-acorn",
        arguments=("-M", "oak"),
        memory=256,
        bus="pci",
        firmware={"bios": folder / "bios.bin"},
        package="acorn-firmware",
        watchdog="i6300esb",
    )
    return replace(board_of(Flow.UBOOT), qemu=replace(qemu, **changes))  # type: ignore[arg-type]


def command(board: Board, folder: Path) -> list[str]:
    """Return how QEMU is started."""
    return list(qemu_command(board, folder / "disk.img", folder)(7))


def after(words: list[str], option: str) -> list[str]:
    """Return the values of an option."""
    return [words[number + 1] for number, word in enumerate(words) if word == option]


def test_qemu_gets_what_the_board_says_and_a_disk_a_network_and_a_serial_line(tmp_path: Path) -> None:
    words = command(machine(tmp_path), tmp_path)
    assert words[:5] == ["qemu-system-acorn", "-M", "oak", "-m", "256"]
    assert after(words, "-bios") == [str(tmp_path / "bios.bin")]
    assert after(words, "-chardev") == ["socket,id=line,fd=7"]
    assert after(words, "-device") == [
        "virtio-blk-pci,drive=disk,bootindex=1",
        "virtio-net-pci,netdev=net,romfile=",
        "i6300esb",
    ]
    assert f"file={tmp_path / 'disk.img'}" in after(words, "-drive")[0]


def test_a_machine_without_pci_or_watchdog_gets_none(tmp_path: Path) -> None:
    words = command(machine(tmp_path, bus="device", watchdog=None), tmp_path)
    assert after(words, "-device") == ["virtio-blk-device,drive=disk,bootindex=1", "virtio-net-device,netdev=net"]


def test_what_uefi_remembers_is_a_copy_that_outlives_a_power_cut(tmp_path: Path) -> None:
    for name in ("code.fd", "variables.fd"):
        (tmp_path / name).write_text(name)
    board = machine(tmp_path, firmware={"code": tmp_path / "code.fd", "variables": tmp_path / "variables.fd"})
    code, variables, _disk = after(command(board, tmp_path), "-drive")
    assert code == f"if=pflash,unit=0,format=raw,readonly=on,file={tmp_path / 'code.fd'}"
    own = Path(variables.partition("file=")[2])
    assert own.read_text() == "variables.fd"
    own.write_text("written by the firmware")
    command(board, tmp_path)
    assert own.read_text() == "written by the firmware"
    assert (tmp_path / "variables.fd").read_text() == "variables.fd"


def test_a_comma_in_a_path_does_not_end_it_for_qemu(tmp_path: Path) -> None:
    folder = tmp_path / "a,b"
    folder.mkdir()
    assert "file=" + str(folder / "disk.img").replace(",", ",,") in after(command(machine(folder), folder), "-drive")[0]


def test_missing_firmware_is_named_with_its_package(tmp_path: Path) -> None:
    board = machine(tmp_path)
    (tmp_path / "bios.bin").unlink()
    with pytest.raises(MachineError, match=r"there is no .*bios.bin") as caught:
        command(board, tmp_path)
    assert caught.value.hint == "install acorn-firmware"


def test_a_board_that_qemu_does_not_have_is_for_a_bench(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"there is no \[qemu\]") as caught:
        command(board_of(Flow.UBOOT), tmp_path)
    assert "--serial" in str(caught.value.hint)


def session(folder: Path, board: Board, **changes: object) -> Session:
    """Return a run that is complete but for what is changed."""
    whole = Session(
        board=board,
        leader=Emulated(),
        image=None,
        artifact=None,
        key=None,
        host=None,
        listen=None,
        password=None,
        work=folder,
        date=datetime(2026, 1, 2, tzinfo=UTC),
        wishes=Wishes(),
        cases=(),
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def test_a_run_needs_something_that_updates_are_made_of(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="nothing that updates could be made of"):
        run_session(session(tmp_path, machine(tmp_path)))


def test_qemu_needs_a_disk_even_if_updates_are_made_of_an_artifact(tmp_path: Path) -> None:
    (tmp_path / "base.mender").touch()
    with pytest.raises(RequestError, match="no disk that it could boot"):
        run_session(session(tmp_path, machine(tmp_path), artifact=tmp_path / "base.mender"))


# --- the command


def test_the_cases_are_listed_with_what_they_prove(tmp_path: Path) -> None:
    outcome = call_program("board", "test", "qemuarm", "--list", "--json")
    assert outcome.code == 0
    assert outcome.document["schema"] == "bistable.board.test-cases/1"
    assert [case["name"] for case in outcome.document["cases"]] == list(CASES)
    assert all(case["proves"].endswith(".") for case in outcome.document["cases"])


def test_only_the_cases_that_were_named_are_listed_in_the_order_in_which_they_run() -> None:
    outcome = call_program("board", "test", "qemuarm", "--list", "--case", "power-cuts", "--case", "canary")
    assert [line.split()[0] for line in outcome.out.splitlines()] == ["canary", "power-cuts"]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--case", "canery"], "cannot run the case canery: there is none"),
        (["--labgrid", "lab.yaml", "--serial", "/dev/ttyS0"], "cannot test one board in two ways"),
        (["--serial", "/dev/ttyS0", "--power-on", "on"], "cannot switch the power"),
        (["--power-on", "on", "--power-off", "off"], "cannot switch the power"),
        (["--serial", "/dev/ttyS0", "--power-on", "on '", "--power-off", "off"], "cannot run the command"),
        (["--password-file", "nowhere", "--serial", "x"], "cannot read the password in nowhere"),
        ([], "there is nothing that updates could be made of"),
        (["--image", "nowhere.img"], "cannot read nowhere.img"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_started(words: list[str], what: str) -> None:
    outcome = call_program("board", "test", "qemuarm", *words)
    assert outcome.code == 2
    assert what in outcome.err


def test_a_case_that_is_nearly_known_is_suggested() -> None:
    assert "canary" in call_program("board", "test", "qemuarm", "--case", "canery", "--list").err


def test_a_board_on_the_bench_has_to_be_told_where_this_computer_is(tmp_path: Path) -> None:
    slot = tmp_path / "slot.img"
    slot.write_bytes(b"")
    leader = Serial(port="loop://", switch=PersonSwitch(lambda _words: None), by_hand=True)
    with pytest.raises(RequestError, match="told where it finds this computer"):
        run_session(session(tmp_path, board_of(Flow.CUSTOM), leader=leader, artifact=artifact_in(tmp_path)))


def artifact_in(folder: Path) -> Path:
    """Return an artifact with a root file system, of a kind that nobody reads."""
    from bistable.artifact import rootfs_request, write_artifact

    image = folder / "root.ubifs"
    image.write_bytes(b"\x31\x18\x10\x06" * 1024)
    write_artifact(folder / "base.mender", rootfs_request(image, name="base", device_types=["acorn"]))
    return folder / "base.mender"
