"""What a recorded update needs: a disk with an old system, and artifacts with new ones and a broken one."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from bistable.qemu import cache
from bistable.qemu.checker import Checker, Content
from bistable.qemu.gpt import read_gpt
from bistable.qemu.kinds import Kind
from bistable.qemu.picture import Picture, fingerprint_of
from bistable.qemu.rig import FIRST, RELEASE_FILE, Change, Put, Rig, copy_sparse, rig
from bistable.tools.bench.run import run
from bistable.tools.boot.plan import BootPlan

NEW: Final = "release-2"
NEWER: Final = "release-3"
BROKEN: Final = "release-broken"
"""Its kernel is none: the boot loader cannot load it."""

CHANGES: Final[Mapping[str, tuple[Change, ...]]] = {
    FIRST: (),
    NEW: (),
    NEWER: (),
    BROKEN: (Put(path="/boot/vmlinuz", content=b"This is no kernel.\n" * 1000),),
}
"""Release -> what is different in it, beside its name."""

KEPT: Final = 2
"""Of each, the one for the sources as they are and the one before: each has a hundred MiB or two."""

_DISK: Final = "disk.img"
_CONTENTS: Final = "contents.json"
_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A kind of machine, its disk before any update, and what can be installed: name -> artifact."""

    kind: Kind
    disk: Path
    plan: BootPlan
    contents: tuple[Content, ...]
    artifacts: Mapping[str, Path]

    @property
    def name(self) -> str:
        """Return what tells this stage from all others."""
        return self.disk.parent.name

    def checker(self) -> Checker:
        """Return a checker of this disk."""
        with Picture(self.disk, {}) as picture:
            return Checker(self.plan, read_gpt(picture.read, picture.size), self.contents)


def prepare(kind: Kind) -> Stage:
    """Return the stage for a kind of machine; it is made if it is not there, or not of the sources as they are.

    Raises:
        MachineError: something that this needs is missing.
    """
    made = rig(kind)

    def make(folder: Path) -> None:
        folder.mkdir()
        _empty_slot(made, copy_sparse(made.disk, folder / _DISK))
        found = [asdict(_content(made, name, folder)) for name in CHANGES]
        (folder / _CONTENTS).write_text(json.dumps(found), "ascii")

    folder = cache.made(f"cut-stage-{kind}", cache.digest(made.folder.name, Path(__file__)), make, kept=KEPT)
    return Stage(
        kind=kind,
        disk=folder / _DISK,
        plan=made.plan,
        contents=tuple(Content(**values) for values in json.loads((folder / _CONTENTS).read_bytes())),
        artifacts={name: made.artifact(name, *changes) for name, changes in CHANGES.items() if name != FIRST},
    )


def _empty_slot(made: Rig, disk: Path) -> None:
    """Empty the slot that does not run: then all of an image is written, and not only what is different."""
    slot = made.geometry.partition("rootfs-b")
    run(["fallocate", "--punch-hole", "-o", str(slot.start), "-l", str(slot.size), disk], timeout=_SECONDS)


def _content(made: Rig, name: str, folder: Path) -> Content:
    """Return what is in a slot after the release was installed: made once more, in the same way as its artifact."""
    image = copy_sparse(made.slot, folder / "slot.img")
    if name != FIRST:
        for change in (Put(path=RELEASE_FILE, content=f"{name}\n".encode()), *CHANGES[name]):
            change.apply(image)
    fingerprint, size = fingerprint_of(image)
    image.unlink()
    return Content(artifact=name, fingerprint=fingerprint, size=size, starts=name != BROKEN)
