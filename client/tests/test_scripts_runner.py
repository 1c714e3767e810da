"""State scripts run in order, fail, wait and are ended as scripts of a Mender client do."""

import logging
import os
import signal
from pathlib import Path

import pytest
from client_scripts import Scripts

from bistable.client.errors import AbortedError, ScriptError
from bistable.client.scripts import ScriptLimits


@pytest.fixture
def scripts(tmp_path: Path) -> Scripts:
    return Scripts(tmp_path)


# --- which scripts


def test_scripts_run_in_order(scripts: Scripts) -> None:
    for name in (
        "ArtifactInstall_Enter_10",
        "ArtifactInstall_Enter_02",
        "ArtifactInstall_Enter_02_first",
        "ArtifactInstall_Leave_00",
    ):
        scripts.add(name)
    scripts.runner.run("ArtifactInstall", "Enter", ignore_errors=False)
    assert scripts.ran == ["ArtifactInstall_Enter_02", "ArtifactInstall_Enter_02_first", "ArtifactInstall_Enter_10"]


@pytest.mark.parametrize("state", ["Idle", "Sync", "Download"])
def test_some_states_have_their_scripts_in_the_system(scripts: Scripts, state: str) -> None:
    scripts.add(f"{state}_Enter_00", directory=scripts.rootfs)
    scripts.add(f"{state}_Enter_01", directory=scripts.artifact)
    scripts.runner.run(state, "Enter", ignore_errors=False)
    assert scripts.ran == [f"{state}_Enter_00"]


@pytest.mark.parametrize("state", ["Install", "Reboot", "Commit", "Rollback", "RollbackReboot", "Failure"])
def test_other_states_have_their_scripts_in_the_artifact(scripts: Scripts, state: str) -> None:
    scripts.add(f"Artifact{state}_Enter_00", directory=scripts.artifact)
    scripts.add(f"Artifact{state}_Enter_01", directory=scripts.rootfs)
    scripts.runner.run(f"Artifact{state}", "Enter", ignore_errors=False)
    assert scripts.ran == [f"Artifact{state}_Enter_00"]


def test_no_directory_means_no_scripts(tmp_path: Path) -> None:
    scripts = Scripts(tmp_path)
    for directory in (scripts.rootfs, scripts.artifact):
        (directory / "version").unlink()
        directory.rmdir()
    scripts.runner.run("Idle", "Enter", ignore_errors=False)
    scripts.runner.run("ArtifactInstall", "Enter", ignore_errors=False)
    scripts.runner.check_rootfs_version()


def test_a_misspelt_script_is_logged(scripts: Scripts, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    scripts.add("Sync_Enter_1")
    scripts.runner.run("Sync", "Enter", ignore_errors=False)
    assert scripts.ran == []
    assert "Sync_Enter_1 does not have the name of a state script" in caplog.text


# --- version


@pytest.mark.parametrize("version", ["2", "3", "3\n", " 3 "])
def test_known_versions_run(scripts: Scripts, version: str) -> None:
    (scripts.rootfs / "version").write_text(version)
    scripts.add("Download_Enter_00")
    scripts.runner.check_rootfs_version()
    scripts.runner.run("Download", "Enter", ignore_errors=False)
    assert scripts.ran == ["Download_Enter_00"]


@pytest.mark.parametrize("version", [None, "1", "4", "x", "", "3" * 100])
def test_scripts_of_another_version_or_none_are_not_run(scripts: Scripts, version: str | None) -> None:
    (scripts.rootfs / "version").unlink()
    if version is not None:
        (scripts.rootfs / "version").write_text(version)
    scripts.add("Download_Enter_00")
    with pytest.raises(ScriptError, match="version"):
        scripts.runner.check_rootfs_version()
    with pytest.raises(ScriptError, match="version"):
        scripts.runner.run("Download", "Enter", ignore_errors=False)
    scripts.runner.run("Download", "Enter", ignore_errors=True)
    assert scripts.ran == []


@pytest.mark.parametrize("version", [None, "4", "x"])
def test_without_scripts_the_version_does_not_matter(scripts: Scripts, version: str | None) -> None:
    (scripts.rootfs / "version").unlink()
    if version is not None:
        (scripts.rootfs / "version").write_text(version)
    (scripts.rootfs / "README").touch()
    scripts.runner.check_rootfs_version()
    scripts.runner.run("Download", "Enter", ignore_errors=False)


def test_scripts_of_any_state_count_before_a_commit(scripts: Scripts) -> None:
    (scripts.rootfs / "version").unlink()
    scripts.add("Idle_Enter_00")
    with pytest.raises(ScriptError, match="missing"):
        scripts.runner.check_rootfs_version()


def test_a_version_that_cannot_be_read_is_an_error(scripts: Scripts) -> None:
    (scripts.rootfs / "version").unlink()
    (scripts.rootfs / "version").mkdir()
    scripts.add("Download_Enter_00")
    with pytest.raises(ScriptError, match="cannot read"):
        scripts.runner.run("Download", "Enter", ignore_errors=False)


# --- failing


def test_the_first_failure_stops_the_rest(scripts: Scripts) -> None:
    scripts.add("ArtifactInstall_Enter_00", "echo the disk is on fire >&2; exit 3")
    scripts.add("ArtifactInstall_Enter_01")
    with pytest.raises(ScriptError, match=r"ArtifactInstall_Enter_00.*exit status 3") as raised:
        scripts.runner.run("ArtifactInstall", "Enter", ignore_errors=False)
    assert raised.value.hint == "the disk is on fire"
    assert scripts.ran == ["ArtifactInstall_Enter_00"]


def test_all_scripts_run_where_errors_are_ignored(scripts: Scripts) -> None:
    scripts.add("ArtifactInstall_Error_00", "exit 1")
    scripts.add("ArtifactInstall_Error_01", mode=0o644)
    scripts.add("ArtifactInstall_Error_02", "kill -9 $$")
    (scripts.artifact / "ArtifactInstall_Error_03").mkdir()
    scripts.add("ArtifactInstall_Error_04")
    scripts.runner.run("ArtifactInstall", "Error", ignore_errors=True)
    assert [name[-2:] for name in scripts.ran] == ["00", "02", "04"]


def test_a_script_that_is_not_executable_is_an_error(scripts: Scripts) -> None:
    scripts.add("ArtifactInstall_Enter_00", mode=0o644)
    scripts.add("ArtifactInstall_Enter_01")
    with pytest.raises(ScriptError, match="not executable"):
        scripts.runner.run("ArtifactInstall", "Enter", ignore_errors=False)
    assert scripts.ran == []


def test_a_directory_or_a_dangling_link_is_an_error(scripts: Scripts) -> None:
    (scripts.rootfs / "Sync_Enter_00").mkdir()
    (scripts.rootfs / "Idle_Enter_00").symlink_to("/nowhere")
    with pytest.raises(ScriptError, match="not a file"):
        scripts.runner.run("Sync", "Enter", ignore_errors=False)
    with pytest.raises(ScriptError, match="leads to nothing"):
        scripts.runner.run("Idle", "Enter", ignore_errors=False)


def test_a_script_may_be_a_link(scripts: Scripts, tmp_path: Path) -> None:
    script = scripts.add("Sync_Enter_00")
    script.rename(tmp_path / "elsewhere")
    script.symlink_to(tmp_path / "elsewhere")
    scripts.runner.run("Sync", "Enter", ignore_errors=False)
    assert scripts.ran == ["Sync_Enter_00"]


def test_a_file_without_an_interpreter_is_an_error(scripts: Scripts) -> None:
    path = scripts.add("ArtifactInstall_Enter_00")
    path.write_text("echo no first line\n")
    with pytest.raises(ScriptError, match="Exec format error"):
        scripts.runner.run("ArtifactInstall", "Enter", ignore_errors=False)


# --- how they are run


def test_a_script_gets_our_environment_and_no_arguments(
    scripts: Scripts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLAVOUR", "sour plum")
    scripts.add("Idle_Enter_00", f'echo "$# $FLAVOUR" > "{tmp_path}/seen"')
    scripts.runner.run("Idle", "Enter", ignore_errors=False)
    assert (tmp_path / "seen").read_text() == "0 sour plum\n"


def test_what_it_writes_to_stderr_is_logged_up_to_a_limit(scripts: Scripts, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    scripts.add("Idle_Enter_00", 'echo start >&2; head -c 20000 /dev/zero | tr "\\0" x >&2; echo end >&2')
    scripts.runner.run("Idle", "Enter", ignore_errors=False)
    assert "start" in caplog.text
    assert "end" not in caplog.messages[-1]
    assert len(caplog.messages[-1]) < 11_000


def test_a_script_that_is_late_is_killed_with_all_it_started(tmp_path: Path) -> None:
    scripts = Scripts(tmp_path, limits=ScriptLimits(timeout=0.3))
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    # The child holds the fifo open for as long as it lives.
    scripts.add("ArtifactInstall_Enter_00", f"trap '' TERM; sleep 600 > '{fifo}' & wait")
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(ScriptError, match=r"not done after 0\.3 s"):
            scripts.runner.run("ArtifactInstall", "Enter", ignore_errors=False)
        os.set_blocking(reader, True)
        assert os.read(reader, 1) == b""
    finally:
        os.close(reader)


def test_a_daemon_that_a_script_leaves_behind_is_not_waited_for(scripts: Scripts, tmp_path: Path) -> None:
    scripts.add("ArtifactInstall_Enter_00", f'sleep 600 & echo $! > "{tmp_path}/daemon"')
    try:
        scripts.runner.run("ArtifactInstall", "Enter", ignore_errors=False)
    finally:
        os.kill(int((tmp_path / "daemon").read_text()), signal.SIGKILL)
    assert scripts.ran == ["ArtifactInstall_Enter_00"]


# --- running again later


def test_a_script_that_asks_for_it_is_run_again_after_an_interval(scripts: Scripts, tmp_path: Path) -> None:
    scripts.add("ArtifactInstall_Enter_00", f'[ -e "{tmp_path}/again" ] || {{ touch "{tmp_path}/again"; exit 21; }}')
    scripts.add("ArtifactInstall_Enter_01")
    scripts.runner.run("ArtifactInstall", "Enter", ignore_errors=False)
    assert [name[-2:] for name in scripts.ran] == ["00", "00", "01"]
    assert sum(scripts.time.slept) == 60


def test_it_cannot_ask_for_ever(tmp_path: Path) -> None:
    scripts = Scripts(tmp_path, limits=ScriptLimits(retry_interval=60, retry_timeout=180))
    scripts.add("ArtifactInstall_Enter_00", "echo nobody says yes >&2; exit 21")
    with pytest.raises(ScriptError, match="still asked for more time after 180 s") as raised:
        scripts.runner.run("ArtifactInstall", "Enter", ignore_errors=False)
    assert raised.value.hint == "nobody says yes"
    # At 0, 60, 120 and 180 s it may ask; at 240 s it is told no.
    assert len(scripts.ran) == 5


def test_where_errors_are_ignored_it_can_ask_as_well(tmp_path: Path) -> None:
    scripts = Scripts(tmp_path, limits=ScriptLimits(retry_interval=60, retry_timeout=30))
    scripts.add("Idle_Enter_00", "exit 21")
    scripts.add("Idle_Enter_01")
    scripts.runner.run("Idle", "Enter", ignore_errors=True)
    assert [name[-2:] for name in scripts.ran] == ["00", "00", "01"]


def test_an_abort_ends_the_waiting(scripts: Scripts) -> None:
    scripts.aborted = True
    scripts.add("ArtifactInstall_Enter_00", "exit 21")
    with pytest.raises(AbortedError):
        scripts.runner.run("ArtifactInstall", "Enter", ignore_errors=True)
    assert sum(scripts.time.slept) <= 1


# --- what is told


def test_begin_and_end_of_each_script_are_told_in_the_words_of_the_server(scripts: Scripts) -> None:
    scripts.add("ArtifactInstall_Enter_00")
    scripts.add("ArtifactInstall_Enter_01", "exit 1")
    with pytest.raises(ScriptError):
        scripts.runner.run("ArtifactInstall", "Enter", ignore_errors=False)
    assert scripts.substates == [
        "Executing script: ArtifactInstall_Enter_00",
        "finished executing script: ArtifactInstall_Enter_00",
        "Executing script: ArtifactInstall_Enter_01",
        "finished executing script: ArtifactInstall_Enter_01",
    ]
