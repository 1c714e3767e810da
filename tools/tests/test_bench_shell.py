"""A root shell on a serial line is found and taken over, whichever it is, and gives answers and nothing else."""

import shutil
import subprocess
from pathlib import Path

import pytest
from bench_devices import ASH, BASH, GETTY, KERNEL, PASSWORD, on_terminal

from bistable.tools.bench.errors import CommandError, DeathError, LateError, MisuseError
from bistable.tools.bench.shell import PROMPT, SHELL_READY, Answer, Login, Shell

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("busybox", "bash", "setsid"))), reason="not installed: busybox, bash or setsid"
)
SHELLS = pytest.mark.parametrize("shell", [ASH, BASH], ids=["ash", "bash"])
BOOT = "echo 'U-Boot 2026.01 (Jan 01 2026)'; echo '## Loading kernel'; echo '[    0.000000] Linux version 6.12';"


@SHELLS
def test_a_prompt_after_a_boot_is_taken_over_and_commands_give_output_and_status(shell: str, tmp_path: Path) -> None:
    with on_terminal(f"{BOOT} exec env {shell}", tmp_path) as console:
        it = Shell(console)
        it.attach()
        assert it.run("echo one; echo two >&2; exit 3", allowed=(3,)) == Answer(status=3, output="one\ntwo")
        assert it.run("cat") == Answer(status=0, output="")
        # Nothing is echoed: it would be in the way of answers, and of who reads the log.
        assert "<<1" in console.text()
        assert "eval 'echo one" not in console.text()


@SHELLS
def test_a_message_of_the_kernel_right_after_the_prompt_does_not_hide_it(shell: str, tmp_path: Path) -> None:
    with on_terminal(f"printf '\\r\\n/ # {KERNEL}\\r\\n'; exec env {shell.replace('# ', '> ')}", tmp_path) as console:
        it = Shell(console)
        it.attach()
        assert it.run("echo here").output == "here"


@SHELLS
def test_a_shell_that_says_that_it_is_ready_is_taken_over(shell: str, tmp_path: Path) -> None:
    with on_terminal(f"{BOOT} echo '{SHELL_READY}'; exec env {shell}", tmp_path) as console:
        it = Shell(console)
        it.attach()
        assert it.run("echo here").output == "here"


SETS_UP_ITS_LINE = """python3 -c 'import select; select.select([0], [], [], 0.3)[0] and exit("typed too early")' && """


@SHELLS
def test_nothing_is_typed_before_the_shell_that_is_ready_shows_its_prompt(shell: str, tmp_path: Path) -> None:
    script = f"{BOOT} echo '{SHELL_READY}'; {SETS_UP_ITS_LINE} exec env {shell}"
    with on_terminal(script, tmp_path) as console:
        it = Shell(console)
        it.attach()
        assert it.run("echo here").output == "here"


@SHELLS
def test_where_a_login_is_asked_for_user_and_password_are_given(shell: str, tmp_path: Path) -> None:
    with on_terminal(BOOT + GETTY % f"env {shell}", tmp_path) as console:
        it = Shell(console, Login(password=PASSWORD))
        it.attach()
        assert it.run("echo here").output == "here"


def test_the_message_about_the_last_login_is_no_question_for_the_next_one(tmp_path: Path) -> None:
    script = f"{BOOT} echo 'Last login: Thu Nov 26 06:00:00 UTC 2026 on ttyS2'; exec env {BASH}"
    with on_terminal(script, tmp_path) as console:
        it = Shell(console)
        it.attach()
        assert it.run("echo here").output == "here"
        assert "root: " not in console.text()


def test_a_wrong_password_and_a_missing_one_are_the_callers_mistakes(tmp_path: Path) -> None:
    with on_terminal(GETTY % "sh", tmp_path) as console, pytest.raises(MisuseError, match="takes neither"):
        Shell(console, Login(password="beech")).attach()
    with on_terminal(GETTY % "sh", tmp_path) as console, pytest.raises(MisuseError, match="asks for a password"):
        Shell(console).attach()


def test_a_password_is_in_no_representation() -> None:
    assert PASSWORD not in repr(Login(password=PASSWORD))


def test_a_command_that_fails_says_what_it_wrote(tmp_path: Path) -> None:
    with on_terminal(f"echo; exec env {ASH}", tmp_path) as console:
        it = Shell(console)
        it.attach()
        with pytest.raises(CommandError, match=r"ended with exit status 1[^|]*\| no such thing"):
            it.run("echo no such thing; false")


@pytest.mark.parametrize(
    "command",
    [
        'echo "it\'s" \'"quoted"\' \\\\ $((1 + 1))',
        "for i in 1 2; do\n    echo \"$i\"\ndone\ncat <<'END'\n  kept as 'it' is\nEND",
        "echo " + "'x y'" * 4000,
        "\n".join(f"echo 'line {number} of many'" for number in range(400)),
    ],
    ids=["quotes", "lines", "long", "long lines"],
)
def test_a_command_arrives_as_it_is_whatever_is_in_it(command: str, tmp_path: Path) -> None:
    expected = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout
    with on_terminal(f"echo; exec env {BASH}", tmp_path) as console:
        it = Shell(console)
        it.attach()
        assert it.run(command).output == expected.rstrip("\n")


@SHELLS
def test_a_device_that_has_been_on_for_long_is_joined_and_given_back(shell: str, tmp_path: Path) -> None:
    with on_terminal(GETTY % f"env {shell}", tmp_path) as console:
        for _ in range(2):
            it = Shell(console, Login(password=PASSWORD))
            it.join()
            assert it.run("echo here").output == "here"
            it.release()
            console.expect("acorn login: ", seconds=20)
    before = Path("/proc/sys/kernel/printk").read_text().split()[0]
    said = (tmp_path / "said").read_text().splitlines()
    assert said == ["dmesg -n 1", f"dmesg -n {before}"] * 2


def test_a_shell_that_was_not_given_back_is_joined_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bistable.tools.bench.patience.ANSWER", 0.3)
    with on_terminal(f"echo; exec env {ASH}", tmp_path) as console:
        Shell(console).attach()
        it = Shell(console)
        it.join()
        assert it.run("echo here").output == "here"


def test_a_line_on_which_nobody_answers_is_an_error_that_shows_what_was_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bistable.tools.bench.patience.ANSWER", 0.1)
    with (
        on_terminal("stty -echo; echo '=> '; exec sleep 1000", tmp_path) as console,
        pytest.raises(LateError, match="=> "),
    ):
        Shell(console).join()


def test_a_device_that_dies_on_its_way_to_the_shell_is_not_waited_for(tmp_path: Path) -> None:
    script = "echo 'Kernel panic - not syncing: no init'; exec sleep 1000"
    with on_terminal(script, tmp_path) as console, pytest.raises(DeathError, match="Kernel panic"):
        Shell(console).attach()


@pytest.mark.parametrize(
    "prompt",
    [
        "/ # ",
        "~ # \x1b[6n",
        "# ",
        "sh-5.2# ",
        "root@acorn:~# ",
        "[root@acorn ~]# ",
        "\x1b[?2004h\x1b[1;31mroot@acorn\x1b[0m:/var/lib# ",
        f"/ # {KERNEL}",
    ],
)
def test_prompts_of_root_are_known(prompt: str) -> None:
    assert PROMPT.search(f"Last login: today\r\n{prompt}")


@pytest.mark.parametrize(
    "words",
    [
        "virtio read: device 0 block # ",
        "## Loading kernel from FIT Image at 90000000 ...\r\n",
        "   Uncompressing # ",
        "Linux version 6.12 (acorn) # ",
        "oak@acorn:~$ ",
        "u-boot=> ",
    ],
)
def test_what_boot_loaders_say_is_taken_for_no_prompt_wherever_they_pause(words: str) -> None:
    text = f"\r\n{words}"
    assert not any(PROMPT.search(text[:end]) for end in range(len(text) + 1))


def test_a_restart_is_seen_by_the_last_words_of_the_kernel_not_by_a_login_that_comes_before(tmp_path: Path) -> None:
    script = f"printf 'acorn login: \\r\\nreboot: Restarting system\\r\\n'; exec env {ASH}"
    with on_terminal(script, tmp_path) as console:
        it = Shell(console)
        it.wait_for_restart()
        it.attach()
        assert it.run("echo here").output == "here"
