"""A disk image of Debian with one system, as a distribution would publish it, made here and kept."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from image_samples import SBIN

from bistable.artifact.image import ImageOptions, make_image
from bistable.tools.disk.sparse import copy_into

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "qemu"
PACKAGES = (
    "linux-image-cloud-amd64",
    "initramfs-tools",
    "systemd-sysv",
    "udev",
    "dbus",
    "python3",
    "python3-cryptography",
    "python3-zstandard",
)
FSTAB = """\
UUID=7b4f0a2e-5f0e-4f7e-9c56-1d2f6c7f1a11 / ext4 errors=remount-ro 0 1
UUID=ABCD-1234 /boot/efi vfat umask=0077 0 1
"""
LOGIN = """\
[Service]
ExecStart=
ExecStart=-/sbin/agetty --autologin root --keep-baud 115200 %I vt220
"""
"""Root on the serial line of the machine: who runs it sees how far it came."""

HOOKS = (
    'echo debian >"$1/etc/hostname"',
    'chroot "$1" passwd --delete root',
    'mkdir -p "$1/boot/efi" "$1/etc/systemd/system/serial-getty@ttyS0.service.d"',
    f'cat >"$1/etc/fstab" <<"END"\n{FSTAB}END\n',
    f'cat >"$1/etc/systemd/system/serial-getty@ttyS0.service.d/login.conf" <<"END"\n{LOGIN}END\n',
)
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")
MIB = 1 << 20


def debian_tar() -> Path:
    """Return a tar file of Debian's system, made by mmdebstrap; that takes minutes the first time."""
    if shutil.which("mmdebstrap") is None:
        pytest.skip("not installed: mmdebstrap")
    recipe = json.dumps([PACKAGES, HOOKS])
    path = CACHE / f"debian-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}.tar"
    if path.exists():
        return path
    CACHE.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(f".{os.getpid()}.tar")
    command = ["mmdebstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
    command += [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
    command += [f"--customize-hook={hook}" for hook in HOOKS]
    done = subprocess.run(
        [*command, "bookworm", new], check=False, capture_output=True, text=True, env={**os.environ, "PATH": SBIN}
    )
    if done.returncode:
        new.unlink(missing_ok=True)
        pytest.skip(f"mmdebstrap cannot make Debian here: {done.stderr.strip().splitlines()[-1:]}")
    return new.rename(path)


def debian_disk(target: Path) -> Path:
    """Make a GPT disk as Debian's installer would: an EFI system partition, and the rest is the root file system."""
    root = target.with_suffix(".ext4")
    make_image(debian_tar(), root, ImageOptions(label="debian"))
    size = root.stat().st_size
    with target.open("wb") as disk:
        disk.truncate(66 * MIB + size)
        script = f"label: gpt\nstart=1MiB,size=64MiB,type=uefi\nstart=65MiB,size={size // 512},type=linux\n"
        subprocess.run(["sfdisk", "-q", target], input=script, text=True, check=True, env={**os.environ, "PATH": SBIN})
        subprocess.run(
            ["mkfs.fat", "--offset", "2048", "-i", "abcd1234", target, str(64 << 10)],
            check=True,
            capture_output=True,
            env={**os.environ, "PATH": SBIN},
        )
        copy_into(root, disk, 65 * MIB)
    root.unlink()
    return target
