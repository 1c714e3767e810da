"""Artifacts for a device: variants of its root file system, signed, and served where it can fetch them."""

import threading
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

from bistable.artifact import Codec, Options, read_signer, rootfs_request, write_artifact
from bistable.artifact.image import ImageKind, image_kind
from bistable.artifact.image.model import EXT_KINDS
from bistable.artifact.image.volume import find, open_image
from bistable.tools.bench.patience import scaled
from bistable.tools.bench.serving import Server
from bistable.tools.bringup.suite.changes import RELEASE_FILE, Change, Put
from bistable.tools.disk.sparse import copy_into

CODEC: Final = "gzip:1"
"""What every client can read, written quickly."""

READABLE: Final = EXT_KINDS | {ImageKind.SQUASHFS}


class Offers(Protocol):
    """Where a device gets its updates from."""

    @property
    def can_change(self) -> bool:
        """Return whether files in the root file system can be changed."""

    def has(self, path: str) -> bool:
        """Return whether the root file system has the file; True if nobody can look into it."""

    def offer(self, name: str, *changes: Change) -> str:
        """Make an artifact of that name with these changes, serve it, and return its address."""

    def stall(self, name: str, share: float) -> None:
        """Send a device that asks for the artifact this share of it, and then nothing more until `go_on`."""

    def wait_until_stalled(self, seconds: float) -> bool:
        """Wait until a device has got that share, and return whether it has within the time."""

    def go_on(self) -> None:
        """Stall no more."""

    def clear(self) -> None:
        """Forget all artifacts that were offered so far."""


class StallingServer(Server):
    """A server that can send the beginning of a file, and then keep everybody waiting.

    A device that got the beginning asks for what follows: by then it has taken what it was sent.
    """

    def __init__(self, *, host: str, listen: str) -> None:
        super().__init__(host=host, listen=listen)
        self._after: dict[str, int | None] = {}
        self._reached, self._released = threading.Event(), threading.Event()
        # Whoever loses its power, or refuses what it is offered, does not hear the rest.
        self._http.handle_error = _take_no_notice  # type: ignore[method-assign, assignment]

    def stall(self, name: str, after: int) -> None:
        """Send `after` bytes of the file to the next who asks, and nothing to whoever asks then."""
        self._reached.clear()
        self._released.clear()
        self._after[name] = after

    def wait_until_stalled(self, seconds: float) -> bool:
        """Wait until somebody asks for what follows; False: nobody did."""
        return self._reached.wait(seconds)

    def go_on(self) -> None:
        """Keep nobody waiting any more."""
        self._after.clear()
        self._released.set()

    def take_cut(self, name: str) -> int | None:
        """Return after how many bytes this connection ends, None: when all is sent."""
        if name not in self._after:
            return super().take_cut(name)
        after = self._after[name]
        if after is not None:
            self._after[name] = None
            return after
        self._reached.set()
        self._released.wait()
        return 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.go_on()
        super().__exit__(kind, error, trace)


def _take_no_notice(_request: object, _address: object) -> None:
    """Say nothing about a connection that broke off."""


class ArtifactOffers:
    """Variants of the image `slot`, made in `folder` and served; as a context manager it serves inside the block.

    `key` is the private key that they are signed with, None: they are not. `epoch` is the time of what is changed.
    """

    def __init__(
        self, slot: Path, *, device_type: str, key: Path | None, folder: Path, server: StallingServer, epoch: int
    ) -> None:
        self._slot, self._folder, self._server, self._epoch = slot, folder, server, epoch
        self._device_type = device_type
        self._signer = None if key is None else read_signer(key)
        self._kind = image_kind(slot)
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.__exit__(kind, error, trace)

    @property
    def can_change(self) -> bool:
        """Return whether files in the root file system can be changed: in ext2, ext3 and ext4."""
        return self._kind in EXT_KINDS

    def has(self, path: str) -> bool:
        """Return whether the root file system has the file; True if nobody can look into it."""
        if self._kind not in READABLE:
            return True
        with open_image(self._slot) as volume:
            return find(volume, path) is not None

    def offer(self, name: str, *changes: Change) -> str:
        """Make an artifact of that name with these changes, serve it, and return its address.

        A file that says the name is always among them, where that can be, so that what runs can be told.
        """
        image = self._slot
        if self.can_change:
            image = self._folder / "variant.img"
            with image.open("wb") as file:
                copy_into(self._slot, file, 0)
                file.truncate(self._slot.stat().st_size)
            for change in (Put(path=RELEASE_FILE, content=f"{name}\n".encode(), mode=0o644), *changes):
                change.apply(image, epoch=self._epoch)
        artifact = self._folder / f"{name}.mender"
        request = rootfs_request(image, name=name, device_types=[self._device_type])
        options = Options(codec=Codec.parse(CODEC), signer=self._signer, mtime=self._epoch)
        write_artifact(artifact, request, options)
        if image != self._slot:
            image.unlink()
        self._made.append(artifact)
        return self._server.add(artifact)

    def stall(self, name: str, share: float) -> None:
        """Send a device that asks for the artifact this share of it, and then nothing more until `go_on`."""
        artifact = self._folder / f"{name}.mender"
        self._server.stall(artifact.name, int(artifact.stat().st_size * share))

    def wait_until_stalled(self, seconds: float) -> bool:
        """Wait until a device has got that share, and return whether it has within the time."""
        return self._server.wait_until_stalled(scaled(seconds))

    def go_on(self) -> None:
        """Stall no more."""
        self._server.go_on()

    def clear(self) -> None:
        """Delete all artifacts that were offered so far."""
        self._server.files.clear()
        while self._made:
            self._made.pop().unlink(missing_ok=True)
