"""The handler for NVIDIA Jetson between our client and a stand-in for NVIDIA's program: updates, and power cuts."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from boot_programs import needs
from client_boot import A, B
from handlers_jetson import TRIES, UNBOOTABLE, Jetson, handler_text

from bistable.client.boot import CurrentSlot, Rearming, SlotStatus
from bistable.client.errors import BootError, ProgramError

RESTARTS = 7
GOOD = SlotStatus(bootable=True, good=True, tries_left=None)
BAD = SlotStatus(bootable=False, good=False, tries_left=None)


@pytest.fixture
def jetson(tmp_path: Path) -> Jetson:
    return Jetson(tmp_path)


def install(jetson: Jetson) -> None:
    jetson.loader.forbid(B)
    jetson.loader.activate(B)


def install_and_boot(jetson: Jetson) -> None:
    install(jetson)
    assert jetson.restart() == B


def trial(jetson: Jetson) -> str | None:
    path = jetson.folder / "data" / "nvbootctrl-trial"
    return path.read_text().strip() if path.exists() else None


# What boots


def test_a_new_device_boots_its_first_slot_for_ever(jetson: Jetson) -> None:
    assert jetson.loader.primary() == A
    assert {jetson.restart() for _ in range(RESTARTS)} == {A}
    assert {jetson.power_on() for _ in range(3)} == {A}
    assert jetson.loader.status(A) == GOOD


@pytest.mark.parametrize("again", [Jetson.restart, Jetson.power_on])
def test_an_activated_slot_is_tried_next_and_a_confirmed_one_boots_for_ever(jetson: Jetson, again: object) -> None:
    install(jetson)
    assert jetson.loader.primary() == B
    assert again(jetson) == B  # type: ignore[operator]
    jetson.loader.confirm(B)
    assert (jetson.loader.primary(), jetson.loader.status(B)) == (B, GOOD)
    assert {jetson.restart() for _ in range(RESTARTS)} == {B}
    assert trial(jetson) is None


def test_a_slot_that_does_not_come_up_is_given_up(jetson: Jetson) -> None:
    install(jetson)
    assert jetson.restart(broken={"b"}) == A
    assert (jetson.loader.primary(), jetson.loader.status(B)) == (A, BAD)
    assert {jetson.restart(broken=set()) for _ in range(RESTARTS)} == {A}
    assert trial(jetson) is None


def test_a_slot_that_is_never_confirmed_is_given_up_after_its_tries(jetson: Jetson) -> None:
    install(jetson)
    assert [jetson.restart() for _ in range(TRIES + 3)] == [B] * TRIES + [A] * 3


def test_a_power_cut_gives_a_trial_its_tries_again(jetson: Jetson) -> None:
    """This is a limit of the firmware: it counts in a register."""
    install(jetson)
    assert {jetson.power_on() for _ in range(TRIES + 2)} == {B}
    assert [jetson.restart() for _ in range(TRIES)] == [B] * (TRIES - 1) + [A]


def test_without_the_unit_even_a_good_slot_is_given_up(tmp_path: Path) -> None:
    """Whence boot-ok."""
    jetson = Jetson(tmp_path, unit=False)
    assert [jetson.restart() for _ in range(TRIES)] == [A] * (TRIES - 1) + [B]


# Going back


def test_before_the_restart_one_can_go_back(jetson: Jetson) -> None:
    install(jetson)
    jetson.loader.restore(A)
    assert (jetson.loader.primary(), jetson.loader.status(B)) == (A, BAD)
    assert {jetson.restart() for _ in range(RESTARTS)} == {A}
    assert trial(jetson) is None


def test_from_a_trial_one_can_go_back(jetson: Jetson) -> None:
    install_and_boot(jetson)
    jetson.loader.restore(A)
    assert jetson.loader.primary() == A
    assert {jetson.restart() for _ in range(RESTARTS)} == {A}
    assert jetson.loader.status(B) == BAD


def test_after_a_confirmation_one_can_go_back_because_the_commit_may_have_failed_later(jetson: Jetson) -> None:
    install_and_boot(jetson)
    jetson.loader.confirm(B)
    jetson.loader.restore(A)
    assert {jetson.restart() for _ in range(RESTARTS)} == {A}


def test_a_forbidden_slot_is_booted_only_when_the_firmware_has_given_the_other_one_up(jetson: Jetson) -> None:
    """This is a limit of the firmware: what it is told not to boot has no tries for the next update either."""
    jetson.loader.forbid(B)
    assert {jetson.restart() for _ in range(RESTARTS)} == {A}
    assert jetson.restart(broken={"a"}) == B


def test_updates_go_back_and_forth(jetson: Jetson) -> None:
    here, there = A, B
    for _ in range(4):
        jetson.loader.forbid(there)
        jetson.loader.activate(there)
        assert jetson.restart() == there
        jetson.loader.confirm(there)
        assert jetson.restart() == there
        here, there = there, here


def test_a_slot_that_was_given_up_takes_no_update_before_the_power_was_off(jetson: Jetson) -> None:
    install(jetson)
    assert jetson.restart(broken={"b"}) == A
    jetson.loader.forbid(B)
    with pytest.raises(BootError) as caught:
        jetson.loader.activate(B)
    assert caught.value.hint is not None
    assert "the firmware has no tries left for it, and has them again when the power was off" in caught.value.hint
    jetson.loader.restore(A)
    assert jetson.restart(broken=set()) == A
    assert jetson.power_on() == A
    install_and_boot(jetson)
    jetson.loader.confirm(B)
    assert jetson.restart() == B


# What it says


def test_it_knows_what_runs(jetson: Jetson) -> None:
    install_and_boot(jetson)
    loader = jetson.loader
    assert isinstance(loader, CurrentSlot)
    assert not isinstance(loader, Rearming)
    assert loader.current() == B


def test_every_call_may_be_repeated(jetson: Jetson) -> None:
    install_and_boot(jetson)
    for call, slot in ((jetson.loader.confirm, B), (jetson.loader.forbid, A), (jetson.loader.activate, A)):
        call(slot)
        before = jetson.memory()
        call(slot)
        assert jetson.memory() == before
    jetson.loader.restore(B)
    before = jetson.memory()
    jetson.loader.restore(B)
    assert jetson.memory() == before


def test_a_slot_that_the_firmware_gave_up_is_bad_and_has_its_tries_again_when_the_power_was_off(jetson: Jetson) -> None:
    install(jetson)
    assert jetson.restart(broken={"b"}) == A
    assert jetson.loader.status(B) == BAD
    assert jetson.variable("RootfsStatusSlotB") == 0
    assert jetson.load("register") == f"{TRIES} 0"
    jetson.power_on()
    assert jetson.load("register") == f"{TRIES} {TRIES}"
    assert jetson.loader.status(B) == BAD


def test_the_unit_leaves_a_trial_alone_and_keeps_a_good_slot(jetson: Jetson) -> None:
    install_and_boot(jetson)
    assert jetson.load("register") == f"{TRIES} {TRIES - 1}"
    assert jetson.call("boot-ok") == "slot 1 is on trial"
    assert jetson.load("register") == f"{TRIES} {TRIES - 1}"
    jetson.loader.confirm(B)
    assert jetson.load("register") == f"{TRIES} {TRIES}"
    jetson.restart()
    assert jetson.load("register") == f"{TRIES} {TRIES}"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["get-state", "2"], "cannot find slot '2': there are 0 and 1"),
        (["get-state"], "cannot find slot '': there are 0 and 1"),
        (["set-state", "0", "fine"], "cannot understand 'set-state 0 fine': it is none of"),
        (["mark-good"], "cannot understand 'mark-good': it is none of"),
        ([], "cannot understand '': it is none of"),
    ],
)
def test_what_it_does_not_know_is_refused(jetson: Jetson, words: list[str], message: str) -> None:
    before = jetson.memory()
    with pytest.raises(ProgramError) as caught:
        jetson.call(*words)
    assert message in (caught.value.hint or "")
    assert jetson.memory() == before


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("echo 'RootFS A/B is not enabled.'", "is redundancy of the root file system switched on?"),
        ("echo 'Active rootfs slot: C'", "nvbootctrl: it names the slot 'C'"),
        ("echo 'cannot open' >&2; exit 1", "cannot ask nvbootctrl for the slots"),
    ],
)
def test_an_nvbootctrl_that_says_something_else_changes_nothing(jetson: Jetson, program: str, message: str) -> None:
    whole = (jetson.programs / "nvbootctrl").read_text()
    jetson.program("nvbootctrl", whole.replace("    dump-slots-info)", f"    dump-slots-info) {program};;\n    old)"))
    before = jetson.memory()
    for words in (["get-primary"], ["set-primary", "1"]):
        with pytest.raises(ProgramError) as caught:
            jetson.call(*words)
        assert message in (caught.value.hint or "")
    assert jetson.memory() == before


def test_a_variable_that_cannot_be_changed_is_an_error(jetson: Jetson) -> None:
    jetson.set_variable("RootfsStatusSlotB", UNBOOTABLE)
    jetson.program("chattr", "#!/bin/sh\nexit 1\n")
    with pytest.raises(BootError) as caught:
        jetson.loader.activate(B)
    assert "RootfsStatusSlotB" in (caught.value.hint or "")
    assert "writable" in (caught.value.hint or "")


# Power cuts


def lasts(jetson: Jetson, changes: int, call: Callable[[], None]) -> bool:
    """Let the power fail in a call after so many changes; return whether it lasted until the call was done."""
    jetson.count_changes(changes)
    try:
        call()
    except BootError:
        return False
    finally:
        jetson.count_changes()
    return True


def install_or_go_back(jetson: Jetson, changes: int) -> bool:
    written = []

    def update() -> None:
        jetson.loader.forbid(B)
        written.append(True)
        jetson.loader.activate(B)

    if lasts(jetson, changes, update):
        assert jetson.power_on() == B
        return True
    # A slot that is half written does not come up, and must not be tried.
    assert jetson.power_on(broken=set() if written else {"b"}) in ({A, B} if written else {A})
    jetson.loader.restore(A)
    assert {jetson.restart(broken=set()) for _ in range(TRIES + 1)} == {A}
    return False


def commit(jetson: Jetson, changes: int) -> bool:
    done = lasts(jetson, changes, lambda: jetson.loader.confirm(B))
    if not done:
        assert jetson.power_on() == B
        jetson.loader.confirm(B)
    assert {jetson.restart() for _ in range(TRIES + 1)} == {B}
    return done


def go_back(jetson: Jetson, changes: int) -> bool:
    done = lasts(jetson, changes, lambda: jetson.loader.restore(A))
    if not done:
        assert jetson.power_on() in {A, B}
        jetson.loader.restore(A)
    assert {jetson.restart() for _ in range(TRIES + 1)} == {A}
    return done


@pytest.mark.slow
@pytest.mark.parametrize(("on_trial", "does"), [(False, install_or_go_back), (True, commit), (True, go_back)])
def test_wherever_the_power_fails_something_boots_and_the_next_update_succeeds(
    on_trial: bool, does: Callable[[Jetson, int], bool], tmp_path: Path
) -> None:
    done, changes = False, 0
    while not done:
        (tmp_path / str(changes)).mkdir()
        jetson = Jetson(tmp_path / str(changes))
        if on_trial:
            install_and_boot(jetson)
        done = does(jetson, changes)
        here = jetson.booted()
        there = B if here == A else A
        if here == B:
            jetson.loader.confirm(B)
        # What was given up has its tries again.
        assert jetson.power_on() == here
        jetson.loader.forbid(there)
        jetson.loader.activate(there)
        assert jetson.restart() == there
        jetson.loader.confirm(there)
        assert jetson.restart() == there
        changes += 1
    assert changes > 2


# The program itself


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_it_runs_in_every_shell_that_devices_have(shell: str, tmp_path: Path) -> None:
    needs(shell)
    found = shutil.which(shell)
    jetson = Jetson(tmp_path, shell=f"{found} sh" if shell == "busybox" else str(found))
    install_and_boot(jetson)
    jetson.loader.confirm(B)
    assert jetson.restart() == B


def test_shellcheck_finds_nothing(tmp_path: Path) -> None:
    needs("shellcheck")
    (tmp_path / "handler").write_text(handler_text())
    done = subprocess.run(
        ["shellcheck", "-s", "sh", "handler"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout == ""


def test_slots_are_called_what_the_board_calls_them(tmp_path: Path) -> None:
    text = handler_text(("left one", "b"))
    assert "readonly FIRST='left one'\n" in text
    assert "readonly SECOND=b\n" in text


def test_the_stand_in_has_the_commands_that_the_handler_calls(tmp_path: Path) -> None:
    jetson = Jetson(tmp_path)
    said = subprocess.run([jetson.programs / "nvbootctrl", "mark-boot-successful"], capture_output=True, check=False)
    assert said.returncode == 1
