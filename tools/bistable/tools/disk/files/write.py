"""Write the files of a disk into a folder, which appears when it is complete."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final

from bistable.artifact.errors import MachineError, RequestError
from bistable.tools.boot.plan import GRUB_PREFIX, BootFiles, BootPlan
from bistable.tools.disk.bootcontents import BootContent, boot_contents
from bistable.tools.disk.files.document import disk_document, disk_json
from bistable.tools.disk.files.kickstart import KickstartTexts, check_texts, kickstart, obstacle
from bistable.tools.disk.files.uboot import LOADERS as UBOOTS
from bistable.tools.disk.files.uboot import uboot_config
from bistable.tools.disk.geometry import ENVIRONMENT, ENVIRONMENTS, Geometry, boot_plan, place
from bistable.tools.disk.layout.model import Layout
from bistable.tools.disk.system import Init, Mount, add_beside_table, memory_files, mounts_of
from bistable.tools.disk.tree import FolderTree

DESCRIPTION: Final = "disk.json"
KICKSTART: Final = "disk.wks"
TABLE: Final = "fstab"
ROOT: Final = "root"
DATA: Final = "data"
ENVIRONMENT_IMAGE: Final = f"{ENVIRONMENT}.img"
UBOOT: Final = "uboot.config"

_PURPOSES: Final[Mapping[str, str]] = {
    DESCRIPTION: "the partitions, and what has to come from elsewhere",
    KICKSTART: "the same for wic",
    TABLE: "the lines for /etc/fstab of both slots",
    ROOT: "for the root file system of both slots",
    DATA: "for the partition data",
    ENVIRONMENT_IMAGE: f"the content of the partition {ENVIRONMENT}",
    UBOOT: "what U-Boot has to be built with",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesOptions:
    """How the files are written; `epoch` (SOURCE_DATE_EPOCH) is the time of all of them, None: 0.

    `texts` are what the kickstart of wic calls files that are made elsewhere.
    """

    grub_prefix: PurePosixPath = GRUB_PREFIX
    init: Init = Init.SYSTEMD
    texts: KickstartTexts = field(default_factory=KickstartTexts)
    epoch: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenFile:
    """A file or link, its path in the folder, and what it is for."""

    path: PurePosixPath
    purpose: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenFiles:
    """A folder that was written; `document` is what `disk.json` holds, remarks are for people."""

    output: Path
    geometry: Geometry
    plan: BootPlan
    files: tuple[WrittenFile, ...]
    document: Mapping[str, Any] = field(repr=False)
    remarks: tuple[str, ...]


def write_files(layout: Layout, output: Path, options: FilesOptions | None = None) -> WrittenFiles:
    """Write all that a disk needs by `layout` and that follows from it into the folder `output`.

    Needs no root file system and no boot loader. The same layout gives the same bytes.

    Raises:
        RequestError: the layout is of no use, or there is something at `output`.
        MachineError: the files cannot be written.
    """
    from bistable.tools.boot import prepare_scripts

    options = options or FilesOptions()
    check_texts(options.texts)
    geometry = place(layout)
    plan = replace(boot_plan(layout, geometry), grub_prefix=options.grub_prefix)
    boot_files = prepare_scripts(plan)
    contents = tuple(boot_contents(layout, geometry, plan, boot_files))
    document = disk_document(layout, geometry, plan, contents, options.texts)
    mounts = mounts_of(geometry, plan.loader, options.init)
    why_not = obstacle(layout, geometry, options.texts)
    texts = {
        DESCRIPTION: disk_json(document),
        TABLE: "".join(f"{mount.line}\n" for mount in mounts),
        **({} if why_not is not None else {KICKSTART: kickstart(layout, geometry, plan, options.texts)}),
        **({UBOOT: uboot_config(layout, geometry, plan)} if plan.loader in UBOOTS else {}),
    }
    with _appearing(output) as folder:
        _Writing(folder, layout, geometry, options.epoch or 0).everything(texts, boot_files, contents, mounts)
        files = tuple(_listed(folder))
    return WrittenFiles(
        output=output,
        geometry=geometry,
        plan=plan,
        files=files,
        document=document,
        remarks=() if why_not is None else (f"no {KICKSTART}: {why_not}",),
    )


@dataclass(frozen=True, slots=True)
class _Writing:
    """Fills an empty folder."""

    folder: Path
    layout: Layout
    geometry: Geometry
    time: int

    def everything(
        self,
        texts: Mapping[str, str],
        boot_files: BootFiles,
        contents: Sequence[BootContent],
        mounts: Sequence[Mount],
    ) -> None:
        """Write everything; `texts` lie at the top."""
        top = FolderTree(self.folder)
        for name, text in texts.items():
            top.file(f"/{name}", text.encode("utf-8", "surrogateescape"))
        for content in contents:
            top.directory(f"/{content.partition}")
            for path, file in content.files.items():
                top.file(f"/{content.partition}/{path}", file)
        if self.layout.boot.loader in ENVIRONMENTS:
            self._environment(boot_files.environment)
        top.directory(f"/{ROOT}")
        add_beside_table(FolderTree(self.folder / ROOT), boot_files.root, mounts)
        self._data()
        self._set_times()

    def _environment(self, parts: Mapping[int, bytes]) -> None:
        image = self.folder / ENVIRONMENT_IMAGE
        with image.open("xb") as file:
            file.truncate(self.geometry.partition(ENVIRONMENT).size)
            for offset, content in parts.items():
                file.seek(offset)
                file.write(content)
        image.chmod(0o644)

    def _data(self) -> None:
        source, target = self.layout.data.files, self.folder / DATA
        if source is None:
            target.mkdir()
            target.chmod(0o755)
        elif source.is_dir():
            shutil.copytree(source, target, symlinks=True)
        else:
            raise RequestError(f"cannot take the content of a partition from {source}: it is no directory")
        tree = FolderTree(target)
        for path, content in memory_files(self.layout.device_type):
            tree.directory(path.rpartition("/")[0], mode=0o700)
            tree.file(path, content)

    def _set_times(self) -> None:
        for path in [self.folder, *self.folder.rglob("*")]:
            os.utime(path, (self.time, self.time), follow_symlinks=False)


def _listed(folder: Path) -> Iterator[WrittenFile]:
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_dir():
            inside = PurePosixPath(*path.relative_to(folder).parts)
            top = inside.parts[0]
            yield WrittenFile(path=inside, purpose=_PURPOSES.get(top, f"for the partition {top}"))


@contextmanager
def _appearing(output: Path) -> Iterator[Path]:
    """Give an empty folder that becomes `output` when the block ends well, and leaves no trace when it does not."""
    try:
        if output.is_symlink() or (output.exists() and (not output.is_dir() or any(output.iterdir()))):
            raise RequestError(
                f"cannot write the files into {output}: it is there already, and not an empty directory",
                hint="name a new one, or remove it",
            )
        if not output.parent.is_dir():
            raise RequestError(f"cannot write the files into {output}: there is no directory {output.parent}")
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=".bistable-") as staging:
            folder = Path(staging) / "files"
            folder.mkdir()
            folder.chmod(0o755)
            yield folder
            folder.replace(output)
    except OSError as e:
        raise MachineError(f"cannot write the files into {output}: {e.strerror or e}") from e
