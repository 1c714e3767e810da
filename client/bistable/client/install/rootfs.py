"""The payload type rootfs-image: one image, for the slot that does not run.

The order of things is what makes it safe, whenever the power goes: the target is forbidden in the boot loader before
its first byte is lost, and may be booted only after it was written, flushed, read back past the page cache, and what
was read has the digest of the manifest. The image is hashed only there: it is what the slot holds that counts, and on a
small processor a hash takes longer than all the rest.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from typing import Final, Protocol

from bistable.artifact.errors import RejectedError
from bistable.artifact.model import PayloadFile
from bistable.client.boot.ports import Bootloader, Canary, Placing, Rearming
from bistable.client.errors import NotBootedError, ProgramError, SlotError, UnsuitableError
from bistable.client.install.medium import open_medium
from bistable.client.install.mounts import free_from_automounts
from bistable.client.install.readback import digest_of, digest_of_edges
from bistable.client.install.verified import VerifiedImage, forget, recall, remember
from bistable.client.install.writer import SlotWriter, Written
from bistable.client.model import OnProgress, RebootNeed, SlotName, ignore_progress
from bistable.client.mounting import mounted_for_reading
from bistable.client.slots import SlotPair, size_of

PAYLOAD_TYPE: Final = "rootfs-image"

log = getLogger(__name__)


class ImageFile(Protocol):
    """A payload file on its way in: bistable.artifact.reader.IncomingFile, as far as it is needed here."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def size(self) -> int:
        """How many bytes it claims to have."""
        ...

    def unhashed_chunks(self) -> Iterator[bytes]:
        """Yield its bytes, which nobody may trust yet."""
        ...

    def finish_as(self, digest: str) -> PayloadFile:
        """Check the digest of what became of it; RejectedError if it is not the manifest's."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RootfsSettings:
    """How to install images.

    `skip_identical`: compare each MiB with what the slot holds and write only what differs, which spares flash that
    wears, for the price of reading the slot once more.
    """

    skip_identical: bool = False


class RootfsPayload:
    """Installs the image of one update from `origin`, the slot that ran when it began, into the other one.

    `running` says which slot runs now, or raises SlotError; `note` is a file on the data partition for what is known
    of the written image; `mounted` mounts a slot for reading. A new object with the same arguments goes on where
    another one was interrupted.
    """

    def __init__(
        self,
        pair: SlotPair,
        *,
        origin: SlotName,
        running: Callable[[], SlotName],
        boot: Bootloader,
        note: Path,
        settings: RootfsSettings | None = None,
        on_progress: OnProgress = ignore_progress,
        mounted: Callable[[Path], AbstractContextManager[Path]] = mounted_for_reading,
    ) -> None:
        self._origin = origin
        self._target = pair.other(origin)
        self._running = running
        self._boot = boot
        self._note = note
        self._settings = settings or RootfsSettings()
        self._on_progress = on_progress
        self._mounted = mounted

    def download(self, files: Iterable[ImageFile]) -> None:
        """Write the image to the target slot and prove that it is there; the slot can be booted only after `arm`.

        Raises:
            UnsuitableError: the payload is not exactly one image that is not empty.
            SlotError: it is not certain what runs; the image does not fit; the slot is in use, cannot be written, or
                does not give back what was written.
            BootError: the boot loader is not reached, or cannot be told to leave the target alone.
            RejectedError: the image is not the one of the manifest.
        """
        running = self._running()
        if running != self._origin:
            raise SlotError(
                f"cannot write slot {self._target.name}: the update began in slot {self._origin}, now {running} runs",
                hint="start the update again",
            )
        incoming = iter(files)
        image = next(incoming, None)
        if image is None:
            raise UnsuitableError("cannot install the image: the artifact holds none", hint="build the artifact again")
        self._check_size(image)
        if isinstance(self._boot, Canary):
            self._boot.check_canary()
        free_from_automounts(self._target)
        self._write(image)
        written = self._verify(image)
        if next(incoming, None) is not None:
            raise UnsuitableError(
                f"cannot install the image: the artifact holds more files than {image.name}",
                hint="build an artifact with one image, or for an update module",
            )
        self._remember(written)

    def supports_rollback(self) -> bool:
        """Return True: the origin stays as it is."""
        return True

    def install(self) -> None:
        """Make sure that the target still holds what was verified, which is not touched, and copy what boots it.

        Most boot loaders load it from the slot itself; for the others it is copied to where they look.

        Raises:
            SlotError: it does not, or its file system cannot be mounted.
            BootError: what boots it is not in it, or cannot be copied.
        """
        self._check_target()
        if isinstance(self._boot, Placing):
            self._place(self._boot)
            # A file system with a journal to play back would have been written to, and is not what was verified.
            self._check_target()

    def reboot_need(self) -> RebootNeed:
        """Return that the device has to be rebooted."""
        return RebootNeed.AUTOMATIC

    def arm(self) -> None:
        """Let the next boot try the target, if it still holds what was verified: days may have passed.

        Raises:
            SlotError: it does not.
            BootError: the boot loader cannot be told.
        """
        self._check_target()
        self._boot.activate(self._target.name)

    def reboot(self) -> None:
        """Do nothing: it is the device that has to be rebooted, and whoever leads the update does that."""

    def verify_reboot(self) -> None:
        """Make sure that the target runs.

        Raises:
            NotBootedError: another slot runs.
            SlotError: it is not certain what runs.
        """
        self._check_runs(self._target.name, "the boot loader fell back, or never tried the new system")

    def rearm(self) -> None:
        """Give the running trial its tries again where the boot loader can do that: for a pause before the commit.

        Raises:
            NotBootedError: another slot runs.
            SlotError: it is not certain what runs.
            BootError: the boot loader cannot be told.
        """
        self.verify_reboot()
        if isinstance(self._boot, Rearming):
            self._boot.rearm(self._target.name)

    def commit(self) -> None:
        """Keep the running target for good.

        Raises:
            NotBootedError: another slot runs.
            SlotError: it is not certain what runs.
            BootError: the boot loader cannot be told.
        """
        self.verify_reboot()
        self._boot.confirm(self._target.name)

    def rollback(self) -> None:
        """Let the boot loader boot the origin, and nothing else.

        Raises:
            BootError: it cannot be told.
        """
        self._boot.restore(self._origin)

    def rollback_reboot(self) -> None:
        """Do nothing, as for `reboot`."""

    def verify_rollback_reboot(self) -> None:
        """Make sure that the origin runs again.

        Raises:
            NotBootedError: another slot runs.
            SlotError: it is not certain what runs.
        """
        self._check_runs(self._origin, "the boot loader did not do as it was told")

    def failure(self) -> None:
        """Do nothing: a target that is not whole is forbidden, and stays so."""

    def cleanup(self) -> None:
        """Forget what was known of the image; the boot loader's view of the slots stays as it is.

        Raises:
            StoreError: the note cannot be removed.
        """
        forget(self._note)

    # --- the image

    def _check_size(self, image: ImageFile) -> None:
        if image.size == 0:
            raise UnsuitableError("cannot install the image: it is empty", hint="build the artifact again")
        room = size_of(self._target.device)
        if image.size > room:
            raise SlotError(
                f"cannot install the image: it has {image.size} bytes, slot {self._target.name} "
                f"({self._target.device}) holds {room}",
                hint="build a smaller image",
            )

    def _write(self, image: ImageFile) -> None:
        device = self._target.device
        medium = open_medium(device)
        with SlotWriter(medium, image.size, name=device, skip_identical=self._settings.skip_identical) as writer:
            forget(self._note)
            self._boot.forbid(self._target.name)
            log.info("writing %d bytes to slot %s (%s)", image.size, self._target.name, device)
            done = 0
            for chunk in image.unhashed_chunks():
                writer.write(chunk)
                done += len(chunk)
                self._on_progress(done, image.size)
            self._report(writer.finish())

    def _report(self, written: Written) -> None:
        log.info(
            "slot %s is written: %d bytes, %d more were zeros that need no writing, %d were already there",
            self._target.name,
            written.written,
            written.zeroed,
            written.identical,
        )

    def _verify(self, image: ImageFile) -> PayloadFile:
        """Return the image if the slot holds the one of the manifest."""
        device = self._target.device
        # The count does not start again; what is reported is that somebody may still say no.
        found = digest_of(device, image.size, on_progress=lambda _, total: self._on_progress(image.size, total))
        try:
            return image.finish_as(found)
        except RejectedError as e:
            again = digest_of(device, image.size)
            if again != found:
                raise SlotError(
                    f"cannot trust slot {self._target.name}: {device} does not give back the same bytes twice "
                    f"(SHA-256 {found}, then {again})",
                    hint="something else writes to this device, or the storage fails: look at the kernel's log (dmesg)",
                ) from e
            raise RejectedError(
                f"cannot use the image: what slot {self._target.name} holds after it was written has not the SHA-256 "
                f"of the manifest, but {found}",
                hint=f"the artifact was damaged or changed on its way: get it again; if that does not help, {device} "
                "does not keep what is written to it",
                where=e.where,
                rule=e.rule,
            ) from e

    def _remember(self, image: PayloadFile) -> None:
        edges = digest_of_edges(self._target.device, image.size)
        note = VerifiedImage(slot=self._target.name, size=image.size, digest=image.digest, edges=edges)
        remember(self._note, note)

    def _check_target(self) -> None:
        image = recall(self._note)
        if image is None or image.slot != self._target.name:
            raise SlotError(
                f"cannot use slot {self._target.name}: no verified image was written to it",
                hint="start the update again",
            )
        # All of it would take as long as a download; the edges show what is likely, a mount for writing.
        if digest_of_edges(self._target.device, image.size) != image.edges:
            raise SlotError(
                f"cannot use slot {self._target.name}: its content is not what was verified any more",
                hint=f"let nothing mount {self._target.device}, and start the update again",
            )

    def _place(self, boot: Placing) -> None:
        device = self._target.device
        try:
            with self._mounted(device) as root:
                boot.place(self._target.name, root)
        except (ProgramError, OSError) as e:
            raise SlotError(
                f"cannot take what boots slot {self._target.name} out of {device}: {e}",
                hint=e.hint if isinstance(e, ProgramError) else None,
            ) from e

    def _check_runs(self, wanted: SlotName, why: str) -> None:
        running = self._running()
        if running != wanted:
            raise NotBootedError(f"cannot go on: slot {wanted} should run, but {running} does", hint=why)
