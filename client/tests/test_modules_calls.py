"""The calls of an update module, one after the other, in new processes, with failures and with a power cut in each."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from client_modules import RUNNING, Workshop, gone, shape

from bistable.client.errors import ModuleError
from bistable.client.model import RebootNeed
from bistable.client.modules import Limits, ModulePayload
from bistable.client.modules.call import CALL_BYTES, LINE_BYTES

STEPS: dict[str, Callable[[ModulePayload], object]] = {
    "ArtifactInstall": ModulePayload.install,
    "NeedsArtifactReboot": ModulePayload.reboot_need,
    "SupportsRollback": ModulePayload.supports_rollback,
    "ArtifactReboot": ModulePayload.reboot,
    "ArtifactVerifyReboot": ModulePayload.verify_reboot,
    "ArtifactCommit": ModulePayload.commit,
    "ArtifactRollback": ModulePayload.rollback,
    "ArtifactRollbackReboot": ModulePayload.rollback_reboot,
    "ArtifactVerifyRollbackReboot": ModulePayload.verify_rollback_reboot,
    "ArtifactFailure": ModulePayload.failure,
}


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    shop = Workshop(tmp_path)
    shop.program()
    return shop


def test_each_step_is_one_call_with_the_tree_as_its_place(shop: Workshop) -> None:
    shop.program(**{call: f'echo "{call} $# $2 $PWD" >> tmp/seen' for call in STEPS})
    shop.download({})
    for step in STEPS.values():
        step(shop.payload())
    seen = (shop.tree / "tmp/seen").read_text().splitlines()
    assert seen == [f"{call} 2 {shop.tree} {shop.tree}" for call in STEPS]
    assert shop.calls() == ["ProvidePayloadFileSizes", "Download", *STEPS]


def test_to_arm_is_no_call(shop: Workshop) -> None:
    shop.payload().arm()
    shop.payload().rearm()
    assert shop.calls() == []


def test_a_module_gets_our_environment_and_no_input(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXY_OF_THE_SITE", "there")
    shop.program(ArtifactInstall='echo "$PROXY_OF_THE_SITE $(cat)" > tmp/seen')
    shop.download({})
    shop.payload().install()
    assert (shop.tree / "tmp/seen").read_text() == "there \n"


@pytest.mark.parametrize("call", STEPS)
def test_a_call_that_fails_is_an_error_with_the_modules_last_words(shop: Workshop, call: str) -> None:
    shop.program(**{call: "echo no disk >&2; exit 3"})
    shop.download({})
    with pytest.raises(ModuleError, match=f"cannot do {call} with the update module mod: .*exit status 3") as caught:
        STEPS[call](shop.payload())
    assert caught.value.hint == "no disk"


@pytest.mark.parametrize("call", STEPS)
def test_a_call_without_a_tree_is_an_error(shop: Workshop, call: str) -> None:
    with pytest.raises(ModuleError, match="is not there"):
        STEPS[call](shop.payload())
    assert shop.calls() == []


@pytest.mark.parametrize("call", STEPS)
def test_a_call_of_a_module_that_is_gone_is_an_error(shop: Workshop, call: str) -> None:
    shop.download({})
    with pytest.raises(ModuleError, match="not installed any more"):
        STEPS[call](ModulePayload(None, shop.tree))
    shop.module.unlink()
    with pytest.raises(ModuleError, match="not found"):
        STEPS[call](shop.payload())


def test_a_file_that_is_not_a_program_is_an_error(shop: Workshop) -> None:
    shop.download({})
    shop.module.write_bytes(b"\x00\x01")
    with pytest.raises(ModuleError, match="Exec format error"):
        shop.payload().install()


# --- answers


@pytest.mark.parametrize(
    ("said", "need"),
    [
        (":", RebootNeed.NONE),
        ("echo", RebootNeed.NONE),
        ("echo No", RebootNeed.NONE),
        ("printf No", RebootNeed.NONE),
        ("echo Yes", RebootNeed.CUSTOM),
        ("echo Automatic; echo noise >&2", RebootNeed.AUTOMATIC),
    ],
)
def test_a_module_says_which_reboot_it_needs(shop: Workshop, said: str, need: RebootNeed) -> None:
    shop.program(NeedsArtifactReboot=said)
    shop.download({})
    assert shop.payload().reboot_need() is need


@pytest.mark.parametrize(("said", "can"), [(":", False), ("echo No", False), ("echo Yes", True)])
def test_a_module_says_whether_it_can_roll_back(shop: Workshop, said: str, can: bool) -> None:
    shop.program(SupportsRollback=said)
    shop.download({})
    assert shop.payload().supports_rollback() is can


@pytest.mark.parametrize(
    "said", ["echo yes", "echo Yes; echo", "echo; echo Yes", "echo ' Yes'", "printf 'Yes\\r\\n'", "echo Maybe", "yes"]
)
@pytest.mark.parametrize("query", ["NeedsArtifactReboot", "SupportsRollback"])
def test_another_answer_is_an_error(shop: Workshop, query: str, said: str) -> None:
    shop.program(**{query: said if said != "yes" else "yes | head -n 1000"})
    shop.download({})
    with pytest.raises(ModuleError, match=f"cannot understand the update module mod: it answers {query}"):
        STEPS[query](shop.payload())


def test_automatic_is_not_an_answer_to_whether_it_can_roll_back(shop: Workshop) -> None:
    shop.program(SupportsRollback="echo Automatic")
    shop.download({})
    with pytest.raises(ModuleError, match="'Automatic'"):
        shop.payload().supports_rollback()


# --- cleanup


def test_cleanup_is_called_and_the_tree_is_gone(shop: Workshop) -> None:
    shop.program(Cleanup=f"ls > {shop.place}/seen")
    shop.download({"a": b"x"})
    shop.payload().cleanup()
    assert "files" in (shop.place / "seen").read_text().split()
    assert not shop.tree.exists()
    shop.payload().cleanup()
    assert shop.calls().count("Cleanup") == 1


def test_a_tree_goes_even_if_cleanup_fails(shop: Workshop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    shop.program(Cleanup="exit 9")
    shop.download({})
    shop.payload().cleanup()
    assert not shop.tree.exists()
    assert "exit status 9" in caplog.text


def test_a_tree_goes_even_if_its_module_is_gone(shop: Workshop) -> None:
    for module in (None, shop.place / "nowhere"):
        shop.download({})
        ModulePayload(module, shop.tree).cleanup()
        assert not shop.tree.exists()


def test_what_is_mounted_in_a_tree_is_not_emptied(shop: Workshop) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    shop.download({})
    point = shop.tree / "tmp/a point"
    precious = shop.place / "precious"
    point.mkdir()
    precious.mkdir()
    (precious / "data").touch()
    mounted = subprocess.run(["mount", "--bind", precious, point], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount here: {mounted.stderr.strip()}")
    try:
        for act in (shop.payload().cleanup, lambda: shop.download({})):
            with pytest.raises(ModuleError, match=r"something is mounted on .*/tmp/a point"):
                act()
        assert (precious / "data").exists()
    finally:
        subprocess.run(["umount", point], check=True)
    shop.payload().cleanup()
    assert not shop.tree.exists()


# --- output


def test_output_goes_to_the_log_line_by_line(shop: Workshop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    shop.program(ArtifactInstall="echo one; echo; printf 'a\\tb\\n'; printf '\\033[31mred\\n'; printf end; exit 1")
    shop.download({})
    with pytest.raises(ModuleError):
        shop.payload().install()
    assert [record.getMessage() for record in caplog.records] == [
        "mod ArtifactInstall: one",
        "mod ArtifactInstall: a       b",
        "mod ArtifactInstall: \\x1b[31mred",
        "mod ArtifactInstall: end",
    ]


def test_what_was_asked_for_is_not_logged_but_what_is_said_beside_it_is(
    shop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    shop.program(SupportsRollback="echo Yes; echo why >&2")
    shop.download({})
    shop.payload().supports_rollback()
    assert [record.getMessage() for record in caplog.records] == ["mod SupportsRollback: why"]


def test_endless_lines_and_endless_output_do_not_fill_the_log(shop: Workshop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    shop.program(ArtifactInstall="head -c 100000 /dev/zero | tr '\\0' x; echo; yes 'again and again' | head -c 2000000")
    shop.download({})
    shop.payload().install()
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines[0]) < LINE_BYTES + 100
    assert lines[0].endswith("x...")
    assert lines[-1].endswith("(more output of this call is not logged)")
    assert sum(map(len, lines)) < 4 * CALL_BYTES


# --- time


@pytest.mark.parametrize("call", ["ArtifactInstall", "SupportsRollback"])
def test_a_module_that_ignores_sigterm_is_killed_with_its_children(shop: Workshop, call: str) -> None:
    shop.program(**{call: "trap '' TERM; sleep 600 & echo $! > tmp/child; echo $$ > tmp/own; while :; do wait; done"})
    shop.download({})
    shop.limits = Limits(call=0.5, grace=0.2)
    with pytest.raises(ModuleError, match=r"cannot do .* not done after 0\.5 s"):
        STEPS[call](shop.payload())
    assert gone(int((shop.tree / "tmp/own").read_text()))
    assert gone(int((shop.tree / "tmp/child").read_text()))


def test_a_child_that_ignores_sigterm_does_not_outlive_the_module(shop: Workshop) -> None:
    child = "trap '' TERM; : > tmp/ready; while :; do sleep 0.05; done"
    shop.program(ArtifactInstall=f"sh -c '{child.replace(chr(39), chr(34))}' & echo $! > tmp/child; wait")
    shop.download({})
    shop.limits = Limits(call=0.5, grace=60)
    with pytest.raises(ModuleError, match="not done"):
        shop.payload().install()
    assert (shop.tree / "tmp/ready").exists()
    assert gone(int((shop.tree / "tmp/child").read_text()))


def test_a_late_module_may_put_things_in_order(shop: Workshop) -> None:
    shop.program(ArtifactInstall="trap 'echo asked > tmp/trace; exit 0' TERM; while :; do sleep 0.02; done")
    shop.download({})
    shop.limits = Limits(call=0.3, grace=60)
    with pytest.raises(ModuleError, match="not done"):
        shop.payload().install()
    assert (shop.tree / "tmp/trace").read_text() == "asked\n"


def test_what_a_module_starts_and_leaves_running_lives_on(shop: Workshop) -> None:
    shop.program(ArtifactInstall="sleep 600 & echo $! > tmp/child")
    shop.download({})
    shop.payload().install()
    os.kill(int((shop.tree / "tmp/child").read_text()), signal.SIGKILL)  # raises if it is gone


# --- power cuts


@pytest.mark.parametrize("call", STEPS)
def test_a_call_that_was_cut_off_is_made_again_by_a_new_process_and_finds_its_tree(shop: Workshop, call: str) -> None:
    # The first call takes its runner away; then nobody is left but the tree.
    shop.program(**{call: "if mkdir tmp/cut; then kill -KILL $PPID; exit; fi; echo second > tmp/second"})
    shop.download({"a": b"x"})
    before = shape(shop.tree)
    step = STEPS[call].__name__
    code = f"""
from pathlib import Path
from bistable.client.modules import ModulePayload
ModulePayload(Path({str(shop.module)!r}), Path({str(shop.tree)!r})).{step}()
"""
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert {path: entry for path, entry in shape(shop.tree).items() if path != "tmp/cut"} == before
    STEPS[call](shop.payload())
    assert (shop.tree / "tmp/second").exists()
    assert shop.calls()[-2:] == [call, call]


def test_a_cleanup_that_was_cut_off_is_done_again(shop: Workshop) -> None:
    shop.program(Cleanup="[ -e ../cut ] || { : > ../cut; kill -KILL $PPID; }")
    shop.download({})
    code = f"""
from pathlib import Path
from bistable.client.modules import ModulePayload
ModulePayload(Path({str(shop.module)!r}), Path({str(shop.tree)!r})).cleanup()
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    assert shop.tree.exists()
    shop.payload().cleanup()
    assert not shop.tree.exists()


def test_a_download_that_was_cut_off_starts_with_a_new_tree(shop: Workshop) -> None:
    shop.program(Download="echo old > tmp/old; exit 1")
    with pytest.raises(ModuleError):
        shop.download({"a": b"x"})
    assert {"streams", "stream-next", "tmp/old"} <= set(shape(shop.tree))
    shop.program()
    shop.download({"b": b"y"})
    assert set(shape(shop.tree)) == {
        "version", "current_artifact_name", "current_artifact_group", "current_device_type", "tmp", "files", "files/b",
        "header", "header/artifact_group", "header/artifact_name", "header/payload_type", "header/header-info",
        "header/type-info", "header/meta-data",
    }  # fmt: skip


def test_a_download_needs_the_head_of_the_artifact(shop: Workshop) -> None:
    with pytest.raises(ModuleError, match="without the head"):
        shop.payload().download([])
    assert RUNNING.artifact_group == ""
