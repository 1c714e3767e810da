"""From what a console said to events and phases."""

from bistable.tools.bringup.suite.result import Event, EventKind, Lane, Phase
from bistable.tools.bringup.suite.trace import Line, lines_of, merged, phases_of, seen_in, telling

BOOT = (
    "U-Boot SPL 2025.01",
    "U-Boot 2025.01",
    "bistable: copies=ok,ok current=0 order=a a=good b=no",
    "bistable: booting slot a",
    "Starting kernel ...",
    "[    0.000000] Booting Linux on physical CPU 0x0",
    "[    0.000000] Linux version 6.1.0",
)
UEFI = (
    "UEFI firmware (version 2024.02 built at 10:00)",
    'BdsDxe: loading Boot0001 "disk" from PciRoot(0x0)',
    "bistable: copies=ok,ok current=0 order=a a=good b=no",
    "[    0.000000] Linux version 6.1.0",
)


def said(*texts: str, start: float = 0.0) -> list[Line]:
    """Return lines a second apart."""
    return [Line(at=start + number, text=text) for number, text in enumerate(texts)]


def kinds(*texts: str) -> list[str]:
    """Return what is seen in lines."""
    return [event.kind.value for event in seen_in(said(*texts))]


def test_a_boot_has_one_beginning_however_many_stages_its_loader_has() -> None:
    assert kinds(*BOOT) == ["loader", "kernel"]
    assert kinds(*UEFI) == ["loader", "kernel"]


def test_two_boots_are_told_apart() -> None:
    assert kinds(*BOOT, *BOOT) == ["loader", "kernel"] * 2


def test_a_loader_that_resets_before_a_kernel_is_seen_to_begin_again() -> None:
    broken = (*BOOT[:4], "bistable: slot b cannot be loaded")
    assert kinds(*broken, *BOOT) == ["loader", "loader", "kernel"]


def test_a_panic_is_seen_with_its_words() -> None:
    panic = "[    9.1] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100"
    found = list(seen_in(said(*BOOT, panic)))
    assert (found[-1].kind, found[-1].what) == (EventKind.PANIC, panic.partition("] ")[2])


def test_a_loader_that_nobody_asked_for_is_a_reset() -> None:
    def event(at: float, kind: EventKind, what: str = "") -> Event:
        return Event(at=at, kind=kind, what=what)

    done = [event(0, EventKind.POWER_ON), event(9, EventKind.UP, "a"), event(20, EventKind.REBOOT)]
    seen = [event(1, EventKind.LOADER), event(10, EventKind.LOADER), event(21, EventKind.LOADER)]
    assert [(found.at, found.kind.value) for found in merged(done, seen)] == [
        (0, "power-on"),
        (1, "loader"),
        (9, "up"),
        (10, "self-reset"),
        (10, "loader"),
        (20, "reboot"),
        (21, "loader"),
    ]


def test_phases_follow_the_events_until_the_power_goes() -> None:
    events = [
        Event(at=0.0, kind=EventKind.POWER_ON),
        Event(at=1.0, kind=EventKind.LOADER),
        Event(at=3.0, kind=EventKind.KERNEL),
        Event(at=7.0, kind=EventKind.UP, what="b"),
        Event(at=9.0, kind=EventKind.REBOOT),
        Event(at=10.0, kind=EventKind.LOADER),
        Event(at=12.0, kind=EventKind.POWER_CUT),
    ]
    assert list(phases_of(events, 20.0)) == [
        Phase(lane=Lane.LOADER, start=0.0, end=3.0),
        Phase(lane=Lane.KERNEL, start=3.0, end=7.0),
        Phase(lane=Lane.SLOT_B, start=7.0, end=10.0),
        Phase(lane=Lane.LOADER, start=10.0, end=12.0),
        Phase(lane=Lane.POWER, start=0.0, end=12.0),
    ]


def test_what_still_goes_on_ends_with_the_run() -> None:
    events = [Event(at=0.0, kind=EventKind.POWER_ON), Event(at=5.0, kind=EventKind.UP, what="a")]
    assert Phase(lane=Lane.SLOT_A, start=5.0, end=8.0) in list(phases_of(events, 8.0))


def test_lines_are_put_together_from_pieces_and_have_the_time_of_their_end() -> None:
    heard = [(100.0, "U-Bo"), (101.5, "ot 2025\r\n\x1b[0mnext"), (103.0, " line\r\n")]
    assert list(lines_of(heard, 100.0)) == [Line(at=1.5, text="U-Boot 2025"), Line(at=3.0, text="next line")]


def test_what_controls_a_terminal_is_not_in_a_line() -> None:
    assert next(lines_of([(0.0, "a\x07\x1b[31mb\x00c\r\n")], 0.0)).text == "abc"


def test_only_lines_within_a_case_that_tell_of_boots_are_shown() -> None:
    lines = said("bistable: booting slot a", "random: crng init done", "bistable: trying slot b, 2 tries left")
    assert list(telling(lines, 1.0, 5.0)) == ["bistable: trying slot b, 2 tries left"]


def test_a_kernel_that_stays_in_its_panic_has_panicked_once() -> None:
    panic = "Kernel panic - not syncing: sysrq triggered crash"
    assert kinds(*BOOT, f"[   30.1] {panic}", f"[   30.2] ---[ end {panic} ]---") == ["loader", "kernel", "panic"]


def test_of_a_kernel_its_version_is_told_and_not_who_built_it() -> None:
    lines = said("[    0.000000] Linux version 6.1.0-56 (kernel@example.com) (gcc-12 12.2.0) #1 SMP")
    assert list(telling(lines, 0.0, 1.0)) == ["[    0.000000] Linux version 6.1.0-56"]
