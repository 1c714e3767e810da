"""Programs are started through one door, with the same rules for all."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bistable.artifact import run as run_module
from bistable.artifact.run import ProgramError, feed, run, run_to


def is_alive(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def ends(number: int) -> bool:
    """A killed process is gone when the kernel gets to it: wait for that, but not for ever."""
    deadline = time.monotonic() + 20
    while is_alive(number) and time.monotonic() < deadline:
        os.sched_yield()
    return not is_alive(number)


def test_a_program_gives_what_it_wrote() -> None:
    assert run(["sh", "-c", "echo out; echo err >&2"], timeout=10).stdout == b"out\n"


def test_stdin_is_closed_unless_given() -> None:
    assert run(["cat"], timeout=10).stdout == b""
    assert run(["cat"], timeout=10, stdin=b"given").stdout == b"given"


def test_the_environment_is_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "5")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    lines = run(["env"], timeout=10, variables={"EXTRA": "1"}).text.splitlines()
    assert {"LC_ALL=C.UTF-8", "TZ=UTC", "EXTRA=1"} <= set(lines)
    assert not [line for line in lines if line.startswith("SOURCE_DATE_EPOCH")]


def test_the_directories_of_system_tools_are_searched_after_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert run(["sh", "-c", "echo $PATH"], timeout=10).text == "/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin\n"


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(run_module, "SYSTEM_DIRECTORIES", ())
    with pytest.raises(ProgramError, match="cannot run mke2fs: not found") as caught:
        run(["mke2fs"], timeout=10)
    assert caught.value.hint == "install the package e2fsprogs"
    assert caught.value.exit_status is None


def test_a_failure_carries_the_status_and_the_last_lines() -> None:
    with pytest.raises(ProgramError, match="exit status 3") as caught:
        run(["sh", "-c", "seq 100 >&2; exit 3"], timeout=10)
    assert caught.value.exit_status == 3
    assert caught.value.hint is not None
    assert caught.value.hint.splitlines()[-1] == "100"


def test_a_program_that_takes_too_long_is_ended() -> None:
    with pytest.raises(ProgramError, match=r"not done after 0.2 s"):
        run(["tail", "-f", "/dev/null"], timeout=0.2)


def test_output_goes_to_a_file_whatever_its_size(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file:
        said = run_to(["sh", "-c", "head -c 5000000 /dev/zero; echo note >&2"], file, timeout=30)
    assert (tmp_path / "out").stat().st_size == 5_000_000
    assert said == b"note\n"


def test_a_failure_with_its_output_in_a_file_is_a_failure(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file, pytest.raises(ProgramError, match="exit status 4"):
        run_to(["sh", "-c", "echo part; exit 4"], file, timeout=10)


def test_a_program_is_fed_piece_by_piece(tmp_path: Path) -> None:
    feed(["sh", "-c", f"cat > {tmp_path}/got"], (bytes([number]) * 100_000 for number in range(20)), timeout=30)
    got = (tmp_path / "got").read_bytes()
    assert len(got) == 2_000_000
    assert got[-1] == 19


def test_a_program_that_stops_reading_is_judged_by_its_status() -> None:
    endless: Iterator[bytes] = iter(lambda: bytes(100_000), b"")
    feed(["true"], endless, timeout=30)
    endless = iter(lambda: bytes(100_000), b"")
    with pytest.raises(ProgramError, match="exit status 5") as caught:
        feed(["sh", "-c", "echo enough >&2; exit 5"], endless, timeout=30)
    assert caught.value.hint == "enough"


def test_a_fed_program_that_takes_too_long_ends_with_all_that_it_started(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=r"not done after 0.5 s"):
        feed(["sh", "-c", f"tail -f /dev/null & echo $! > {tmp_path}/child; wait"], (b"x",), timeout=0.5)
    assert ends(int((tmp_path / "child").read_text()))


def test_a_fed_program_ends_when_its_input_cannot_be_made(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"first"
        deadline = time.monotonic() + 10
        while not (tmp_path / "number").exists() and time.monotonic() < deadline:
            os.sched_yield()
        raise OSError("the source is gone")

    with pytest.raises(OSError, match="the source is gone"):
        feed(
            ["sh", "-c", f"echo $$ > {tmp_path}/part; mv {tmp_path}/part {tmp_path}/number; cat; tail -f /dev/null"],
            broken(),
            timeout=60,
        )
    assert ends(int((tmp_path / "number").read_text()))


def test_a_missing_program_is_not_fed() -> None:
    with pytest.raises(ProgramError, match="not found"):
        feed(["no-such-program-anywhere"], (b"x",), timeout=10)
