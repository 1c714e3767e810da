"""Programs in a directory and systemd's units say whether the system is healthy."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from client_scripts import Time

from bistable.client.health import HealthChecks, UnhealthyError
from bistable.client.health.checks import Verdict
from bistable.client.health.probes import failed_answer, unit_answer

FAKE_SYSTEMCTL = """#!/bin/sh
echo "$@" >> '{here}/asked'
case $1 in
  show) for unit; do :; done; cat "{here}/units/$unit" 2>/dev/null || echo LoadState=not-found ;;
  list-units) cat '{here}/failed' ;;
esac
"""
ACTIVE = "LoadState=loaded\nActiveState=active\nSubState=running\nResult=success\n"


class Device:
    """A directory of checks, and a systemd that says what files say."""

    def __init__(self, here: Path) -> None:
        self.here, self.directory, self.time = here, here / "health.d", Time()
        self.directory.mkdir()
        (here / "units").mkdir()
        (here / "failed").touch()
        self._program(here / "systemctl", FAKE_SYSTEMCTL.format(here=here))

    def _program(self, path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)

    def add(self, name: str, body: str = "") -> Path:
        path = self.directory / name
        self._program(path, f"#!/bin/sh\necho {name} >> '{self.here}/asked'\n{body}\n")
        return path

    def check(self, units: Sequence[str] = (), *, no_failed_units: bool = False, deadline: float = 60.0) -> float:
        checks = HealthChecks(
            self.directory,
            units,
            no_failed_units=no_failed_units,
            deadline=deadline,
            clock=self.time.clock,
            sleep=self.time.sleep,
            systemctl=str(self.here / "systemctl"),
        )
        return checks.check(0.0)

    @property
    def asked(self) -> list[str]:
        path = self.here / "asked"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path)


# --- programs


def test_programs_are_asked_in_the_order_of_their_names(device: Device) -> None:
    for name in ("20-b", "10-a", "a", "B"):
        device.add(name)
    device.check()
    assert device.asked == ["10-a", "20-b", "B", "a"]


def test_leftovers_of_editors_and_packages_are_no_checks(device: Device) -> None:
    for name in ("a~", "a.dpkg-old", ".a", "a.sh"):
        device.add(name, "exit 1")
    device.check()
    assert device.asked == []


def test_no_directory_means_no_checks(device: Device) -> None:
    device.directory.rmdir()
    device.check()


def test_a_directory_that_cannot_be_read_is_not_healthy(device: Device) -> None:
    device.directory.rmdir()
    device.directory.touch()
    with pytest.raises(UnhealthyError, match="cannot read the directory"):
        device.check()


def test_a_bad_program_is_named_with_its_last_words(device: Device) -> None:
    device.add("10-good")
    device.add("20-bad", "echo no signal from the antenna >&2; exit 3")
    device.add("30-never")
    with pytest.raises(UnhealthyError, match="20-bad says that it is not") as raised:
        device.check()
    hint = raised.value.hint or ""
    assert "exit status 3" in hint
    assert hint.endswith("no signal from the antenna")
    assert device.asked == ["10-good", "20-bad"]


def test_a_program_may_ask_for_time(device: Device) -> None:
    device.add("a", f"[ -e '{device.here}/again' ] || {{ touch '{device.here}/again'; exit 21; }}")
    device.check()
    assert device.asked == ["a", "a"]


def test_a_program_cannot_ask_for_time_for_ever(device: Device) -> None:
    device.add("a", "echo waiting for a fix >&2; exit 21")
    with pytest.raises(UnhealthyError, match="a is still not good after 10 s") as raised:
        device.check(deadline=10.0)
    assert raised.value.hint == "waiting for a fix"


def test_a_program_that_was_not_made_executable_is_bad(device: Device) -> None:
    device.add("a").chmod(0o644)
    with pytest.raises(UnhealthyError) as raised:
        device.check()
    assert "chmod +x" in (raised.value.hint or "")


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("/nowhere")], ids=["directory", "link"])
def test_what_cannot_be_run_is_bad(device: Device, make: object) -> None:
    assert callable(make)
    make(device.directory / "a")
    with pytest.raises(UnhealthyError, match="a says that it is not"):
        device.check()


def test_a_program_gets_a_clean_environment(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLAVOUR", "plum")
    device.add("a", '[ -z "$FLAVOUR" ]')
    device.check()


# --- units


def test_units_that_are_active_are_good(device: Device) -> None:
    (device.here / "units/a.service").write_text(ACTIVE)
    device.add("10-first")
    device.check(["a.service"])
    assert device.asked[0] == "10-first"
    assert device.asked[1].endswith("-- a.service")


def test_a_unit_that_is_not_there_is_named(device: Device) -> None:
    with pytest.raises(UnhealthyError, match=r"the unit b\.service says that it is not") as raised:
        device.check(["b.service"])
    assert "not-found" in (raised.value.hint or "")


def test_a_unit_that_never_starts_fails_at_the_deadline(device: Device) -> None:
    (device.here / "units/a.service").write_text("LoadState=loaded\nActiveState=activating\nSubState=auto-restart\n")
    with pytest.raises(UnhealthyError, match=r"a\.service is still not good") as raised:
        device.check(["a.service"])
    assert "auto-restart" in (raised.value.hint or "")


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        (ACTIVE, Verdict.GOOD),
        ("LoadState=loaded\nActiveState=inactive\n", Verdict.LATER),
        ("LoadState=loaded\nActiveState=activating\n", Verdict.LATER),
        ("LoadState=loaded\nActiveState=reloading\n", Verdict.LATER),
        ("LoadState=loaded\nActiveState=failed\nResult=exit-code\n", Verdict.BAD),
        ("LoadState=not-found\nActiveState=inactive\n", Verdict.BAD),
        ("LoadState=masked\nActiveState=inactive\n", Verdict.BAD),
        ("", Verdict.LATER),
    ],
)
def test_states_of_units(said: str, verdict: Verdict) -> None:
    assert unit_answer(said).verdict is verdict


def test_failed_units_are_asked_for_only_if_that_matters(device: Device) -> None:
    (device.here / "failed").write_text("a.service loaded failed failed Something\n")
    device.check()
    with pytest.raises(UnhealthyError, match="list of failed units") as raised:
        device.check(no_failed_units=True)
    assert "a.service" in (raised.value.hint or "")


def test_failed_units_are_looked_for_last(device: Device) -> None:
    (device.here / "units/a.service").write_text(ACTIVE)
    device.check(["a.service"], no_failed_units=True)
    assert [line.split()[0] for line in device.asked] == ["show", "list-units"]


def test_an_empty_list_of_failed_units_is_good() -> None:
    assert failed_answer(" \n").verdict is Verdict.GOOD


def test_a_systemd_that_does_not_answer_is_asked_again(device: Device) -> None:
    (device.here / "systemctl").write_text("#!/bin/sh\necho not yet >&2\nexit 1\n")
    with pytest.raises(UnhealthyError, match="still not good") as raised:
        device.check(["a.service"], no_failed_units=True)
    assert "not yet" in (raised.value.hint or "")
