"""The devices that are compared: the same two loop devices, once under our client, once under Mender's."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from contest import Entry

MIB = 1 << 20
PEERS = Path(__file__).parent.parent / ".cache/peers/usr/bin"

HANDLER = """#!/bin/sh
# A boot loader that is a folder, with the verbs of RAUC's custom back end.
cd "{folder}" || exit 1
case "$1" in
  get-primary) read -r word < primary; echo "$word" ;;
  set-primary) echo "$2" > primary ;;
  get-current) echo a ;;
  get-state) read -r word < "state-$2"; echo "$word" ;;
  set-state) echo "$3" > "state-$2" ;;
  *) exit 1 ;;
esac
"""

PRINTENV = """#!/bin/sh
[ $# -eq 0 ] && set -- $(ls /log/env)
for key in "$@"; do
  [ -f "/log/env/$key" ] && read -r word < "/log/env/$key" && echo "$key=$word"
done
exit 0
"""

SETENV = """#!/bin/sh
sed 's/[= ]/ /' | while read -r key value; do
  [ -z "$key" ] || echo "$value" > "/log/env/$key"
done
"""

DIGEST = """
import hashlib, sys
digest = hashlib.sha256()
while block := sys.stdin.buffer.raw.read(1 << 20):
    digest.update(block)
"""


def shell(text: str) -> list[str]:
    """Return a command for a shell that stops at the first failure."""
    return ["bash", "-euo", "pipefail", "-c", text]


class Bench:
    """The scratch folder with images, artifacts, keys and slots, as a context manager."""

    def __init__(self, work: Path, disk: Path, image: Path, *, python: Path) -> None:
        self.work, self.disk, self._image, self.python = work, disk, image, python
        self._nodes: list[str] = []
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        self.disk.mkdir(exist_ok=True, parents=True)
        old = self.work / "old"
        # What a slot holds before: an image of which no piece is the new one's.
        subprocess.run(
            shell(f"openssl enc -aes-128-ctr -K 00 -iv 00 -in /dev/zero 2>/dev/null | head -c 1G > {old} || true"),
            check=True,
        )
        for name in ("slot-a", "slot-b"):
            with (self.work / name).open("wb") as file:
                file.truncate(1024 * MIB)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in reversed(self._processes):
            process.terminate()
            process.wait()
        for node in self._nodes:
            subprocess.run(["losetup", "--detach", node], check=True)
        for folder in (self.work, self.disk):
            shutil.rmtree(folder, ignore_errors=True)

    def started(self, process: "subprocess.Popen[bytes]") -> None:
        """End this process with the benchmark."""
        self._processes.append(process)

    @cached_property
    def loops(self) -> tuple[Path, Path]:
        """The two slots, as block devices."""
        for name in ("slot-a", "slot-b"):
            made = subprocess.run(
                ["losetup", "--find", "--show", self.work / name], check=True, capture_output=True, text=True
            )
            self._nodes.append(made.stdout.strip())
        return Path(self._nodes[0]), Path(self._nodes[1])

    def image(self, mib: int) -> Path:
        """Return the first MiB of the image."""
        path = self.work / f"image-{mib}"
        if not path.exists():
            with self._image.open("rb") as source, path.open("wb") as target:
                for _ in range(mib):
                    target.write(source.read(MIB))
        return path

    def artifact(self, mib: int, codec: str, *, signed: bool = False) -> Path:
        """Return an artifact of ours."""
        path = self.work / f"{codec}-{mib}{'-signed' if signed else ''}.mender"
        if not path.exists():
            command = [self.python.with_name("bistable"), "artifact", "write", "rootfs", "-f", self.image(mib)]
            command += ["-n", "release-2", "-t", "bench", "--compression", codec, "-o", path, "--no-progress"]
            subprocess.run(command + (["--key", self.key] if signed else []), check=True, stdout=subprocess.DEVNULL)
        return path

    @cached_property
    def key(self) -> Path:
        """A key that signs; the public one has the same name with .pub."""
        key = self.work / "key.pem"
        subprocess.run(["openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", key], check=True)
        subprocess.run(
            ["openssl", "ec", "-in", key, "-pubout", "-out", key.with_suffix(".pub")], check=True, capture_output=True
        )
        return key

    @cached_property
    def ours(self) -> "OurDevice":
        """Our client, on loop devices."""
        return OurDevice(self, "ours", *self.loops)

    @cached_property
    def ours_on_files(self) -> "OurDevice":
        """Our client, on files of a file system on a disk."""
        for name in ("a", "b"):
            with (self.disk / name).open("wb") as file:
                file.truncate(1024 * MIB)
        return OurDevice(self, "files", self.disk / "a", self.disk / "b")

    @cached_property
    def ours_signed(self) -> "OurDevice":
        """Our client, which believes signed artifacts only."""
        return OurDevice(self, "ours-signed", *self.loops, key=self.key.with_suffix(".pub"))

    @cached_property
    def mender(self) -> "MenderDevice":
        """Mender's client."""
        return MenderDevice(self, "mender")

    @cached_property
    def mender_signed(self) -> "MenderDevice":
        """Mender's client, which believes signed artifacts only."""
        return MenderDevice(self, "mender-signed", key=self.key.with_suffix(".pub"))

    def nothing(self) -> Entry:
        """Return the shortest program in Python."""
        return Entry(name="python -c pass", command=[self.python, "-c", "pass"])

    def soil(self, target: Path, mib: int) -> None:
        """Write something else to where the image goes; nothing stays dirty."""
        subprocess.run(
            ["dd", f"if={self.work / 'old'}", f"of={target}", "bs=1M", f"count={mib}", "conv=fsync,notrunc"],
            check=True,
            capture_output=True,
        )

    def holds(self, target: Path, mib: int) -> bool:
        """Say whether the target holds the image."""
        return _digest(target, mib) == _digest(self.image(mib), mib)


def _digest(path: Path, mib: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        for _ in range(mib):
            digest.update(file.read(MIB))
    return digest.hexdigest()


class OurDevice:
    """A device with our client: two slots, and a boot loader that is a program."""

    def __init__(self, bench: Bench, name: str, a: Path, b: Path, *, key: Path | None = None) -> None:
        self._bench, self._b = bench, b
        self._folder = bench.work / name
        self._folder.mkdir()
        handler = self._folder / "handler"
        handler.write_text(HANDLER.format(folder=self._folder))
        handler.chmod(0o755)
        trust = "" if key is None else f'[trust]\nverify-keys = ["{key}"]\n'
        self._config = self._folder / "bistable.toml"
        self._config.write_text(
            f'[device]\ntype = "bench"\ndata-dir = "{self._folder}/data"\n'
            f'artifact-info-file = "{self._folder}/artifact_info"\n'
            f'[slots]\na = "{a}"\nb = "{b}"\n[boot]\nbackend = "custom"\nhandler = "{handler}"\n{trust}'
        )
        (self._folder / "artifact_info").write_text("artifact_name=release-1\n")
        # As on a device that was set up: what the first command of all has to find out is known.
        (self._folder / "data").mkdir()
        subprocess.run([*self._program, "rollback", "--config", self._config], check=False, capture_output=True)
        (self._folder / "data").rename(self._folder / "settled")
        self._reset()

    def install(self, name: str, artifact: Path, mib: int) -> Entry:
        """Return the command that installs an artifact."""

        def before() -> None:
            self._reset()
            self._bench.soil(self._b, mib)

        return Entry(
            name=name,
            command=[*self._program, "install", artifact, "--config", self._config],
            before=before,
            holds=lambda: self._bench.holds(self._b, mib),
        )

    def install_with_zlib(self, name: str, artifact: Path, mib: int) -> Entry:
        """Return the command that installs an artifact with the standard library's zlib, whatever else there is."""
        words = "import sys; sys.modules['zlib_ng'] = None; from bistable.client.ctl import main; main()"
        entry = self.install(name, artifact, mib)
        return replace(entry, command=[self._bench.python, "-c", words, *entry.command[1:]])

    def command(self, word: str) -> Entry:
        """Return a short command."""
        return Entry(name=f"bistablectl {word}", command=[*self._program, word, "--config", self._config])

    @property
    def _program(self) -> list[Path | str]:
        return [self._bench.python.with_name("bistablectl")]

    def _reset(self) -> None:
        shutil.rmtree(self._folder / "data", ignore_errors=True)
        shutil.copytree(self._folder / "settled", self._folder / "data")
        for name, text in {"primary": "a", "state-a": "good", "state-b": "good"}.items():
            (self._folder / name).write_text(text + "\n")


class MenderDevice:
    """A root file system with Mender's client, which has the two loop devices for its slots."""

    def __init__(self, bench: Bench, name: str, *, key: Path | None = None) -> None:
        self._bench = bench
        self._root = bench.work / name
        for folder in ("bin", "dev", "tmp", "log/env", "etc/mender/scripts", "var/lib/mender"):
            (self._root / folder).mkdir(parents=True)
        mender, busybox = _find("mender"), _find("busybox")
        self._programs(mender, busybox)
        for node, place in zip(bench.loops, ("active1", "passive2"), strict=True):
            os.mknod(self._root / "dev" / place, 0o60600, node.stat().st_rdev)
        (self._root / "dev/null").touch()
        (self._root / "etc/mender/artifact_info").write_text("artifact_name=release-1\n")
        (self._root / "var/lib/mender/device_type").write_text("device_type=bench\n")
        settings = {"ServerURL": "https://nowhere", "RootfsPartA": "/dev/active1", "RootfsPartB": "/dev/passive2"}
        if key is not None:
            shutil.copy(key, self._root / "etc/mender/key.pem")
            settings["ArtifactVerifyKey"] = "/etc/mender/key.pem"
        (self._root / "etc/mender/mender.conf").write_text(json.dumps(settings))
        subprocess.run(
            ["chroot", self._root, "/bin/mender", "--no-syslog", "show-provides"], check=False, capture_output=True
        )
        (self._root / "var/lib/mender").rename(self._root / "settled")

    def _programs(self, mender: Path, busybox: Path) -> None:
        for program, name in ((mender, "mender"), (busybox, "busybox")):
            shutil.copy(program, self._root / "bin" / name)
            listed = subprocess.run(["ldd", program], check=False, capture_output=True, text=True).stdout
            for library in filter(lambda path: Path(path).is_file(), re.findall(r"/\S+", listed)):
                (self._root / library[1:]).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(library, self._root / library[1:])
        for applet in ("sh", "cat", "ls", "sed"):
            (self._root / "bin" / applet).symlink_to("busybox")
        mount = "#!/bin/sh\necho '/dev/active1 on / type ext4 (rw)'\n"
        for name, text in {"fw_printenv": PRINTENV, "fw_setenv": SETENV, "mount": mount}.items():
            (self._root / "bin" / name).write_text(text)
            (self._root / "bin" / name).chmod(0o755)

    def install(self, name: str, artifact: Path, mib: int) -> Entry:
        """Return the command that installs an artifact."""
        inside = self._root / artifact.name
        if not inside.exists():
            inside.hardlink_to(artifact)
        target = self._bench.loops[1]

        def before() -> None:
            self._reset()
            self._bench.soil(target, mib)

        return Entry(
            name=name,
            command=["chroot", self._root, "/bin/mender", "--no-syslog", "install", f"/{artifact.name}"],
            before=before,
            holds=lambda: self._bench.holds(target, mib),
        )

    def _reset(self) -> None:
        for key, value in {"mender_boot_part": "1", "upgrade_available": "0"}.items():
            (self._root / "log/env" / key).write_text(value + "\n")
        shutil.rmtree(self._root / "var/lib/mender", ignore_errors=True)
        shutil.copytree(self._root / "settled", self._root / "var/lib/mender")


def _find(program: str) -> Path:
    found = shutil.which(program, path=f"{PEERS}:{os.environ['PATH']}")
    if found is None:
        raise SystemExit(f"client.py: cannot find {program}: install it")
    return Path(found)


def three_steps(bench: Bench, label: str, mib: int) -> Entry:
    """Return the least that installing takes: zstd, a SHA-256 and dd, one after the other, nothing between them."""
    target = bench.loops[1]
    text = (
        f"zstd -qdc {_packed(bench, mib)} >/dev/null; openssl dgst -sha256 {bench.image(mib)} >/dev/null; "
        f"dd if={bench.image(mib)} of={target} bs=1M oflag=direct conv=fsync,notrunc 2>/dev/null"
    )
    return Entry(
        name=f"zstd -d, openssl dgst and dd, {label}",
        command=shell(text),
        before=lambda: bench.soil(target, mib),
        holds=lambda: bench.holds(target, mib),
    )


def three_in_a_pipe(bench: Bench, label: str, mib: int) -> Entry:
    """Return the same three, with pipes between them: what a shell script would be."""
    target, pipe = bench.loops[1], bench.work / "pipe"
    if not pipe.exists():
        os.mkfifo(pipe)
    # Waited for, since what nobody waits for is not counted.
    text = (
        f"openssl dgst -sha256 {pipe} >/dev/null & zstd -qdc {_packed(bench, mib)} | tee {pipe} "
        f"| dd of={target} bs=1M iflag=fullblock oflag=direct conv=fsync,notrunc 2>/dev/null; wait $!"
    )
    return Entry(
        name=f"the same with pipes between them, {label}",
        command=shell(text),
        before=lambda: bench.soil(target, mib),
        holds=lambda: bench.holds(target, mib),
    )


def _packed(bench: Bench, mib: int) -> Path:
    packed = bench.work / f"payload-{mib}.zst"
    if not packed.exists():
        subprocess.run(["zstd", "-q", "-3", bench.image(mib), "-o", packed], check=True)
    return packed
