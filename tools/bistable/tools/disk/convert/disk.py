"""From a disk image with one system to one with two slots."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Final

from bistable.artifact.errors import MachineError, RequestError
from bistable.artifact.image import open_image
from bistable.tools.boot.plan import Loader
from bistable.tools.disk.bootcontents import CONFIG
from bistable.tools.disk.build import BuildOptions, BuiltDisk, build_disk
from bistable.tools.disk.client import (
    ClientSource,
    Configuration,
    Requirement,
    Start,
    look_for_packages,
    put_client,
    put_configuration,
)
from bistable.tools.disk.client.requirements import requirements
from bistable.tools.disk.convert.kernel import NOT_KEPT, FoundKernel, find_kernel, put_kernel
from bistable.tools.disk.convert.mounts import moved_mounts
from bistable.tools.disk.convert.root import take_root
from bistable.tools.disk.convert.source import Source, open_source
from bistable.tools.disk.fat import take_fat
from bistable.tools.disk.geometry import BOOT, place
from bistable.tools.disk.layout.model import Layout
from bistable.tools.disk.outputs import Outputs
from bistable.tools.disk.sparse import Progress, ignore
from bistable.tools.disk.system import FSTAB
from bistable.tools.disk.tree import RootTree

UBOOT: Final = PurePosixPath("u-boot.bin")
_LOADERS_OF_THEIR_OWN: Final = frozenset({Loader.GRUB, Loader.SYSTEMD_BOOT, Loader.EFI})
"""For these the boot partition is made anew: what is on the old one would start the old system."""

_UBOOT: Final = frozenset({Loader.UBOOT, Loader.UBOOT_ENVIRONMENT})

_CONFIG_LINES: Final = """
# U-Boot chooses the slot, and starts its kernel.
[all]
kernel=u-boot.bin
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertOptions:
    """How an image is converted; `client` None installs none. `epoch` (SOURCE_DATE_EPOCH) is the time of new files."""

    client: ClientSource | None
    start: Start = Start.SERVICE
    configuration: Configuration = field(default_factory=Configuration)
    epoch: int | None = None
    on_progress: Progress = ignore


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """What was made, and what became of the old system: remarks are for people."""

    built: BuiltDisk
    layout: Layout
    remarks: tuple[str, ...]


def convert_disk(source: Path, layout: Layout, outputs: Outputs, options: ConvertOptions) -> Converted:
    """Make a disk image with two slots by `layout` of the image `source` with one system.

    Raises:
        RequestError: the image or the layout is of no use, packages are missing in it, or it does not fit.
        RejectedError: the image is damaged.
        MachineError: a tool is missing or fails, or the disk is full.
    """
    outputs.check()
    beside = outputs.disk.parent
    try:
        with (
            tempfile.TemporaryDirectory(dir=beside, prefix=".bistable-") as staging,
            open_source(source, beside=beside, on_progress=options.on_progress) as opened,
        ):
            return _Conversion(opened, layout, options, Path(staging)).run(outputs)
    except OSError as e:
        raise MachineError(f"cannot convert {source}: {e.strerror or e}") from e


class _Conversion:
    """One conversion; `staging` is a private directory."""

    def __init__(self, source: Source, layout: Layout, options: ConvertOptions, staging: Path) -> None:
        self._source = source
        self._options = options
        self._staging = staging
        self._remarks: list[str] = []
        self._layout = layout

    def run(self, outputs: Outputs) -> Converted:
        """Do everything."""
        root = self._staging / "single"
        take_root(self._source.disk, self._source.root, root, self._layout.slots.size)
        old_boot = self._old_boot_files()
        with open_image(root) as volume:
            kernel = find_kernel(volume, old_boot, self._layout.boot)
        self._adjust(kernel, old_boot)
        built = build_disk(
            self._layout,
            root,
            outputs,
            BuildOptions(
                epoch=self._options.epoch,
                change=lambda tree: self._change(tree, kernel),
                on_progress=self._options.on_progress,
            ),
        )
        return Converted(built=built, layout=self._layout, remarks=tuple(self._remarks))

    def _old_boot_files(self) -> Mapping[PurePosixPath, Path]:
        if self._source.boot is None:
            return {}
        return take_fat(self._source.disk, self._source.boot.start, self._staging / "boot")

    def _adjust(self, kernel: FoundKernel, old_boot: Mapping[PurePosixPath, Path]) -> None:
        """Make the layout fit what the image has."""
        boot = self._layout.boot
        if kernel.initrd is None and boot.initrd is not None:
            self._remarks.append("the image has no initial RAM disk, so the kernel is started without one")
            boot = replace(boot, initrd=None)
        files = dict(self._layout.boot_files)
        if boot.loader not in _LOADERS_OF_THEIR_OWN:
            kept = {path: place for path, place in old_boot.items() if not NOT_KEPT.fullmatch(path.name)}
            files = {**kept, **files}
            if boot.loader in _UBOOT and CONFIG in kept and CONFIG not in self._layout.boot_files:
                files[CONFIG] = self._firmware_configuration(kept[CONFIG], files)
        self._layout = replace(self._layout, boot=boot, boot_files=files)

    def _firmware_configuration(self, old: Path, files: Mapping[PurePosixPath, Path]) -> Path:
        """Return the file that makes the firmware of a Raspberry Pi start U-Boot."""
        if UBOOT not in files:
            raise RequestError(
                f"cannot convert {self._source.name}: the firmware of a Raspberry Pi has to start U-Boot, and there is "
                f"no {UBOOT}",
                hint=f'add it to the layout under [boot-partition] files: {{ "{UBOOT}" = "/usr/lib/u-boot/rpi_arm64/'
                f'{UBOOT}" }} (Debian: u-boot-rpi)',
            )
        new = self._staging / CONFIG.name
        new.write_bytes(old.read_bytes().rstrip() + _CONFIG_LINES.encode())
        return new

    def _change(self, tree: RootTree, kernel: FoundKernel) -> None:
        """Change the root file system."""
        self._require_packages(tree)
        put_kernel(tree, kernel, self._layout.boot)
        # An EFI system partition that only holds our boot loader has nothing that the system should write to, and where
        # each slot has a boot partition, no line is right in both.
        keeps_boot = self._layout.boot.loader in _UBOOT and self._source.boot is not None
        boot = place(self._layout).partition(BOOT).uuid if keeps_boot else None
        table = (tree.read(FSTAB) or b"").decode("utf-8", "surrogateescape")
        mounts = moved_mounts(table, boot=boot)
        for path in mounts.dropped:
            self._remarks.append(f"{path} is no longer mounted: it is not on the new disk")
        tree.file(FSTAB, mounts.text.encode("utf-8", "surrogateescape"))
        if self._options.client is not None:
            put_client(tree, source=self._options.client, start=self._options.start)
        put_configuration(tree, self._options.configuration)

    def _require_packages(self, tree: RootTree) -> None:
        if self._options.client is None:
            return
        found = look_for_packages(tree, requirements(self._layout.boot.loader, self._options.start))
        self._remarks += found.older
        if found.missing:
            raise RequestError(
                f"cannot install the client into {self._source.name}: these packages are not in it: "
                + ", ".join(requirement.package for requirement in found.missing),
                hint="\n".join(["install them in the image first:", *map(_reason, found.missing)]),
            )


def _reason(requirement: Requirement) -> str:
    return f"{requirement.package}: {requirement.reason}"
