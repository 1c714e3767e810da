"""Where our service does something else than Mender's daemon 3.4.0; `script X` is both scripts of X."""

from typing import Final

from client_differences_form import Difference, each

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
