"""The door for programs."""

import os
import select
import signal
import sys
from pathlib import Path

import pytest

from bistable.client.errors import ProgramError
from bistable.client.run import KEPT_STDERR, KEPT_STDOUT, Program, run

SH = "/bin/sh"


def test_what_a_program_writes_is_returned() -> None:
    done = run([SH, "-c", "echo out; echo err >&2"], timeout=10)
    assert (done.text, done.stderr) == ("out\n", b"err\n")


def test_a_program_that_fails_is_an_error_with_its_status_and_last_words() -> None:
    with pytest.raises(ProgramError, match="exit status 7") as caught:
        run([SH, "-c", "echo why >&2; exit 7"], timeout=10)
    assert (caught.value.exit_status, caught.value.hint) == (7, "why")


def test_a_program_that_was_killed_says_by_what() -> None:
    with pytest.raises(ProgramError, match="SIGSEGV"):
        run([SH, "-c", "kill -SEGV $$"], timeout=10)


def test_a_missing_program_is_named_together_with_its_package(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="not found") as caught:
        run([tmp_path / "fw_printenv"], timeout=10)
    assert caught.value.hint == "install the package libubootenv-tool"


def test_stdin_is_what_was_given_and_nothing_otherwise() -> None:
    assert run(["cat"], timeout=10, stdin=b"words").stdout == b"words"
    assert run(["cat"], timeout=10).stdout == b""


def test_a_program_that_does_not_read_is_no_error() -> None:
    assert run(["true"], timeout=10, stdin=b"x" * 65_000).stdout == b""


def test_a_late_program_is_ended_with_its_children(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = f"sleep 600 & echo $! > {pid}; wait"
    with pytest.raises(ProgramError, match=r"not done after 0\.3 s"):
        run([SH, "-c", script], timeout=0.3)
    assert gone(int(pid.read_text()))


def test_a_late_program_may_end_by_itself_within_its_grace(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    script = f"trap 'echo asked > {trace}; exit 0' TERM; while :; do sleep 0.02; done"
    with pytest.raises(ProgramError, match="not done"):
        run([SH, "-c", script], timeout=0.3, grace=60)
    assert trace.read_text() == "asked\n"


def test_a_program_that_does_not_listen_is_killed_after_its_grace() -> None:
    with pytest.raises(ProgramError, match="not done"):
        run([SH, "-c", "trap '' TERM; while :; do sleep 0.02; done"], timeout=0.2, grace=0.2)


def test_what_a_program_leaves_running_is_neither_waited_for_nor_ended(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    run([SH, "-c", f"sleep 600 & echo $! > {pid}"], timeout=60)
    left = int(pid.read_text())
    os.kill(left, signal.SIGKILL)  # raises if it is gone


def test_endless_output_does_not_fill_memory() -> None:
    done = run([SH, "-c", "head -c 5000000 /dev/zero; head -c 3000000 /dev/zero >&2; echo end >&2"], timeout=60)
    assert len(done.stdout) == KEPT_STDOUT
    assert len(done.stderr) == KEPT_STDERR
    assert done.stderr.endswith(b"end\n")


def test_the_environment_is_clean_unless_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_SECRET", "s")
    command = [sys.executable, "-c", "import os; print(os.environ.get('SOME_SECRET'), os.environ.get('MORE'))"]
    assert run(command, timeout=30, variables={"MORE": "m"}).text == "None m\n"
    assert run(command, timeout=30, variables={"MORE": "m"}, inherit=True).text == "s m\n"


def test_leaving_the_block_ends_the_program(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    with Program([SH, "-c", f"echo $$ > {pid}; echo; exec sleep 600"], timeout=60) as program:
        while not (pid.exists() and pid.read_text().endswith("\n")):
            assert program.running()
    assert gone(int(pid.read_text()))


def gone(pid: int) -> bool:
    """Return whether a process is no more, or only waits to be collected; one that was killed may need a moment."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 10)[0])
    finally:
        os.close(descriptor)


def test_a_program_that_fails_keeps_what_it_wrote() -> None:
    with pytest.raises(ProgramError) as caught:
        run([SH, "-c", "echo out; echo err >&2; exit 1"], timeout=10)
    assert (caught.value.stdout, caught.value.stderr) == (b"out\n", b"err\n")


def test_what_a_muted_program_leaves_running_may_go_on_writing(tmp_path: Path) -> None:
    done = tmp_path / "done"
    go = tmp_path / "go"
    os.mkfifo(go)
    script = f"(read line < {go}; echo more && echo written > {done}; echo end > {go}) & exit 0"
    assert run([SH, "-c", script], timeout=10, mute=True).stdout == b""
    go.write_text("now\n")
    assert go.read_text() == "end\n"
    assert done.read_text() == "written\n"


def test_a_child_of_a_late_program_is_ended_even_if_only_the_program_listens(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    child = f"trap '' TERM; echo $$ > {pid}; while :; do sleep 0.02; done"
    script = (
        f'sh -c "{child}" & trap "exit 0" TERM; while [ ! -s {pid} ]; do sleep 0.01; done; while :; do sleep 0.02; done'
    )
    with pytest.raises(ProgramError, match="not done"):
        run([SH, "-c", script.replace("$$", "\\$\\$")], timeout=1.0, grace=30)
    assert gone(int(pid.read_text()))


def test_output_is_handed_on_as_it_comes() -> None:
    taken: list[bytes] = []
    with Program([SH, "-c", "echo out; echo err >&2"], timeout=10, on_stdout=taken.append) as program:
        done = program.wait()
    assert b"".join(taken) == b"out\n" == done.stdout
