"""Where our command does something else than Mender's 3.4.0: the table of the tests and of the documentation."""

from typing import Final

from client_differences_form import Difference, each

VERSION: Final = "provides rootfs-image.mod.version"
NAME: Final = "provides artifact_name: release-1_INCONSISTENT -> factory"
NEW_VERSION: Final = f"{VERSION}: release-1 -> None"


def scripts(sign: str, *names: str) -> tuple[str, ...]:
    """Return the lines for both scripts of some states and actions."""
    return tuple(f"{sign} script {name}_{number}" for name in names for number in ("00", "01_second"))


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
