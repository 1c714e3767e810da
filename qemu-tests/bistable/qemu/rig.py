"""What a test needs around a machine: a disk with two slots, a key, and artifacts with one thing or another in them.

All of it is made by the product's own library from the same inputs, once, and kept; a test works on a copy.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from bistable.artifact import Codec, Extras, Options, read_signer, rootfs_request, write_artifact
from bistable.artifact.image import copy_in, make_directory, remove
from bistable.artifact.keys import generate
from bistable.artifact.limits import MIB
from bistable.artifact.model import Script
from bistable.qemu import cache
from bistable.qemu.kinds import HARDWARE, Kind
from bistable.qemu.rootfs.build import Profile, copied, system
from bistable.tools.boot import BootPlan, Loader
from bistable.tools.boot import __file__ as _boot
from bistable.tools.disk import BuildOptions, Outputs, build_disk, parse_layout
from bistable.tools.disk import __file__ as _disk
from bistable.tools.disk.geometry import Geometry, boot_plan, place

FIRST: Final = "release-1"
"""Name of what slot a holds from the start."""

RELEASE_FILE: Final = "/etc/bistable-release"
"""Says which artifact a slot's content came with."""

SLOT_MIB: Final[Mapping[Profile, Mapping[str, int]]] = {
    Profile.SMALL: {"amd64": 96, "arm64": 128, "armhf": 80},
    Profile.SYSTEMD: {"amd64": 176, "arm64": 208, "armhf": 160},
    Profile.SYSTEMD_BY_HAND: {"amd64": 176, "arm64": 208, "armhf": 160},
}
"""What the content needs, and a little more: each of them is written, read back and hashed by an emulated machine."""

DATA_MIB: Final = 32

_LAYOUT: Final = """\
[device]
type = "{kind}"

[boot]
loader = "{loader}"
architecture = "{architecture}"
kernel = "/boot/vmlinuz"
initrd = "/boot/initrd.img"
arguments = "console={console} panic=-1 {arguments}"

[boot-partition]
size = "{boot} MiB"

[slots]
size = "{slot} MiB"
fill = "first"

[data]
size = "{data} MiB"
"""

_FIRST: Final = """
[extra.first]
size = "1 MiB"
place = "front"
"""

_SETTINGS: Final = """\
# What a test's device trusts, and how long it is patient: an emulated one is slow.
[trust]
verify-keys = ["/etc/bistable/keys/release.pub"]
"""

_EPOCH: Final = 1_700_000_000
_BOOT_MIB: Final = 8
_BOOT_MIB_WITH_KERNELS: Final = 96
_WITH_KERNELS: Final = frozenset({Loader.SYSTEMD_BOOT, Loader.EFI})
"""What loads kernels from the boot partition only."""
_WITH_FIRST: Final = frozenset({Kind.ARMHF_UBOOT, Kind.ARM64_GRUB})
"""Machines whose boot partition is not the first one, as with processors that look for their first stages there."""

_QUICK: Final = "zstd:1"
_ARTIFACTS_KEPT: Final = 16


class Change(Protocol):
    """Something that is different in an image; `key` tells it from others."""

    @property
    def key(self) -> bytes:
        """Return what tells this change from all others."""

    def apply(self, image: Path) -> None:
        """Change the image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """A file that is added or replaced."""

    path: str
    content: bytes
    mode: int = 0o644

    @property
    def key(self) -> bytes:
        """Return what tells this change from all others."""
        return repr((self.path, self.content, self.mode)).encode()

    def apply(self, image: Path) -> None:
        """Change the image."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(self.content)
            file.flush()
            copy_in(image, Path(file.name), self.path, epoch=_EPOCH, mode=self.mode)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """A file that is not there any more."""

    path: str

    @property
    def key(self) -> bytes:
        """Return what tells this change from all others."""
        return f"remove {self.path}".encode()

    def apply(self, image: Path) -> None:
        """Change the image."""
        remove(image, self.path, epoch=_EPOCH)


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeDirectory:
    """A directory that is added."""

    path: str

    @property
    def key(self) -> bytes:
        """Return what tells this change from all others."""
        return f"directory {self.path}".encode()

    def apply(self, image: Path) -> None:
        """Change the image."""
        make_directory(image, self.path, epoch=_EPOCH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """Disk, slot and key for a kind of machine. The files are shared: nobody writes to them."""

    kind: Kind
    profile: Profile
    folder: Path
    plan: BootPlan
    geometry: Geometry

    @property
    def disk(self) -> Path:
        """Return the image of a new disk: slot a is good, slot b is empty."""
        return self.folder / "disk.img"

    @property
    def slot(self) -> Path:
        """Return the image of what is in slot a, release-1."""
        return self.folder / "slot.img"

    @property
    def key(self) -> Path:
        """Return the private key whose public half the device trusts."""
        return keys() / "release.key"

    def new_disk(self, folder: Path, name: str = "disk.img") -> Path:
        """Return a copy of the new disk in a folder, to boot from and to write to."""
        return copy_sparse(self.disk, folder / name)

    def artifact(self, name: str, *changes: Change, scripts: Sequence[Script] = ()) -> Path:
        """Return a signed artifact of that name, whose root filesystem is release-1 with these changes.

        The file that says the name is always changed, so that a test can tell what runs.
        """
        whole = (Put(path=RELEASE_FILE, content=f"{name}\n".encode()), *changes)
        parts: list[str | bytes] = [
            self.folder.name,
            name,
            *(change.key for change in whole),
            *(repr(script) for script in scripts),
        ]

        def make(path: Path) -> None:
            image = copy_sparse(self.slot, path.with_name("slot.img"))
            for change in whole:
                change.apply(image)
            request = rootfs_request(image, name=name, device_types=[self.kind], extras=Extras(scripts=tuple(scripts)))
            options = Options(codec=Codec.parse(_QUICK), signer=read_signer(self.key), mtime=_EPOCH)
            write_artifact(path, request, options)
            image.unlink()

        return cache.made(f"artifacts-{self.kind}", cache.digest(*parts), make, kept=_ARTIFACTS_KEPT)


def rig(kind: Kind, profile: Profile = Profile.SMALL, *, arguments: str = "") -> Rig:
    """Return the rig for a kind of machine; `arguments` are more of the kernel's.

    Raises:
        MachineError: packages or tools are missing.
    """
    hardware = HARDWARE[kind]
    text = layout_text(kind, profile, arguments=arguments)
    layout = parse_layout(text.encode(), Path("/"), name=str(kind))
    root = system(hardware.architecture, profile)
    key = cache.digest(text, root.name, keys() / "release.pub", _CODE)

    def make(folder: Path) -> None:
        folder.mkdir()
        own = folder / "root"
        copied(root, own)
        _personalise(own)
        outputs = Outputs(disk=folder / "disk.img", block_map=False, slot_image=folder / "slot.img")
        build_disk(layout, own, outputs, BuildOptions(epoch=_EPOCH))
        shutil.rmtree(own)

    folder = cache.made(f"rig-{kind}", key, make)
    geometry = place(layout)
    return Rig(kind=kind, profile=profile, folder=folder, plan=boot_plan(layout, geometry), geometry=geometry)


def layout_text(kind: Kind, profile: Profile = Profile.SMALL, *, arguments: str = "") -> str:
    """Return the layout of the disk, as TOML."""
    hardware = HARDWARE[kind]
    text = _LAYOUT + (_FIRST if kind in _WITH_FIRST else "")
    return text.format(
        kind=kind,
        loader=hardware.loader,
        architecture=hardware.architecture,
        console=hardware.console,
        arguments=arguments,
        boot=_BOOT_MIB_WITH_KERNELS if hardware.loader in _WITH_KERNELS else _BOOT_MIB,
        slot=SLOT_MIB[profile][hardware.architecture],
        data=DATA_MIB,
    )


def keys() -> Path:
    """Return the folder of the key that all artifacts for tests are signed with; it is made when it is not there."""

    def make(folder: Path) -> None:
        folder.mkdir()
        pair = generate("p256")
        (folder / "release.key").write_bytes(pair.private)
        (folder / "release.pub").write_bytes(pair.public)

    return cache.made("keys", "release", make)


def copy_sparse(source: Path, target: Path) -> Path:
    """Copy a file without its holes, and return the copy."""
    with source.open("rb") as old, target.open("wb") as new:
        size = os.fstat(old.fileno()).st_size
        new.truncate(size)
        at = 0
        while at < size:
            try:
                start = os.lseek(old.fileno(), at, os.SEEK_DATA)
            except OSError:
                break
            at = os.lseek(old.fileno(), start, os.SEEK_HOLE)
            _copy_range(old.fileno(), new.fileno(), start, at)
    return target


def _copy_range(source: int, target: int, start: int, end: int) -> None:
    while start < end:
        data = os.pread(source, min(8 * MIB, end - start), start)
        os.pwrite(target, data, start)
        start += len(data)


def _personalise(root: Path) -> None:
    """Make the system one of a device: what it is, and what it trusts."""
    (root / "etc" / "mender" / "scripts").mkdir(parents=True, exist_ok=True)
    files = {
        "etc/mender/artifact_info": f"artifact_name={FIRST}\n",
        "etc/mender/scripts/version": "3",
        RELEASE_FILE.lstrip("/"): f"{FIRST}\n",
        "etc/bistable/conf.d/50-site.toml": _SETTINGS,
    }
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, "ascii")
    trusted = root / "etc" / "bistable" / "keys"
    trusted.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(keys() / "release.pub", trusted / "release.pub")


def _sources(*modules: str | None) -> Iterable[Path]:
    """Return what decides how a disk looks: the code of these packages, and their templates."""
    for module in modules:
        assert module is not None
        found = Path(module).parent.rglob("*")
        yield from sorted(path for path in found if path.is_file() and path.suffix in {".py", ".jinja", ".toml"})


# Once, when it is loaded: what runs is not what was written to the files since.
_CODE: Final = cache.digest(Path(__file__), *_sources(_boot, _disk))
