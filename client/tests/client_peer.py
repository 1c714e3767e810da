"""Two devices that are alike: on one runs Debian's mender client 3.4.0, on the other ours. Both write down every call.

Each is a directory to chroot into, in a mount namespace of its own: what the clients see of it has the same paths.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from peers import needs
from test_peer_client import BUSYBOX, Device, as_root

from bistable.artifact import Script

REPOSITORY = Path(__file__).parent.parent.parent
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
MARKS = [
    *needs("mender"),
    pytest.mark.skipif(BUSYBOX is None, reason="the program busybox is not installed"),
]
APPLETS = ("env", "readlink", "stat", "sleep", "sync", "mv", "dd", "tr")

RECORD = r"""
record() {
  {
    input=
    read -r input
    echo "call $1
arguments $2
directory $(pwd)
input $(readlink /proc/self/fd/0) $input"
    env
    [ ! -d header ] || stat -c 'entry %A %n' . * */*
  } >> /log/trace 2> /dev/null
}
fails() {
  [ -e "/log/fails/$1" ]
}
again() {
  # A script asks to be run again as often as its file has lines.
  if [ -s "/log/again/$1" ]; then
    sed -i 1d "/log/again/$1"
    exit 21
  fi
}
"""

MODULE = f"""#!/bin/sh
{RECORD}
record "module $1" "$# $2"
if [ "$1" = Download ] && [ -e /log/streams ]; then
  while file=$(cat stream-next) && [ -n "$file" ]; do
    [ ! -e /log/dies ] || kill -9 $$
    cat "$file" > "tmp/${{file#streams/}}"
  done
fi
[ ! -f "/log/answers/$1" ] || cat "/log/answers/$1"
if fails "$1"; then exit 1; fi
exit 0
"""

SCRIPT = f"""#!/bin/sh
{RECORD}
name=${{0##*/}}
record "script $name" "$#"
again "$name"
if fails "$name"; then exit 1; fi
exit 0
"""

PIPES = ("streams", "stream-next")
LATE = (*PIPES, "files")
"""What is there during Download a moment sooner or later, as the Mender client makes it while the module runs."""

ARTIFACT_STATES = {
    "ArtifactInstall": ("Enter", "Leave", "Error"),
    "ArtifactReboot": ("Enter", "Leave", "Error"),
    "ArtifactCommit": ("Enter", "Leave", "Error"),
    "ArtifactRollback": ("Enter", "Leave"),
    "ArtifactRollbackReboot": ("Enter", "Leave"),
    "ArtifactFailure": ("Enter", "Leave"),
}
SYSTEM_STATES = {"Download": ("Enter", "Leave", "Error"), "Idle": ("Enter", "Leave"), "Sync": ("Enter", "Leave")}
NUMBERS = ("00", "01_second")


def names_of(states: Mapping[str, Sequence[str]]) -> list[str]:
    return [f"{state}_{action}_{number}" for state in states for action in states[state] for number in NUMBERS]


def artifact_scripts() -> list[Script]:
    """Return two scripts for each state and action that an artifact may have."""
    return [Script(name=name, content=SCRIPT.encode()) for name in names_of(ARTIFACT_STATES)]


@dataclass(kw_only=True)
class Call:
    """One call of the module or of a script, and what it found."""

    name: str
    facts: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    entries: list[str] = field(default_factory=list)


class Peer(Device):
    """The device with the real client, and everything that both have."""

    data = Path("var/lib/mender")

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        for applet in APPLETS:
            (root / "bin" / applet).symlink_to("busybox")
        for folder in ("log/again", "log/fails", "log/answers", "proc", "var/lib/bistable", "etc/bistable"):
            (root / folder).mkdir(parents=True)
        self.program("usr/share/mender/modules/v3/mod", MODULE)
        self._mounts = [("/dev/null", root / "dev/null"), ("/proc", root / "proc")]
        for place in self.host_places():
            self._share(place)
        (root / "log/cmdline").write_text("quiet\n")
        self.boots = 0
        self.reboot()
        self.configure()

    def reboot(self) -> None:
        """Have the kernel say that this is another boot."""
        self.boots += 1
        (self.log / "boot_id").write_text(f"00000000-0000-4000-8000-{self.boots:012}\n")

    def host_places(self) -> list[tuple[str, str]]:
        """Return what is shared with the machine: source and place. The libraries are the same for both clients."""
        return [("/usr/lib", "lib"), ("/usr/lib", "usr/lib")]

    def _share(self, pair: tuple[str, str]) -> None:
        source, place = Path(pair[0]), self.root / pair[1]
        if source.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
        self._mounts.append((str(source), place))

    def add_scripts(self) -> None:
        """Give the root file system two scripts for each state and action."""
        for name in names_of(SYSTEM_STATES):
            self.program(f"etc/mender/scripts/{name}", SCRIPT)
        (self.root / "etc/mender/scripts/version").write_text("3")

    def client(self, *words: str) -> CompletedProcess[str]:
        return self.run([*self.program_words(), *words])

    def start(self, *words: str, variables: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
        """Start the client; its process is the one that is started."""
        return subprocess.Popen(
            self.command([*self.program_words(), *words]),
            env=self.environment_of(variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def program_words(self) -> list[str]:
        return ["/bin/mender", "--no-syslog"]

    def run(self, command: Sequence[str], variables: Mapping[str, str] | None = None) -> CompletedProcess[str]:
        """Run a command on the device."""
        return subprocess.run(
            self.command(command),
            env=self.environment_of(variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def environment_of(self, variables: Mapping[str, str] | None) -> dict[str, str]:
        return {"PATH": PATH, "HOME": "/", "OF_THE_CALLER": "x"} if variables is None else dict(variables)

    def command(self, words: Sequence[str]) -> list[str]:
        """Return the command that runs `words` on the device."""
        mounts = [f"mount --rbind {source} {shlex.quote(str(place))}" for source, place in self._mounts]
        for fake, place in (("cmdline", "cmdline"), ("boot_id", "sys/kernel/random/boot_id")):
            mounts.append(f"mount --bind {self.root}/log/{fake} {self.root}/proc/{place}")
        # A shell that was started without PATH must still find mount and chroot.
        lines = ["set -e", *(f"PATH={PATH} {line}" for line in mounts), f'exec /usr/sbin/chroot {self.root} "$@"']
        return [*(as_root() or ["/usr/bin/unshare"]), "--mount", "/bin/sh", "-c", "\n".join(lines), "sh", *words]

    # --- what a scenario sets, and what can be seen afterwards

    def answer(self, call: str, text: str) -> None:
        (self.log / "answers" / call).write_text(text)

    def fail(self, *names: str) -> None:
        for name in names:
            (self.log / "fails" / name).touch()

    def trace(self) -> list[Call]:
        """Return the calls so far."""
        calls: list[Call] = []
        path = self.log / "trace"
        for line in path.read_text().splitlines() if path.exists() else []:
            kind, _, rest = line.partition(" ")
            name, equals, value = line.partition("=")
            if kind == "call":
                calls.append(Call(name=rest))
            elif kind == "entry":
                calls[-1].entries.append(rest)
            elif kind in {"arguments", "directory", "input"}:
                calls[-1].facts[kind] = self.portable(rest)
            else:
                assert equals, line
                calls[-1].variables[name] = self.portable(value)
        for call in calls:
            late = LATE if call.name == "module Download" else PIPES
            call.entries = [entry for entry in call.entries if not entry.split(" ")[1].startswith(late)]
        return calls

    def portable(self, text: str) -> str:
        """Return a text without what only tells where the client's data are."""
        return text.replace(f"/{self.data}", "DATA")

    def names(self) -> list[str]:
        return [call.name for call in self.trace()]

    def provides(self) -> dict[str, str]:
        lines = self.client("show-provides").stdout.splitlines()
        found = dict(line.split("=", 1) for line in lines if "=" in line)
        # Of a device that was never updated only the other command knows the name.
        found.setdefault("artifact_name", self.client("show-artifact").stdout.strip())
        return dict(sorted(found.items()))


def _links_of(path: Path) -> Iterator[Path]:
    """Yield what the links at `path` lead to, one after the other; the distribution's Python is behind several."""
    while path.is_symlink():
        path = path.parent / path.readlink()
        yield path


class Ours(Peer):
    """The device with our client."""

    data = Path("var/lib/bistable")

    def host_places(self) -> list[tuple[str, str]]:
        base = Path(sys.base_prefix)
        python = list(_links_of(Path(sys.executable))) if base == Path("/usr") else [base]
        found = dict.fromkeys([*map(str, python), str(REPOSITORY), sys.prefix])
        inside = {place for place in found if any(Path(other) in Path(place).parents for other in found)}
        return [*super().host_places(), *((place, place[1:]) for place in found if place not in inside)]

    def program_words(self) -> list[str]:
        return [sys.executable, "-m", "bistable.client.ctl"]

    def configure_own(self, text: str) -> None:
        """Write our own configuration, which goes over mender.conf."""
        (self.root / "etc/bistable/bistable.toml").write_text(text)

    def provides(self) -> dict[str, str]:
        done = self.client("provides", "--json")
        assert done.returncode == 0, done.stderr
        found: dict[str, str] = json.loads(done.stdout)["provides"]
        return dict(sorted(found.items()))

    def status(self) -> dict[str, Any]:
        done = self.client("status", "--json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found


def take_over_files(source: Device, target: Device, names: Iterable[str]) -> None:
    """Copy files from one device to another."""
    for name in names:
        place = target.root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source.root / name, place)


def require_namespaces() -> None:
    """Skip a test where no user may make a mount namespace."""
    probe = [*(as_root() or ["unshare"]), "--mount", "true"]
    if subprocess.run(probe, capture_output=True, env=dict(os.environ), check=False).returncode:
        pytest.skip("a chroot with mounts needs root, or a kernel that lets users have their own namespaces")
