"""Root file systems for the tests of images: as a directory, as a tar file, and what an image of them must hold."""

import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

EPOCH = 1_600_000_000
SBIN = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
ODD_NAMES = (
    "with space",
    'quo"te',
    '""',
    "<12>",
    "-x",
    "tab\there",
    "#hash",
    "ünïcode",
    "back\\slash",
    "q?offset=1",
    "*",
)


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skip a test, and say why, where a program is not installed."""
    missing = [program for program in programs if shutil.which(program, path=SBIN) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


EXT4_TOOLS = needs("mke2fs", "debugfs", "e2fsck")


def call(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a program of the machine and return what it wrote."""
    done = subprocess.run(
        command,
        cwd=cwd,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": SBIN, "LC_ALL": "C.UTF-8"},
    )
    return done.stdout


def is_clean(image: Path) -> bool:
    """Return what e2fsck thinks of an image."""
    done = subprocess.run(["e2fsck", "-fn", image], capture_output=True, env={**os.environ, "PATH": SBIN}, check=False)
    return done.returncode == 0


AS_NOBODY = """
import ctypes, os, sys
from pathlib import Path
import zstandard
from bistable.artifact.image import *
os.umask(0o027)
os.setgroups([]); os.setgid(65534); os.setuid(65534)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # as after starting a program: what belongs to the user may be opened again
assert os.geteuid() == 65534
arguments = sys.argv[1:]
"""
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def run_as_nobody(code: str, *arguments: str | Path) -> None:
    """Run Python code, in which `arguments` is a list, as a user without any rights."""
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY + code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        # PATH as a user who is not root has it.
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr


def make_rootfs(top: Path, *, backwards: bool = False) -> Path:
    """Make a directory with a bit of everything that needs no root; `backwards`: in another order of making."""
    files = {
        "usr/bin/tool": (0o755, b"#!/bin/sh\n"),
        "usr/bin/su": (0o4755, b"setuid"),
        "etc/os-release": (0o644, b'ID=demo\nPRETTY_NAME="Demo \\"1\\" OS"\n'),
        "etc/shadow": (0o400, b"root:*:\n"),
        "empty": (0o644, b""),
        "deep/er/and/deeper/file": (0o644, b"x" * 5000),
        **{f"odd/{name}": (0o644, name.encode()) for name in ODD_NAMES},
        **{f"many/entry-{number:04}-{'y' * 40}": (0o644, b"") for number in range(300)},
    }
    order = sorted(files, reverse=backwards)
    for name in order:
        mode, content = files[name]
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
    with (top / "sparse").open("wb") as sparse:
        sparse.write(b"start")
        sparse.seek(5_000_000)
        sparse.write(b"end")
    (top / "sparse").chmod(0o644)
    links = [("bin", "usr/bin"), ("long", "l" * 100), ("dangling", "/nowhere"), ("etc/up", "../usr/bin/tool")]
    for name, target in reversed(links) if backwards else links:
        (top / name).symlink_to(target)
    applets = [f"usr/bin/applet-{number:03}" for number in range(200)]
    for name in reversed(applets) if backwards else applets:
        os.link(top / "usr/bin/tool", top / name)
    os.mkfifo(top / "pipe", 0o640)
    (top / "pipe").chmod(0o640)
    (top / "empty-directory").mkdir()
    for path in [top, *sorted(top.rglob("*"))]:
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
        # Three kinds of time: before the epoch, after it, and the very first second.
        number = sum(str(path.relative_to(top)).encode()) % 3
        when = (EPOCH - 1000, EPOCH + 1000, 0)[number]
        os.utime(path, (when, when), follow_symlinks=False)
    return top


def member(name: str, kind: bytes = tarfile.REGTYPE, **more: object) -> tarfile.TarInfo:
    """Return the header of a tar member with what tests seldom care about filled in."""
    info = tarfile.TarInfo(name)
    info.type, info.mtime, info.mode = kind, EPOCH - 5, 0o755 if kind == tarfile.DIRTYPE else 0o644
    for key, value in more.items():
        setattr(info, key, value)
    return info


def write_tar(path: Path, members: list[tuple[tarfile.TarInfo, bytes]], mode: str = "w") -> Path:
    """Write a tar file of exactly these members."""
    with tarfile.open(path, mode, format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload]
        for info, content in members:
            if content:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def root_members() -> list[tuple[tarfile.TarInfo, bytes]]:
    """Return a small root file system with all that needs root to make: owners, devices, attributes."""
    capability = "\x01\x00\x00\x02\x00\x20" + "\x00" * 14
    return [
        (member("./", tarfile.DIRTYPE, mode=0o750), b""),
        (member("./dev", tarfile.DIRTYPE), b""),
        (member("./dev/console", tarfile.CHRTYPE, devmajor=5, devminor=1, mode=0o600), b""),
        (member("./dev/far", tarfile.BLKTYPE, devmajor=259, devminor=700, mode=0o660, gid=6), b""),
        (member("./dev/pipe", tarfile.FIFOTYPE), b""),
        (member("./bin", tarfile.SYMTYPE, linkname="usr/bin"), b""),
        (member("./usr/bin/ping", pax_headers={"SCHILY.xattr.security.capability": capability}), b"ping"),
        (member("./usr/bin/sudo", mode=0o6755, uid=100_000, gid=70_000), b"sudo"),
        (member("./usr/bin/sudoedit", tarfile.LNKTYPE, linkname="usr/bin/sudo"), b""),
        (member("./usr/bin/link-to-link", tarfile.LNKTYPE, linkname="./bin"), b""),
        (member("./old", mtime=-5), b"before 1970"),
        (member("./zero", mtime=0), b"1970"),
    ]
