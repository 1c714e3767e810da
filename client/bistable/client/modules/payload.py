"""A payload that an update module installs: the calls of protocol v3, each of which may be made in a new process."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bistable.artifact.model import Header
from bistable.artifact.reader import IncomingFile
from bistable.client.errors import ModuleError
from bistable.client.model import RebootNeed
from bistable.client.modules.call import Caller, CallFailedError, Limits
from bistable.client.modules.download import PATIENCE, Download
from bistable.client.modules.tree import ModuleTree, Running

log = logging.getLogger(__name__)

REBOOT_ANSWERS: Final = {
    "": RebootNeed.NONE,
    "No": RebootNeed.NONE,
    "Yes": RebootNeed.CUSTOM,
    "Automatic": RebootNeed.AUTOMATIC,
}
ROLLBACK_ANSWERS: Final = {"": False, "No": False, "Yes": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """What a download needs to know, besides the files: what comes, and onto what."""

    header: Header
    running: Running


def _never() -> None:
    """Let the download go on."""


class ModulePayload:
    """The payload whose module is the program `module` (None if it is gone) and whose memory is `tree`.

    `incoming` is for `download` only; everything later works with what the tree holds. With `asks_for_sizes` a module
    may say that it wants the sizes of the files with their names, as existing clients from 4.0 on let it.
    `check` is called often during the download and may raise to end it.
    """

    def __init__(
        self,
        module: Path | None,
        tree: Path,
        *,
        limits: Limits | None = None,
        incoming: Incoming | None = None,
        asks_for_sizes: bool = True,
        check: Callable[[], None] = _never,
        patience: float = PATIENCE,
    ) -> None:
        self._tree = ModuleTree(tree)
        self._caller = Caller(module=module, tree=tree, limits=limits or Limits())
        self._incoming, self._asks_for_sizes = incoming, asks_for_sizes
        self._check, self._patience = check, patience

    def download(self, files: Iterable[IncomingFile]) -> None:
        """Hand the payload files to the module, or store them for it if it does not take them.

        Raises:
            ModuleError: the module failed, or broke the protocol.
            RejectedError: a file is not what the manifest says.
        """
        if self._incoming is None:
            raise ModuleError("cannot download for an update module without the head of the artifact")
        self._tree.build(self._incoming.header, self._incoming.running)
        with_sizes = self._asks_for_sizes and self._wants_sizes()
        self._tree.open_streams()
        with self._caller.start("DownloadWithFileSizes" if with_sizes else "Download") as call:
            Download(call, self._tree, with_sizes=with_sizes, check=self._check, patience=self._patience).run(files)

    def supports_rollback(self) -> bool:
        """Return whether the module could undo the installation.

        Raises:
            ModuleError: it failed, or gave another answer than the protocol allows.
        """
        return self._caller.choose("SupportsRollback", ROLLBACK_ANSWERS)

    def install(self) -> None:
        """Let the module install or activate what it got.

        Raises:
            ModuleError: it failed.
        """
        self._caller.do("ArtifactInstall")

    def reboot_need(self) -> RebootNeed:
        """Return what the module wants restarted, and by whom.

        Raises:
            ModuleError: it failed, or gave another answer than the protocol allows.
        """
        return self._caller.choose("NeedsArtifactReboot", REBOOT_ANSWERS)

    def arm(self) -> None:
        """Do nothing: a module has no call for this."""

    def rearm(self) -> None:
        """Do nothing: a module has no call for this."""

    def reboot(self) -> None:
        """Let the module restart what it wants restarted.

        Raises:
            ModuleError: it failed.
        """
        self._caller.do("ArtifactReboot")

    def verify_reboot(self) -> None:
        """Let the module look whether what was restarted runs the update.

        Raises:
            ModuleError: it does not, or the call failed.
        """
        self._caller.do("ArtifactVerifyReboot")

    def commit(self) -> None:
        """Let the module make the update final.

        Raises:
            ModuleError: it failed.
        """
        self._caller.do("ArtifactCommit")

    def rollback(self) -> None:
        """Let the module undo what it did, be it much or nothing.

        Raises:
            ModuleError: it failed.
        """
        self._caller.do("ArtifactRollback")

    def rollback_reboot(self) -> None:
        """Let the module restart, after a rollback, what it wants restarted.

        Raises:
            ModuleError: it failed.
        """
        self._caller.do("ArtifactRollbackReboot")

    def verify_rollback_reboot(self) -> None:
        """Let the module look whether what was restarted runs what it ran before the update.

        Raises:
            ModuleError: it does not, or the call failed.
        """
        self._caller.do("ArtifactVerifyRollbackReboot")

    def failure(self) -> None:
        """Let the module put in order what a failed update leaves behind.

        Raises:
            ModuleError: it failed.
        """
        self._caller.do("ArtifactFailure")

    def cleanup(self) -> None:
        """Let the module remove what it made outside of its tree, then remove the tree, whatever the module does.

        Raises:
            ModuleError: the tree cannot be removed.
        """
        if not self._tree.exists():
            return
        try:
            self._caller.do("Cleanup")
        except ModuleError as e:
            log.info("%s; its tree is removed nevertheless", e.what)
        self._tree.remove()

    def _wants_sizes(self) -> bool:
        """Modules older than the question may fail at it, or print whatever they print to strangers."""
        try:
            answer = self._caller.ask("ProvidePayloadFileSizes")
        except CallFailedError as e:
            log.info("%s; it is not told the sizes of the files", e.what)
            return False
        return answer == "Yes"
