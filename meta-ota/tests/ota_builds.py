"""Builds with the real bitbake and the real core layer, where these are at hand: OE_SOURCES names their folder.

It holds `<series>/openembedded-core`, `<series>/bitbake` and, for what needs them, `<series>/meta-openembedded`.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

VARIABLE = "OE_SOURCES"
LAYER = Path(__file__).parents[1]
CHECKOUT = LAYER.parent
SERIES = ("scarthgap", "wrynose")
PATIENCE = 3600.0
VALUE = re.compile(r'^(?:export )?(\w+)="(.*)"$', re.MULTILINE)

LOCAL = """
MACHINE ?= "{machine}"
DISTRO ?= "{distro}"
CONF_VERSION = "2"
BB_NO_NETWORK = "1"
CONNECTIVITY_CHECK_URIS = ""
BB_NUMBER_THREADS = "2"
BB_NUMBER_PARSE_THREADS = "2"
INHERIT += "bistable"
"""


def sources(series: str, *names: str) -> Path:
    """Return the folder with the repositories of a series; the test is skipped if they are not there."""
    if VARIABLE not in os.environ:
        pytest.skip(
            f"{VARIABLE} names no folder with openembedded-core and bitbake (docs/how-to/test-the-yocto-layer.md)"
        )
    folder = Path(os.environ[VARIABLE]) / series
    for name in ("openembedded-core", "bitbake", *names):
        if not (folder / name).is_dir():
            pytest.skip(f"{VARIABLE} has no {series}/{name}")
    return folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a command said, and how it ended."""

    status: int
    output: str


@dataclass(slots=True, kw_only=True)
class Build:
    """A build directory, and commands that run in it as a user who is not root: bitbake refuses root."""

    series: str
    folder: Path
    layers: Sequence[Path]
    machine: str = "qemux86-64"
    distro: str = "nodistro"
    settings: str = 'PACKAGE_CLASSES ?= "package_ipk"\n'
    tools: Path | None = None
    _user: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        owner = sources(self.series).stat()
        self._user = (owner.st_uid or 65534, owner.st_gid or 65534)
        conf = self.folder / "conf"
        conf.mkdir(parents=True)
        layers = " ".join(str(path) for path in [self.core / "meta", *self.layers])
        (conf / "bblayers.conf").write_text(
            f'POKY_BBLAYERS_CONF_VERSION = "2"\nBBPATH = "${{TOPDIR}}"\nBBFILES ?= ""\nBBLAYERS ?= "{layers}"\n'
        )
        local = LOCAL.format(machine=self.machine, distro=self.distro) + self.settings
        (conf / "local.conf").write_text(local)
        give(self.folder, self._user)

    @property
    def core(self) -> Path:
        return sources(self.series) / "openembedded-core"

    @property
    def bitbake(self) -> Path:
        return sources(self.series) / "bitbake"

    @property
    def deployed(self) -> Path:
        """The folder DEPLOY_DIR_IMAGE."""
        return next(self.folder / name for name in ("tmp", "tmp-glibc") if (self.folder / name).is_dir()) / (
            f"deploy/images/{self.machine}"
        )

    def run(self, *words: str, settings: str = "", machine: str = "", status: int | None = 0) -> Done:
        """Run a command; `settings` go on top of the configuration, for bitbake, which may be for another `machine`.

        `status` None: any exit status will do.
        """
        command = list(words)
        if settings:
            more = self.folder / "more.conf"
            more.write_text(settings)
            command += ["-R", str(more)]
        is_root = os.geteuid() == 0
        user, group = self._user if is_root else (None, None)
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self._environment() | {"MACHINE": machine or self.machine},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=PATIENCE,
            user=user,
            group=group,
            extra_groups=[] if is_root else None,
        )
        if status is not None:
            assert done.returncode == status, done.stdout[-6000:]
        return Done(status=done.returncode, output=done.stdout)

    def values(self, recipe: str = "", *, settings: str = "", machine: str = "") -> dict[str, str]:
        """Return variable -> value, of the configuration or of a recipe."""
        found = self.run("bitbake", "-e", *([recipe] if recipe else []), settings=settings, machine=machine).output
        return dict(VALUE.findall(found))

    def _environment(self) -> dict[str, str]:
        path = [self.core / "scripts", self.bitbake / "bin", "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"]
        if self.tools is not None:
            path.insert(0, self.tools)
        return {
            "PATH": ":".join(str(one) for one in path),
            "HOME": str(self.folder),
            "USER": "builder",
            "TERM": "dumb",
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "BBPATH": str(self.folder),
            "BUILDDIR": str(self.folder),
            "PYTHONPATH": str(self.bitbake / "lib"),
            "BB_ENV_PASSTHROUGH_ADDITIONS": "MACHINE",
        }


def give(folder: Path, user: tuple[int, int]) -> None:
    """Let a user write into a folder, and into all that is in it."""
    if os.geteuid() == 0:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, *user, follow_symlinks=False)


@contextmanager
def build_folder() -> Iterator[Path]:
    """Give an empty folder that other users can reach, which the folders of pytest are not."""
    with tempfile.TemporaryDirectory(prefix="bistable-oe-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def host_tools(folder: Path, series: str) -> Path:
    """Put stand-ins for native tools into a folder, `bistable` of this checkout among them; return where they are."""
    tools, site = folder / "tools", folder / "site"
    shutil.copytree(Path(__file__).parent / "host-tools", tools)
    here, wic = sources(series), sources("scarthgap") / "openembedded-core/scripts"
    (folder / "sources").write_text(f"bitbake={here}/bitbake\ncore={here}/openembedded-core\nwic={wic}\n")
    wanted = [f"{CHECKOUT}[image]", "build", "hatchling", "installer"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--quiet", "--target", str(site), *wanted],
        check=True,
        timeout=PATIENCE,
    )
    return tools
