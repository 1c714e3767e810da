"""Packages of the distribution, for any architecture: fetched with the sources of this machine's own apt, and unpacked.

Nothing is installed: no maintainer script runs, so nothing of the other architecture has to, and no root is needed.
That is why apt and dpkg-deb are used directly: on this road a root filesystem takes 9 seconds, where
`mmdebstrap --variant=extract` takes 41 (and `--variant=minbase` 91, or 305 for another architecture); and the packages
are kept between runs.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from logging import getLogger
from pathlib import Path
from typing import Final

from bistable.artifact.errors import MachineError
from bistable.artifact.files import replacing
from bistable.qemu import cache
from bistable.tools.bench.run import require, run, run_to

log = getLogger(__name__)

UPDATE_SECONDS: Final = 120.0
FETCH_SECONDS: Final = 900.0
UNPACK_SECONDS: Final = 120.0

DISTRIBUTIONS: Final = ("Debian", "Ubuntu")
"""Sources of others (a cloud's, a vendor's) seldom have other architectures, and nothing that is needed here."""

NOT_UNPACKED: Final = """
adduser apt cpio debconf dpkg initramfs-tools initramfs-tools-core klibc-utils lib*-perl libdb5.3 libgdbm* libklibc
libperl* libsemanage2 libsemanage-common libsepol2 linux-base logsave perl perl-* readline-common usrmerge
"""
"""What only maintainer scripts would need."""

NOT_TAKEN: Final = tuple(
    f"./{path}"
    for path in (
        "usr/share/doc",
        "usr/share/man",
        "usr/share/locale",
        "usr/share/lintian",
        "usr/share/bug",
        "usr/share/info",
        "usr/share/zoneinfo",
        "usr/share/python3",
        "usr/share/bash-completion",
        "usr/lib/udev/hwdb*",
        "usr/lib/valgrind",
        "usr/lib/*/gconv",
        "usr/lib/*/krb5",
        "usr/lib/python3*/idlelib",
        "usr/lib/python3*/lib2to3",
        "usr/lib/python3*/test",
        "usr/lib/python3*/pydoc_data",
        "usr/lib/python3*/ensurepip",
        "usr/lib/python3*/distutils",
    )
)

_CONFIGURATION: Final = """\
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "";
Acquire::Languages "none";
Dir::State "{place}";
Dir::State::status "{place}/status";
Dir::State::Lists "{place}/lists";
Dir::Cache "{place}";
Dir::Cache::archives "{place}/archives";
Dir::Etc::sourcelist "{sourcelist}";
Dir::Etc::sourceparts "{sourceparts}";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package that apt chose: its name and the file that it is in."""

    name: str
    file: str


class Archive:
    """The distribution's packages for one architecture, as a folder with apt's lists and the packages so far."""

    def __init__(self, architecture: str) -> None:
        require("apt-get", "dpkg-deb")
        self._architecture = architecture
        self._place = cache.folder() / "apt" / architecture
        (self._place / "lists" / "partial").mkdir(parents=True, exist_ok=True)
        (self._place / "archives" / "partial").mkdir(parents=True, exist_ok=True)
        self._variables = {"APT_CONFIG": str(self._place / "apt.conf")}

    def get(self, *names: str) -> tuple[Package, ...]:
        """Return the packages of these names and all that they depend on; they are fetched if they are not there yet.

        Which ones that are is found out once and then kept, so that what is made of them stays the same. Remove the
        cache to get newer ones.

        Raises:
            MachineError: a package does not exist for this architecture, or cannot be fetched.
        """
        chosen = self._place / f"chosen-{cache.digest(*sorted(names))}.json"
        with cache.locked(self._place):
            if chosen.exists():
                packages = tuple(Package(**item) for item in json.loads(chosen.read_text("utf-8")))
                if all((self._place / "archives" / package.file).exists() for package in packages):
                    return packages
            self._set_up()
            packages = self._choose(names)
            self._apt("--download-only", "--yes", "install", *names, seconds=FETCH_SECONDS)
            with replacing(chosen) as file:
                file.write(json.dumps([{"name": item.name, "file": item.file} for item in packages]).encode())
        return packages

    def unpack(self, packages: Iterable[Package], root: Path) -> None:
        """Unpack the packages into the folder `root`, without documentation and what only maintainer scripts need."""
        for package in packages:
            if any(fnmatch(package.name, pattern) for pattern in NOT_UNPACKED.split()):
                continue
            content = root.parent / ".package.tar"
            with content.open("wb") as file:
                archive = self._place / "archives" / package.file
                run_to(["dpkg-deb", "--fsys-tarfile", archive], file, timeout=UNPACK_SECONDS)
            without = [f"--exclude={path}" for path in NOT_TAKEN]
            command: list[str | Path] = [
                "tar",
                "-xf",
                content,
                "-C",
                root,
                "--keep-directory-symlink",
                "--no-same-owner",
                *without,
            ]
            run(command, timeout=UNPACK_SECONDS)
            content.unlink()

    def _set_up(self) -> None:
        sources = _sources()
        parts = self._place / "sources"
        parts.mkdir(exist_ok=True)
        for source in sources:
            link = parts / source.name
            link.unlink(missing_ok=True)
            link.symlink_to(source)
        configuration = _CONFIGURATION.format(
            architecture=self._architecture,
            place=self._place,
            sourcelist="/dev/null" if sources else "/etc/apt/sources.list",
            sourceparts=parts if sources else "/etc/apt/sources.list.d",
        )
        (self._place / "status").touch()
        (self._place / "apt.conf").write_text(configuration, "utf-8")
        try:
            self._apt("update", seconds=UPDATE_SECONDS)
        except MachineError as e:
            # One of several lists may be broken on its server; whether the others suffice is seen when they are used.
            log.info("not all lists of packages could be read: %s", e.hint)

    def _choose(self, names: Sequence[str]) -> tuple[Package, ...]:
        """Return what apt would fetch if nothing had been fetched yet."""
        empty = self._place / "none"
        (empty / "partial").mkdir(parents=True, exist_ok=True)
        nothing = ("-o", f"Dir::Cache::archives={empty}")
        lines = self._apt(*nothing, "--print-uris", "--yes", "install", *names, seconds=UPDATE_SECONDS).splitlines()
        files = [line.split(" ")[1] for line in lines if line.startswith("'")]
        if not files:
            raise MachineError(f"cannot find packages for {self._architecture}: apt names none for {' '.join(names)}")
        return tuple(Package(name=file.split("_")[0], file=file) for file in sorted(files))

    def _apt(self, *words: str, seconds: float) -> str:
        try:
            return run(["apt-get", "--quiet", *words], timeout=seconds, variables=self._variables).text
        except MachineError as e:
            raise MachineError(
                f"cannot get packages for {self._architecture}: {e.what}",
                hint=f"{e.hint or ''}\nthis machine's own sources of packages are used: does `apt-get update` work?",
            ) from e


def _sources() -> list[Path]:
    """Return the files of this machine's apt that name the distribution itself; none if apt has no lists yet."""
    wanted = ["--format", "$(ORIGIN) $(SOURCESENTRY)", "Created-By: Packages"]
    lines = run(["apt-get", "indextargets", *wanted], timeout=UPDATE_SECONDS).text.splitlines()
    found = {line.split(" ", 1)[1].rsplit(":", 1)[0] for line in lines if line.startswith(DISTRIBUTIONS)}
    return [Path(path) for path in sorted(found)]
