"""Make a disk image: partition table, boot partition, environment, slots, data."""

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from bistable.artifact.errors import MachineError, RequestError
from bistable.artifact.files import replacing, write_all
from bistable.artifact.image import ImageKind, ImageOptions, make_image, read_file
from bistable.artifact.image.tree import TreeBuilder
from bistable.tools.boot.plan import BootFiles, BootPlan
from bistable.tools.disk import geometry as places
from bistable.tools.disk.blobs import check_blobs_fit
from bistable.tools.disk.bmap import Used, block_map, mapped_bytes
from bistable.tools.disk.bootcontents import boot_contents, host_files
from bistable.tools.disk.fat import FatWish, make_fat
from bistable.tools.disk.filesystems import WRITABLE_FEATURES, ext4_label, ext4_uuid, fat_label, fat_serial
from bistable.tools.disk.geometry import Geometry, Partition, boot_plan, filled_slots, place
from bistable.tools.disk.layout.model import ExtraKind, ExtraWish, Layout
from bistable.tools.disk.outputs import Outputs, open_disk
from bistable.tools.disk.slotimage import SlotImage, SlotWish, make_slot_image
from bistable.tools.disk.sparse import Progress, copy_into, ignore, write_at
from bistable.tools.disk.system import (
    add_to_system,
    check_readable,
    check_system,
    check_unchangeable,
    init_of,
    memory_files,
    mounts_of,
)
from bistable.tools.disk.table import write_table
from bistable.tools.disk.tree import BuildingTree, Change, ReadableTree, RootTree


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltDisk:
    """A disk image that was made; sizes in bytes. `stored` is what its file takes on the disk here."""

    outputs: Outputs
    geometry: Geometry
    plan: BootPlan
    root: SlotImage
    stored: int
    mapped: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """How a disk is made.

    `epoch` (SOURCE_DATE_EPOCH) is the latest of all times; None: 0 for what is new, and times stay as they are.
    `keep_owners`: a directory's owners, else root owns all. `change` puts more into the slots.
    """

    epoch: int | None = None
    keep_owners: bool = False
    change: Change | None = None
    on_progress: Progress = ignore


def build_disk(layout: Layout, rootfs: Path, outputs: Outputs, options: BuildOptions | None = None) -> BuiltDisk:
    """Make a disk image by `layout`, with `rootfs` (a directory, tar file or image) in its slots.

    Without root and without loop devices; the same input gives the same bytes. Files appear when they are complete.

    Raises:
        RequestError: the layout or an input is of no use, or something does not fit.
        RejectedError: an input is damaged.
        MachineError: a tool is missing or fails, or the disk is full.
    """
    from bistable.tools.boot import prepare_boot

    options = options or BuildOptions()
    outputs.check()
    geometry = place(layout)
    check_blobs_fit(layout)
    plan = boot_plan(layout, geometry)
    files = prepare_boot(plan)
    try:
        with tempfile.TemporaryDirectory(dir=outputs.disk.parent, prefix=".bistable-") as staging, ExitStack() as stack:
            root = Path(staging) / "root"
            made = make_slot_image(rootfs, root, _slot_wish(layout, geometry, plan, files, options))
            with open_disk(outputs, stack, options.on_progress) as disk:
                disk.truncate(geometry.size)
                filling = _Filling(disk, Path(staging), layout, geometry, options.epoch or 0, options.on_progress)
                filling.fill(root, plan, files)
                mapped = _write_map(disk, geometry, filling.used(root), outputs, stack)
            if outputs.slot_image is not None:
                kept = stack.enter_context(replacing(outputs.slot_image))
                kept.truncate(copy_into(root, kept, 0))
    except OSError as e:
        raise MachineError(f"cannot make {outputs.disk}: {e.strerror or e}") from e
    return BuiltDisk(
        outputs=outputs,
        geometry=geometry,
        plan=plan,
        root=made,
        stored=outputs.disk.stat().st_blocks * 512,
        mapped=mapped,
    )


def _write_map(
    disk: BinaryIO, geometry: Geometry, used: Iterable[Used], outputs: Outputs, stack: ExitStack
) -> int | None:
    if not outputs.block_map:
        return None
    content = block_map(disk, geometry, used)
    write_all(stack.enter_context(replacing(outputs.map_path)), content)
    return mapped_bytes(content)


def _slot_wish(
    layout: Layout,
    geometry: Geometry,
    plan: BootPlan,
    files: BootFiles,
    options: BuildOptions,
) -> SlotWish:
    name = "the root file system"

    def change(tree: RootTree) -> None:
        if options.change is not None:
            options.change(tree)
        check_system(tree, plan, name)
        add_to_system(tree, files.root, mounts_of(geometry, plan.loader, init_of(tree)))

    def check(tree: ReadableTree) -> None:
        check_system(tree, plan, name)
        check_unchangeable(tree, files.root, mounts_of(geometry, plan.loader, init_of(tree)), name)

    return SlotWish(
        size=layout.slots.size,
        kind=layout.slots.filesystem,
        change=change,
        check=check,
        check_kind=lambda kind: check_readable(kind, plan.loader),
        epoch=options.epoch,
        keep_owners=options.keep_owners,
    )


@dataclass(frozen=True, slots=True)
class _Filling:
    """Fills an empty disk image."""

    disk: BinaryIO
    staging: Path
    layout: Layout
    geometry: Geometry
    time: int
    on_progress: Progress

    def fill(self, root: Path, plan: BootPlan, files: BootFiles) -> None:
        """Write everything."""
        write_table(self.disk, self.geometry, plan.loader)
        for blob in self.layout.blobs:
            copy_into(blob.file, self.disk, blob.offset)
        self._boot(root, plan, files)
        for offset, content in files.environment.items():
            write_at(self.disk, self.geometry.partition(places.ENVIRONMENT).start + offset, content)
        for name in filled_slots(self.layout):
            copy_into(root, self.disk, self.geometry.partition(name).start, on_progress=self.on_progress)
        for extra in self.layout.extras:
            self._extra(extra)
        self._data()

    def used(self, root: Path) -> Iterator[Used]:
        """Yield how much of each partition is used."""
        contents = {extra.name: extra.content for extra in self.layout.extras if extra.filesystem is ExtraKind.NOTHING}
        contents |= {name: root if name in filled_slots(self.layout) else None for name in places.SLOTS}
        for partition in self.geometry.partitions:
            content = contents.get(partition.name)
            size = None if partition.name not in contents else 0 if content is None else content.stat().st_size
            yield Used(partition=partition, size=size)

    def _boot(self, root: Path, plan: BootPlan, files: BootFiles) -> None:
        """Fill the boot partitions."""
        for wanted in boot_contents(self.layout, self.geometry, plan, files):
            content = {**wanted.files, **self._taken(root, wanted.placed)}
            self._fat(self.geometry.partition(wanted.partition), wanted.label, content)

    def _taken(self, root: Path, wanted: Mapping[PurePosixPath, PurePosixPath]) -> dict[PurePosixPath, Path]:
        """Take files out of the slot's image; return path on the boot partition -> a copy here."""
        found: dict[PurePosixPath, Path] = {}
        for number, (target, source) in enumerate(wanted.items()):
            found[target] = self.staging / f"taken-{len(found)}-{number}"
            with found[target].open("wb") as file:
                read_file(root, str(source), file.write)
        return found

    def _fat(self, partition: Partition, label: str, content: Mapping[PurePosixPath, bytes | Path]) -> None:
        wish = FatWish(
            start=partition.start,
            size=partition.size,
            label=label,
            serial=fat_serial(self.layout, partition.name),
            time=self.time,
        )
        make_fat(self.disk, wish, content)

    def _data(self) -> None:
        with self._content_of(self.layout.data.files) as source:
            image = self._ext4(places.DATA, source, dict(memory_files(self.layout.device_type)))
        copy_into(image, self.disk, self.geometry.partition(places.DATA).start, on_progress=self.on_progress)

    def _extra(self, extra: ExtraWish) -> None:
        partition = self.geometry.partition(extra.name)
        if extra.filesystem is ExtraKind.FAT:
            found = {} if extra.content is None else dict(host_files({PurePosixPath(): extra.content}))
            self._fat(partition, fat_label(extra.name), found)
        elif extra.filesystem is ExtraKind.EXT4:
            with self._content_of(extra.content) as source:
                image = self._ext4(extra.name, source, {})
            copy_into(image, self.disk, partition.start)
        elif extra.content is not None:
            size = extra.content.stat().st_size if extra.content.exists() else 0
            if size > extra.size:
                raise RequestError(
                    f"cannot put {extra.content} into the partition {extra.name}: it has {size} bytes, and there are "
                    f"{extra.size}"
                )
            copy_into(extra.content, self.disk, partition.start)

    def _ext4(self, name: str, source: Path, files: Mapping[str, bytes]) -> Path:
        """Make a file system for the partition called `name`."""
        target = self.staging / f"ext4-{name}"
        options = ImageOptions(
            kind=ImageKind.EXT4,
            epoch=self.time,
            size=self.geometry.partition(name).size,
            label=ext4_label(name),
            uuid=ext4_uuid(self.layout, name),
            features=WRITABLE_FEATURES,
        )

        def add(builder: TreeBuilder, base: Path) -> None:
            tree = BuildingTree(builder, base, self.staging, time=self.time)
            tree.directory("/lost+found", mode=0o700)
            for path, content in files.items():
                tree.directory(path.rpartition("/")[0], mode=0o700)
                tree.file(path, content)

        make_image(source, target, options, add=add)
        return target

    @contextmanager
    def _content_of(self, directory: Path | None) -> Iterator[Path]:
        """Give a directory with the content of a partition, an empty one if there is none."""
        if directory is not None:
            if not directory.is_dir():
                raise RequestError(f"cannot take the content of a partition from {directory}: it is no directory")
            yield directory
            return
        with tempfile.TemporaryDirectory(dir=self.staging) as empty:
            os.utime(empty, (self.time, self.time))
            yield Path(empty)
