"""Where our client does something else than Mender's 3.4.0: the table of the tests and of the documentation."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).parent.parent.parent / "docs/reference/differences.md"


def scripts(sign: str, *names: str) -> tuple[str, ...]:
    """Return the lines for both scripts of some states and actions."""
    return tuple(f"{sign} script {name}_{number}" for name in names for number in ("00", "01_second"))


def each(names: Iterable[str], *lines: str) -> dict[str, tuple[str, ...]]:
    """Return the same lines for several scenarios."""
    return dict.fromkeys(names, lines)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What both do, why ours is meant, and which lines of the comparison it explains in which scenario."""

    about: str
    theirs: str
    ours: str
    why: str
    lines: Mapping[str, tuple[str, ...]]


VERSION: Final = "provides rootfs-image.mod.version"
NAME: Final = "provides artifact_name: release-1_INCONSISTENT -> factory"
NEW_VERSION: Final = f"{VERSION}: release-1 -> None"
FAILURE: Final = (
    *scripts("-", "ArtifactFailure_Enter"),
    "- module ArtifactFailure",
    *scripts("-", "ArtifactFailure_Leave"),
)
INSTALL_AGAIN: Final = (
    *scripts("-", "Download_Enter"),
    "- module Download",
    *scripts("-", "Download_Leave"),
    "- module SupportsRollback",
    *scripts("-", "ArtifactInstall_Enter"),
    "- module ArtifactInstall",
    *scripts("-", "ArtifactInstall_Leave"),
    "- module NeedsArtifactReboot",
)

DIFFERENCES: Final = (
    Difference(
        about="a second `install`",
        theirs="forgets the update that waits for its commit and installs over it",
        ours="refuses it until the first one is committed or rolled back",
        why="the module can undo one installation, not two",
        lines={"install during an update": (*INSTALL_AGAIN, "exit codes [0, 0, 0] -> [0, 1, 0]")},
    ),
    Difference(
        about="`commit` before the reboot that the payload needs",
        theirs="commits what was never booted",
        ours="refuses it, exit code 1; after the reboot it commits",
        why="only what has been seen to run may become permanent",
        lines={"reboot Automatic, not rebooted, committed": ("exit codes [0, 0, 0, 2] -> [0, 1, 0, 0]",)},
    ),
    Difference(
        about="`rollback` of what was booted",
        theirs="calls `Cleanup` and forgets the update while the device still runs it",
        ours="asks for a reboot first; `bistablectl resume` after it calls `Cleanup`",
        why="until the device runs its old software again, the rollback is not done",
        lines={"reboot Automatic, rebooted, rolled back": ("- module Cleanup",)},
    ),
    Difference(
        about="the name after a failure without rollback",
        theirs="takes over name (with `_INCONSISTENT`), group, and what the artifact provides and clears",
        ours="takes over name (with `_INCONSISTENT`) and group, and keeps the rest",
        why="nobody knows which of it is there; the daemons of both Mender clients do the same as ours",
        lines={
            **each(
                [
                    "ArtifactInstall_Enter fails, no rollback support",
                    "ArtifactInstall fails, no rollback support",
                    "ArtifactInstall_Leave fails, no rollback support",
                    "NeedsArtifactReboot fails, no rollback support",
                    "ArtifactCommit_Enter fails, no rollback support",
                    "ArtifactCommit fails, no rollback support",
                    "ArtifactRollback fails",
                    "ArtifactInstall and ArtifactRollback fail",
                ],
                NEW_VERSION,
            ),
            "failure with provides, no rollback support": (
                "provides a.b: None -> 1",
                "provides a.c: None -> 2",
                "provides new: 1 -> None",
                f"{VERSION}: release-1 -> release-0",
            ),
        },
    ),
    Difference(
        about="`ArtifactRollback` scripts that fail",
        theirs="skips the scripts after the one that failed, then `ArtifactFailure`, and the name is `_INCONSISTENT`",
        ours="runs them all, and looks only at whether the module rolled back",
        why="what the module undid is undone; so does the Mender client from 4.0 on, and the daemon of 3.x",
        lines={
            "ArtifactRollback_Enter fails": (
                "+ script ArtifactRollback_Enter_01_second",
                *FAILURE,
                "exit codes [0, 1, 2] -> [0, 0, 2]",
                NAME,
                NEW_VERSION,
            ),
            "ArtifactRollback_Leave fails": (
                "+ script ArtifactRollback_Leave_01_second",
                *FAILURE,
                "exit codes [0, 1, 2] -> [0, 0, 2]",
                NAME,
                NEW_VERSION,
            ),
            "ArtifactInstall and ArtifactRollback_Enter fail": (
                "+ script ArtifactRollback_Enter_01_second",
                NAME,
                NEW_VERSION,
            ),
            "ArtifactInstall and ArtifactRollback_Leave fail": (
                "+ script ArtifactRollback_Leave_01_second",
                NAME,
                NEW_VERSION,
            ),
        },
    ),
    Difference(
        about="`ArtifactFailure` that fails after a rollback",
        theirs="calls the device `_INCONSISTENT`",
        ours="keeps the old name",
        why="the rollback was done before",
        lines={"ArtifactInstall and ArtifactFailure fail": (NAME, NEW_VERSION)},
    ),
    Difference(
        about="`Cleanup` that fails",
        theirs="exits with 1, though the update is permanent",
        ours="logs it and exits with 0",
        why="the exit code tells whether the update is installed",
        lines={
            "Cleanup fails": ("exit codes [0, 1, 2] -> [0, 0, 2]",),
            "Cleanup fails, no rollback support": ("exit codes [1, 2, 2] -> [0, 2, 2]",),
        },
    ),
    Difference(
        about="depends that are not met",
        theirs="runs `Download_Enter` scripts and nothing after them",
        ours="runs `Download_Error` scripts, too",
        why="what Enter began, Error has to end; the Mender client does so for another device type",
        lines=each(
            [
                "depends are not met",
                "a depends value is another",
                "the name depended on is another",
                "the group depended on is another",
            ],
            *scripts("+", "Download_Error"),
        ),
    ),
    Difference(
        about="a device type that is not known",
        theirs="fails before any script",
        ours="runs `Download_Enter` and `Download_Error` scripts",
        why="it is one of several reasons for which an artifact does not suit, and all are treated alike",
        lines={"no device type": scripts("+", "Download_Enter", "Download_Error")},
    ),
    Difference(
        about="an artifact without a payload",
        theirs="cannot install it at the command line",
        ours="takes over what it provides, and is done",
        why="so does the Mender client from 4.0 on",
        lines={
            "empty payload": (
                *scripts("-", "Download_Error"),
                *scripts("+", "Download_Leave"),
                "exit codes [1, 2, 2] -> [0, 2, 2]",
                "provides artifact_name: factory -> release-1",
            )
        },
    ),
    Difference(
        about="what is left of the streams",
        theirs="leaves `stream-next` and `streams/` in the module's directory after `Download`",
        ours="removes them, and has `files/` even if there is no file",
        why="the protocol has them during `Download` only; opened later, they would block for ever",
        lines={
            "no files": ("+ file drwx------ files",),
        },
    ),
)


# --- the daemon: `script X` is both scripts of X

TOLD_LATE: Final = ("- substate rebooting ArtifactCommit_Enter", "+ substate installing ArtifactCommit_Enter")
BACK_TOLD: Final = ("- substate rebooting ArtifactRollback_Enter", "+ substate installing ArtifactRollback_Enter")
BACK_UNTOLD: Final = ("- substate none ArtifactRollback_Enter", "+ substate installing ArtifactRollback_Enter")
FAILURE_TOLD: Final = ("- substate failure ArtifactFailure_Enter", "+ substate installing ArtifactFailure_Enter")
UNDONE: Final = (
    "- script ArtifactRollback_Enter",
    "- module ArtifactRollback",
    "- module NeedsArtifactReboot",
    "- script ArtifactRollback_Leave",
)
RESTARTED: Final = (
    "- script ArtifactRollbackReboot_Enter",
    "- module ArtifactRollbackReboot",
    "- module ArtifactVerifyRollbackReboot",
    "- script ArtifactRollbackReboot_Leave",
)
RESTART_TOLD: Final = "- substate rebooting ArtifactRollbackReboot_Enter"
FAILED: Final = (
    "- script ArtifactFailure_Enter",
    "- module ArtifactFailure",
    "- script ArtifactFailure_Leave",
)
COMMITTED: Final = (
    "success",
    "success without a reboot",
    "success with a server without maps",
    "pause at each gate",
    "pause before the install, continue",
    "pause before the reboot, continue",
    "pause before the commit, continue",
    "pause before the reboot, kill",
    "ArtifactCommit fails",
    "Cleanup fails",
    "ArtifactCommit_Leave fails",
    "ArtifactCommit fails, no rollback",
)
BACK: Final = (
    "ArtifactCommit and ArtifactRollback fail",
    "ArtifactCommit and ArtifactRollbackReboot fail",
    "ArtifactCommit and ArtifactFailure fail",
    "ArtifactCommit and Cleanup fail",
)
FURTHER: Final = (
    "+ substate installing ArtifactCommit_Enter",
    "+ script ArtifactCommit_Enter",
    "+ module ArtifactCommit",
    "+ script ArtifactCommit_Leave",
)

GIVEN_UP: Final = (
    "- substate none ArtifactRollback_Enter",
    RESTART_TOLD,
    "- substate failure ArtifactFailure_Enter",
    "- script ArtifactRollback_Enter",
    "- module ArtifactRollback",
    "- script ArtifactRollback_Leave",
    *RESTARTED,
    *FAILED,
)

DAEMON_DIFFERENCES: Final = (
    Difference(
        about="`ArtifactReboot_Enter` scripts and a pause before the reboot",
        theirs="runs them before the pause and again after it",
        ours="runs them once, after the pause",
        why="what they stop would stay stopped for the whole pause, and nobody expects them twice",
        lines={
            **each(
                ("pause at each gate", "pause before the reboot, continue", "pause before the reboot, fail"),
                "- script ArtifactReboot_Enter",
                "- substate rebooting ArtifactReboot_Enter",
            ),
            "pause before the reboot, gone": (
                "- script ArtifactReboot_Enter",
                "- substate rebooting ArtifactReboot_Enter",
            ),
        },
    ),
    Difference(
        about="an abort before anything was installed",
        theirs="rolls back, restarts, and runs `ArtifactFailure`",
        ours="calls `Cleanup`",
        why="there is nothing to roll back",
        lines={
            "pause before the install, gone": (*UNDONE, *RESTARTED, *FAILED),
            "pause before the install, fail": (
                *UNDONE,
                *RESTARTED,
                *FAILED,
                "- substate none ArtifactRollback_Enter",
                RESTART_TOLD,
                "- substate failure ArtifactFailure_Enter",
            ),
            "aborted at the status installing": (*UNDONE, *RESTARTED, *FAILED),
        },
    ),
    Difference(
        about="the restart after a rollback",
        theirs="restarts in any case",
        ours="restarts only what was restarted before",
        why="what never ran does not have to be left",
        lines={
            "pause before the reboot, gone": RESTARTED,
            "aborted at the status rebooting": RESTARTED,
            **each(
                (
                    "pause before the reboot, fail",
                    "ArtifactInstall fails",
                    "ArtifactInstall_Enter fails",
                    "ArtifactInstall_Leave fails",
                    "ArtifactReboot_Enter fails",
                ),
                *RESTARTED,
                RESTART_TOLD,
            ),
        },
    ),
    Difference(
        about="`NeedsArtifactReboot` in a rollback",
        theirs="asks again what was not answered before",
        ours="asks once, after the installation",
        why="what is not installed needs no restart",
        lines=each(
            ("ArtifactInstall fails", "NeedsArtifactReboot fails", "ArtifactInstall_Enter fails"),
            "- module NeedsArtifactReboot",
        ),
    ),
    Difference(
        about="when the status of a step is told",
        theirs="after the Enter scripts of the step",
        ours="before them",
        why="a server that answers that the deployment was aborted is heard before anything is done",
        lines={
            "aborted at the status downloading": (
                "- script Download_Enter",
                "- substate downloading Download_Enter",
            ),
            "aborted at the status installing": (
                "- script ArtifactInstall_Enter",
                "- script ArtifactInstall_Error",
                "- substate installing ArtifactInstall_Enter",
            ),
            "aborted at the status rebooting": (
                "- script ArtifactReboot_Enter",
                "- script ArtifactReboot_Error",
                "- substate rebooting ArtifactReboot_Enter",
            ),
            "aborted at the status installing before the commit": (
                "- script ArtifactCommit_Enter",
                "- script ArtifactCommit_Error",
                "- substate rebooting ArtifactCommit_Enter",
            ),
            "ArtifactInstall_Enter fails": ("+ status installing",),
            "ArtifactReboot_Enter fails": ("+ status rebooting",),
            "ArtifactCommit_Enter fails": ("+ status installing",),
        },
    ),
    Difference(
        about="a restart of the client in a pause before the installation",
        theirs="the deployment fails",
        ours="stays paused, and goes on when it may",
        why="nothing is wrong with the device",
        lines={
            "pause before the install, kill": (
                "- status failure",
                *(f"+ status {status}" for status in ("installing", "rebooting", "installing", "success")),
                "+ substate installing ArtifactInstall_Enter",
                "+ substate rebooting ArtifactReboot_Enter",
                "+ script ArtifactInstall_Enter",
                "+ module ArtifactInstall",
                "+ module NeedsArtifactReboot",
                "+ script ArtifactInstall_Leave",
                "+ script ArtifactReboot_Enter",
                "+ module ArtifactReboot",
                "+ module ArtifactVerifyReboot",
                "+ script ArtifactReboot_Leave",
                *FURTHER,
            ),
        },
    ),
    Difference(
        about="a restart of the client in a pause before the reboot",
        theirs="takes the reboot for done, ignores the pause, and commits what was never started",
        ours="stays paused, and reboots when it may",
        why="only what has been seen to run may become permanent",
        lines={"pause before the reboot, kill": ("+ status rebooting", "+ module ArtifactReboot")},
    ),
    Difference(
        about="a restart of the client in a pause before the commit",
        theirs="rolls back, and the deployment fails",
        ours="stays paused, and commits when it may",
        why="nothing is wrong with the device",
        lines={
            "pause before the commit, kill": (
                "- status failure",
                "+ status installing",
                "+ status success",
                "- substate none ArtifactRollback_Enter",
                RESTART_TOLD,
                "- substate failure ArtifactFailure_Enter",
                "- script ArtifactRollback_Enter",
                "- module ArtifactRollback",
                "- script ArtifactRollback_Leave",
                *RESTARTED,
                *FAILED,
                *FURTHER,
            ),
        },
    ),
    Difference(
        about="the status that comes with what scripts of the commit and of the way back do",
        theirs="`rebooting`, an empty one, or `failure` while the rollback still runs",
        ours="`installing`, until the end is told",
        why="servers know no empty status, and a final one is the last",
        lines={
            **each(COMMITTED, *TOLD_LATE),
            "ArtifactCommit fails": (*TOLD_LATE, *BACK_TOLD, *FAILURE_TOLD),
            **each(BACK, *TOLD_LATE, *BACK_TOLD, *FAILURE_TOLD),
            "ArtifactCommit fails, no rollback": (
                *TOLD_LATE,
                "- substate rebooting ArtifactFailure_Enter",
                "+ substate installing ArtifactFailure_Enter",
            ),
            "ArtifactCommit_Enter fails": (
                "- substate rebooting ArtifactCommit_Enter_00",
                "+ substate installing ArtifactCommit_Enter_00",
                *BACK_TOLD,
                *FAILURE_TOLD,
            ),
            **each(
                ("ArtifactReboot fails", "ArtifactVerifyReboot fails", "ArtifactReboot_Leave fails"),
                *BACK_TOLD,
                *FAILURE_TOLD,
            ),
            "ArtifactReboot_Enter fails": (*BACK_TOLD, *FAILURE_TOLD),
            **each(
                ("ArtifactInstall fails", "NeedsArtifactReboot fails"),
                *FAILURE_TOLD,
            ),
            **each(("ArtifactInstall_Enter fails", "ArtifactInstall_Leave fails"), *FAILURE_TOLD),
            **each(
                ("pause before the reboot, fail", "pause before the commit, fail"),
                *BACK_UNTOLD,
                *FAILURE_TOLD,
            ),
        },
    ),
    Difference(
        about="`Download_Enter` that fails",
        theirs="forgets the deployment, and tries it again and again without telling",
        ours="tells a failure",
        why="a deployment that cannot be done has to end",
        lines={"Download_Enter fails": ("+ status downloading", "+ status failure")},
    ),
    Difference(
        about="`SupportsRollback` that fails",
        theirs="runs `ArtifactFailure`",
        ours="calls `Cleanup`",
        why="as after every failure before the installation",
        lines={
            "SupportsRollback fails": (*FAILED, "- substate downloading ArtifactFailure_Enter"),
        },
    ),
    Difference(
        about="`Cleanup` that fails",
        theirs="tells a failure, though the update is permanent",
        ours="logs it and tells a success",
        why="the status tells whether the update is installed",
        lines={"Cleanup fails": ("- status failure", "+ status success")},
    ),
    Difference(
        about="a server that is gone during a pause",
        theirs="rolls back after minutes, or hours with longer polls, and the deployment fails",
        ours="stays paused, and goes on when the server is back and says so; `server.when-offline` can say otherwise",
        why="nothing is wrong with the device",
        lines={
            "pause before the install, down": (
                "- status failure",
                *(f"+ status {status}" for status in ("installing", "rebooting", "installing", "success")),
                *GIVEN_UP,
                "+ substate installing ArtifactInstall_Enter",
                "+ substate rebooting ArtifactReboot_Enter",
                "+ script ArtifactInstall_Enter",
                "+ module ArtifactInstall",
                "+ script ArtifactInstall_Leave",
                "+ script ArtifactReboot_Enter",
                "+ module ArtifactReboot",
                "+ module ArtifactVerifyReboot",
                "+ script ArtifactReboot_Leave",
                *FURTHER,
            ),
            "pause before the reboot, down": (
                "- status failure",
                *(f"+ status {status}" for status in ("rebooting", "installing", "success")),
                *GIVEN_UP,
                "+ module ArtifactReboot",
                "+ module ArtifactVerifyReboot",
                "+ script ArtifactReboot_Leave",
                *FURTHER,
            ),
            "pause before the commit, down": (
                "- status failure",
                "+ status installing",
                "+ status success",
                *GIVEN_UP,
                *FURTHER,
            ),
        },
    ),
)


def explained(scenario: str, table: Iterable[Difference] = DIFFERENCES) -> list[str]:
    """Return the lines that a table has for a scenario."""
    return [line for one in table for line in one.lines.get(scenario, ())]


def page() -> str:
    """Return docs/reference/differences.md."""
    parts = [HEAD, *_rows(DIFFERENCES), MIDDLE, *_rows(DAEMON_DIFFERENCES), FOOT]
    return "\n".join(parts) + "\n"


def _rows(table: Iterable[Difference]) -> list[str]:
    return [f"| {one.about} | {one.theirs} | {one.ours} | {one.why} |" for one in table]


HEAD: Final = """\
# What differs from the Mender client

The same artifacts, modules, scripts and answers of a server were given to Debian's Mender client 3.4.0 and to this one.
All that they do is the same except for what is in these tables. The tests compare both clients again each time, and
this page is made from their tables.

## At the command line

In more than a hundred situations: which calls are made, in which order, with which arguments, environment, directory
and files, with which exit code it ends, and what the device provides afterwards.

| | Mender client 3.4.0 | `bistablectl` | why |
|---|---|---|---|"""

MIDDLE: Final = """
Every module is asked `ProvidePayloadFileSizes` before its download, as by the Mender client from 4.0 on; one that does
not know the question answers nothing, and nothing changes for it.

## The service

Deployments of one server, with pauses at each gate that go on, fail, are aborted or meet a restart or a server that is
gone, and with failures of every call and script: which calls are made in which order, and what the server is told.

| | daemon of the Mender client 3.4.0 | `bistabled` | why |
|---|---|---|---|"""

FOOT: Final = """
The service tells the server of every script, with the status of its step, and in a pause who holds the update. The
Mender client tells of some scripts."""


if __name__ == "__main__":
    PAGE.write_text(page())
