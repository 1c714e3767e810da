"""The commands that look at a device are understood by every shell, and find what is there."""

import hashlib
import os
import platform
import shutil
import subprocess
from pathlib import Path, PurePosixPath

import pytest

from bistable.tools.bringup.doctor.facts import parse_facts
from bistable.tools.bringup.doctor.script import SCRIPT_HEADER, first_look, second_look, sections

SHELLS = {"dash": ["dash"], "bash": ["bash"], "ash": ["busybox", "sh"]}


def answer(shell: str, script: str, **variables: str) -> str:
    if shutil.which(SHELLS[shell][0]) is None:
        pytest.skip(f"{SHELLS[shell][0]} is not installed")
    command = [str(shutil.which(SHELLS[shell][0])), *SHELLS[shell][1:], "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **variables}, check=False)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_a_computer_is_looked_at_by_whatever_shell_it_has(shell: str, tmp_path: Path) -> None:
    there, kept = tmp_path / "it's there", tmp_path / "kept"
    there.touch()
    kept.write_text("device_type=acorn")
    script = first_look(["bistable_order"], [str(there), str(tmp_path / "not")], [str(kept)])
    facts = parse_facts(answer(shell, script), kept=[str(kept)])
    assert facts.user == os.geteuid()
    assert facts.kernel == platform.release()
    assert facts.command_line == Path("/proc/cmdline").read_text().replace("\0", "")
    assert facts.files == {str(there)}
    assert facts.kept == {str(kept): "device_type=acorn\n"}
    assert facts.mounted("/") is not None
    assert {block.name for block in facts.blocks} == {path.name for path in Path("/sys/class/block").glob("*")}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_program_that_is_missing_is_told_from_one_that_fails(shell: str, tmp_path: Path) -> None:
    (tmp_path / "bistablectl").write_text("#!/bin/sh\necho '@not ours'; echo it broke >&2; exit 4\n")
    (tmp_path / "bistablectl").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    said = sections(answer(shell, first_look(["bistable_order"], [], []), PATH=path))
    assert (said["status"].lines, said["status"].status) == (("@not ours", "it broke"), 4)
    if shutil.which("fw_printenv") is None:
        assert said["environment"].status == 127


@pytest.mark.parametrize("shell", SHELLS)
def test_what_is_said_too_much_is_cut_off(shell: str, tmp_path: Path) -> None:
    (tmp_path / "bistablectl").write_text("#!/bin/sh\nseq 100000; printf %010000d 1\n")
    (tmp_path / "bistablectl").chmod(0o755)
    said = sections(answer(shell, first_look([], [], []), PATH=f"{tmp_path}:{os.environ['PATH']}"))
    assert len(said["status"].lines) == 500
    assert said["status"].status is None


@pytest.mark.parametrize("shell", SHELLS)
def test_files_of_the_boot_partition_are_told_by_what_is_in_them_and_scripts_by_their_text(
    shell: str, tmp_path: Path
) -> None:
    folder = tmp_path / "boot 'partition'"
    (folder / "loader").mkdir(parents=True)
    (folder / "loader/loader.conf").write_bytes(b"timeout 0\n")
    (folder / "boot.scr").write_bytes(bytes(SCRIPT_HEADER) + b"echo booting")
    paths = [PurePosixPath(name) for name in ("loader/loader.conf", "boot.scr", "missing")]
    said = sections(answer(shell, second_look(str(folder), paths)))
    for name, content in (("loader/loader.conf", b"timeout 0\n"), ("boot.scr", b"echo booting")):
        assert said[name].lines[0].split()[0] == hashlib.sha256(content).hexdigest()
    assert said["missing"].status == 1


def test_nothing_is_written_by_the_commands_themselves() -> None:
    script = first_look(["bistable_order"], ["/boot/Image"], ["/data/bistable/device_type"])
    script += second_look("/boot", [PurePosixPath("boot.scr")])
    for line in script.splitlines():
        assert ">" not in line.replace("2>&1", "").replace(">/dev/null", ""), line
