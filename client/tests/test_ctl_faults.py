"""What goes wrong around `bistablectl`: it says so, with an exit code, and the device is as before, or rolled back."""

import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from client_bench import ENVIRONMENT, IMAGE_SIZE, SLOT_SIZE, Bench, image, session_of
from client_modules import gone
from peers import attempt

from bistable.artifact import Codec, InputBytes, Options, rootfs_request, write_artifact

MODULE = """#!/bin/sh
echo "$1" >> '{place}/calls'
case "$1" in
  SupportsRollback) echo Yes ;;
  {call}) {does} ;;
esac
"""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(place=tmp_path)


def module(bench: Bench, call: str = "-", does: str = ":") -> Path:
    """Give the device one module that does something in one call; return an artifact for it."""
    bench.modules = bench.place / "modules"
    bench.modules.mkdir(exist_ok=True)
    program = bench.modules / "mod"
    program.write_text(MODULE.format(place=bench.place, call=call, does=does))
    program.chmod(0o755)
    bench.configure()
    return bench.module("mod", "release-1", {"file": b"x" * 100_000})


def calls(bench: Bench) -> list[str]:
    path = bench.place / "calls"
    return path.read_text().split() if path.exists() else []


def fails(bench: Bench, *words: str | Path, code: int = 1, **more: object) -> str:
    """Run a command that has to fail with a message, and return the message."""
    done = bench.ctl(*words, **more)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert "error: cannot " in done.stderr
    assert "internal error" not in done.stderr
    return str(done.stderr)


def unchanged(bench: Bench) -> None:
    """See that slot a runs as before, and will at the next boot."""
    status = bench.status()
    assert status["slots"]["running"] == status["slots"]["next"] == "a"
    assert bench.whole(bench.booted())
    assert bench.reboot() == "a"


def usable(bench: Bench) -> None:
    """See that an update still succeeds."""
    bench.must("install", bench.rootfs("release-9"))
    bench.reboot()
    bench.must("commit")
    assert bench.content(bench.booted()) == image("release-9")


def until(condition: Callable[[], object], process: "subprocess.Popen[str]") -> None:
    """Wait for something that a process brings about."""
    end = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.01)


# --- the data partition


@pytest.fixture
def small(bench: Bench) -> Iterator[Path]:
    """Give a data partition of 1 MiB."""
    place = bench.place / "small"
    place.mkdir()
    if attempt("mount", "-t", "tmpfs", "-o", "size=1m", "none", place).returncode:
        pytest.skip("mounting needs root")
    bench.configure(data=place / "data")
    yield place
    attempt("umount", "-l", place)


def fill(place: Path, *, leave: int = 0) -> Path:
    """Fill a file system, up to so many bytes; return what fills it."""
    path = place / "filler"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
        file.truncate(max(0, file.tell() - leave))
    return path


def test_a_full_data_partition_is_told_before_anything_is_done(bench: Bench, small: Path) -> None:
    bench.must("adopt")
    filler = fill(small)
    fails(bench, "install", bench.rootfs("release-1"))
    unchanged(bench)
    assert bench.content(bench.booted()) == image("release-0")
    filler.unlink()
    usable(bench)


def test_a_new_device_with_a_full_data_partition_says_so(bench: Bench, small: Path) -> None:
    filler = fill(small)
    fails(bench, "install", bench.rootfs("release-1"))
    unchanged(bench)
    filler.unlink()
    usable(bench)


@pytest.mark.parametrize("left", range(0, 160_000, 20_000))
def test_a_data_partition_that_fills_up_on_the_way_costs_the_update_at_most(
    bench: Bench, small: Path, left: int
) -> None:
    artifact = module(bench)
    bench.configure(data=small / "data")
    bench.must("adopt")
    filler = fill(small, leave=left)
    done = bench.ctl("install", artifact)
    assert done.returncode in {0, 1}
    if done.returncode:
        assert "error: cannot " in done.stderr
    bench.status()
    filler.unlink()
    bench.ctl("rollback")
    assert bench.status()["update"] is None
    assert bench.provides()["artifact_name"] == "release-0"
    usable(bench)


def test_a_data_partition_that_cannot_be_written_is_told(bench: Bench, small: Path) -> None:
    bench.must("adopt")
    provides = bench.provides()
    assert attempt("mount", "-o", "remount,ro", small).returncode == 0
    words = fails(bench, "install", bench.rootfs("release-1"))
    assert "ead-only" in words
    # What only looks still works.
    assert bench.provides() == provides
    unchanged(bench)
    assert attempt("mount", "-o", "remount,rw", small).returncode == 0
    usable(bench)


@pytest.mark.parametrize(
    "content", [b"no store", b"SQLite format 3\0" + bytes(5000), b""], ids=["text", "zeros", "empty"]
)
def test_a_damaged_store_is_put_aside(bench: Bench, content: bytes) -> None:
    bench.must("adopt")
    (bench.data / "bistable.db").write_bytes(content)
    done = bench.ctl("install", bench.rootfs("release-1"))
    assert done.returncode == 0, done.stderr
    bench.reboot()
    bench.must("commit")


def test_a_store_of_a_newer_client_is_used_as_it_is(bench: Bench) -> None:
    bench.must("adopt")
    with sqlite3.connect(bench.data / "bistable.db") as connection:
        connection.execute("PRAGMA user_version = 999")
        connection.execute("CREATE TABLE later (text TEXT)")
    connection.close()
    usable(bench)


def test_a_record_that_makes_no_sense_is_put_aside_with_its_store(bench: Bench) -> None:
    bench.must("install", bench.rootfs("release-1"))
    with sqlite3.connect(bench.data / "bistable.db") as connection:
        (table,) = {
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE sql LIKE '%record%'")
        } or {"values"}
        column = connection.execute(f"PRAGMA table_info('{table}')").fetchall()[-1][1]
        connection.execute(f"UPDATE '{table}' SET {column} = 'no JSON'")
    connection.close()
    assert "it is kept as" in fails(bench, "commit", code=2)
    assert (bench.data / "bistable.db.corrupt-001").exists()


# --- tools, modules, scripts, slots


def test_boot_tools_that_are_missing_are_told(bench: Bench) -> None:
    text = (bench.place / "device.toml").read_text().replace('backend = "simulated"', 'backend = "uboot"')
    (bench.place / "device.toml").write_text(text.replace("simulated-state", 'printenv = "/nowhere"\n#'))
    fails(bench, "install", bench.rootfs("release-1"))
    assert bench.ctl("status").returncode == 0


def test_a_module_that_is_missing_is_told(bench: Bench) -> None:
    artifact = module(bench)
    (bench.modules / "mod").unlink()
    assert "no update module" in fails(bench, "install", artifact)
    unchanged(bench)


@pytest.mark.parametrize("call", ["Download", "ArtifactInstall", "NeedsArtifactReboot"])
def test_a_module_that_hangs_is_ended_with_all_it_started(bench: Bench, call: str) -> None:
    bench.settings = "timeout = 1"
    artifact = module(bench, call, "sleep 1000 & sleep 1000")
    process = bench.start("install", artifact)
    _, words = process.communicate(timeout=120)
    assert process.returncode == 1, words
    assert "not done after 1 s" in words
    assert all(gone(pid) for pid in session_of(process))
    assert calls(bench)[-1] == "Cleanup"
    assert ("ArtifactRollback" in calls(bench)) == (call != "Download")
    assert bench.status()["update"] is None


def test_a_script_may_leave_something_running(bench: Bench) -> None:
    (bench.place / "scripts/version").write_text("3")
    script = bench.place / "scripts/Download_Enter_00"
    script.write_text(f"#!/bin/sh\nsleep 1000 &\necho $! > '{bench.place}/daemon'\n")
    script.chmod(0o755)
    bench.must("install", bench.rootfs("release-1"))
    pid = int((bench.place / "daemon").read_text())
    os.kill(pid, signal.SIGKILL)
    assert gone(pid)


def test_an_image_that_is_larger_than_the_slot_is_refused_before_it_is_written(bench: Bench) -> None:
    before = {name: path.read_bytes() for name, path in bench.slots.items()}
    path = bench.place / "large.mender"
    content = InputBytes(name="rootfs.img", content=bytes(SLOT_SIZE + 1))
    write_artifact(
        path, rootfs_request(content, name="large", device_types=["board"]), Options(codec=Codec.parse("none"))
    )
    assert f"{SLOT_SIZE + 1} bytes" in fails(bench, "install", path)
    assert {name: path.read_bytes() for name, path in bench.slots.items()} == before
    unchanged(bench)
    usable(bench)


# --- several of them, signals, and what a process gets from its caller


def test_there_is_one_at_a_time(bench: Bench) -> None:
    fifo = bench.place / "fifo"
    os.mkfifo(fifo)
    artifact = module(bench, "ArtifactInstall", f"cat '{fifo}'")
    with bench.running_command("install", artifact) as first:
        until(lambda: "ArtifactInstall" in calls(bench), first)
        for command in ("install x", "commit", "rollback", "resume", "abort"):
            assert "another process leads an update" in fails(bench, *command.split())
        assert bench.status()["update"]["state"] == "install"
        fifo.write_text("go on")
        first.communicate(timeout=60)
        assert first.returncode == 0
    bench.must("commit")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_during_the_download_leaves_what_runs(bench: Bench, number: signal.Signals) -> None:
    artifact = bench.rootfs("release-1").read_bytes()
    with bench.running_command("install", "-", stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        os.write(process.stdin.fileno(), artifact[: IMAGE_SIZE * 3 // 4])
        until(lambda: bench.content(bench.other())[:4096] == image("release-1")[:4096], process)
        process.send_signal(number)
        _, words = process.communicate(timeout=60)
    assert process.returncode == 128 + number, words
    assert "Traceback" not in words
    unchanged(bench)
    assert "its download was interrupted" in fails(bench, "resume")
    assert bench.status()["update"] is None
    usable(bench)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_during_the_installation_is_no_reason_to_leave_half_of_it(
    bench: Bench, number: signal.Signals
) -> None:
    fifo = bench.place / "fifo"
    os.mkfifo(fifo)
    artifact = module(bench, "ArtifactInstall", f"cat '{fifo}'; echo installed >> '{bench.place}/calls'")
    with bench.running_command("install", artifact) as process:
        until(lambda: "ArtifactInstall" in calls(bench), process)
        process.send_signal(number)
        _, words = process.communicate(timeout=60)
    assert process.returncode == 128 + number, words
    assert "Traceback" not in words
    # The module is ended with its client: nothing of it goes on behind the back of the next command.
    assert all(gone(pid) for pid in session_of(process))
    assert "installed" not in calls(bench)
    bench.ctl("resume")
    assert bench.status()["update"] is None
    assert "ArtifactRollback" in calls(bench)
    assert bench.provides()["artifact_name"] == "release-0"


@pytest.mark.parametrize("closed", ["stdout", "stderr", "stdin", "all"])
def test_it_works_with_closed_streams(bench: Bench, closed: str) -> None:
    shut = {"stdout": ">&-", "stderr": "2>&-", "stdin": "<&-", "all": "<&- >&- 2>&-"}[closed]
    words = " ".join(f"'{word}'" for word in bench.words(["install", bench.rootfs("release-1")]))
    done = subprocess.run(
        ["/bin/sh", "-c", f"{words} {shut}"], env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert bench.status()["update"]["state"] == "reboot"


def test_a_reader_that_goes_away_is_no_fault(bench: Bench) -> None:
    read, written = os.pipe()
    os.close(read)
    done = bench.ctl("config", "--all", stdout=written)
    os.close(written)
    assert done.returncode == 141
    assert not done.stderr


def test_a_full_disk_for_the_output_is_told(bench: Bench) -> None:
    with Path("/dev/full").open("w") as full:
        done = bench.ctl("config", "--all", stdout=full)
    assert done.returncode == 1
    assert "cannot" in done.stderr


@pytest.mark.parametrize("environment", [{}, {"HOME": "/nowhere", "TMPDIR": "/nowhere"}], ids=str)
def test_it_needs_nothing_from_the_environment(bench: Bench, environment: dict[str, str]) -> None:
    artifact = bench.file("file-1")
    done = bench.ctl("install", artifact, env=environment)
    assert done.returncode == 0, done.stderr
    assert bench.ctl("commit", env=environment).returncode == 0
    assert (bench.place / "files/target").read_text() == "file-1"


def test_it_works_in_a_directory_that_is_gone(bench: Bench) -> None:
    place = bench.place / "gone"
    place.mkdir()
    words = " ".join(f"'{word}'" for word in bench.words(["install", bench.rootfs("release-1")]))
    script = f"cd '{place}' && rmdir '{place}' && {words}"
    done = subprocess.run(
        ["/bin/sh", "-c", script], env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_an_artifact_that_is_not_there_is_told(bench: Bench) -> None:
    assert "no-such" in fails(bench, "install", bench.place / "no-such.mender")
    fails(bench, "install", bench.place)
    unchanged(bench)
    assert bench.status()["update"] is None


def test_a_device_whose_memory_of_the_boot_loader_is_gone_says_so(bench: Bench) -> None:
    bench.must("adopt")
    shutil.move(bench.memory, bench.place / "kept")
    fails(bench, "install", bench.rootfs("release-1"))
    shutil.move(bench.place / "kept", bench.memory)
    unchanged(bench)
    usable(bench)
