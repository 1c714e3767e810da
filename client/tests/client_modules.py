"""Update modules that are small shell programs, and artifacts for them."""

import os
import select
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bistable.artifact import Codec, Extras, InputBytes, Options, module_request, write_artifact
from bistable.artifact.model import Header
from bistable.artifact.reader import ArtifactReader
from bistable.client.modules import Incoming, Limits, ModulePayload, Running

RUNNING = Running(artifact_name="release-0", device_type="board")
SHIPPED = Path(__file__).parent.parent / "dist" / "modules" / "v3"

TAKES_STREAMS = """
while file=$(cat stream-next) && [ -n "$file" ]; do
  cat "${file%% *}" > "tmp/$(basename "${file%% *}")"
done
"""


def gone(pid: int) -> bool:
    """Return whether a process ends, or has ended; the kernel may need a moment to end one that was killed."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 10)[0])
    finally:
        os.close(descriptor)


def shape(directory: Path) -> dict[str, tuple[str, int, bytes | None]]:
    """Return what is in a directory: path -> kind, permissions and content."""
    found: dict[str, tuple[str, int, bytes | None]] = {}
    for path in sorted(directory.rglob("*")):
        mode = path.lstat().st_mode
        kind = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFIFO: "fifo"}[stat.S_IFMT(mode)]
        content = path.read_bytes() if kind == "file" else None
        found[str(path.relative_to(directory))] = (kind, stat.S_IMODE(mode), content)
    return found


class Workshop:
    """A module, its tree, and the artifacts that are installed with them."""

    def __init__(self, place: Path, module: Path | None = None) -> None:
        self.place = place
        self.tree = place / "data/modules/v3/payloads/0000/tree"
        self.log = place / "log"
        self.module = module or place / "modules/mod"
        self.limits = Limits(call=60, grace=60)
        self.more: dict[str, Any] = {}

    def program(self, **calls: str) -> None:
        """Make the module a shell program that notes each call and then does what is given for it."""
        cases = "\n".join(f"{call})\n{does}\n;;" for call, does in calls.items())
        text = f"""#!/bin/sh
log='{self.log}'
tree=$2
echo "$1" >> "$log"
case "$1" in
{cases}
esac
"""
        self.module.parent.mkdir(exist_ok=True)
        self.module.write_text(text)
        self.module.chmod(0o755)

    def calls(self) -> list[str]:
        """Return the calls that were made so far."""
        return self.log.read_text().split() if self.log.exists() else []

    @contextmanager
    def reading(
        self, files: Mapping[str, bytes], *, damage: Callable[[bytes], bytes] = bytes, **more: Any
    ) -> Iterator[ArtifactReader]:
        """Give the reader of an artifact with these payload files; `damage` changes what is stored of it."""
        path = self.place / "artifact"
        items = [InputBytes(name=name, content=content) for name, content in files.items()]
        request = module_request(
            self.module.name,
            items,
            name="release-1",
            device_types=["board"],
            extras=more.pop("extras", Extras()),
            **more,
        )
        write_artifact(path, request, Options(codec=Codec.parse("none")))
        path.write_bytes(damage(path.read_bytes()))
        with path.open("rb") as file:
            yield ArtifactReader(file)

    def payload(self, header: Header | None = None) -> ModulePayload:
        """Return the payload, as a new process would see it."""
        incoming = None if header is None else Incoming(header=header, running=RUNNING)
        return ModulePayload(self.module, self.tree, limits=self.limits, incoming=incoming, **self.more)

    def download(self, files: Mapping[str, bytes], **more: Any) -> ModulePayload:
        """Download an artifact with these payload files."""
        with self.reading(files, **more) as reader:
            payload = self.payload(reader.read_head().header)
            payload.download(reader.files())
            reader.finish()
        return payload

    def stored(self, directory: str = "files") -> dict[str, bytes]:
        """Return the files of a directory of the tree."""
        return {path.name: path.read_bytes() for path in (self.tree / directory).iterdir()}


def open_descriptors() -> set[str]:
    """Return what this process has open."""
    return {str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink() and entry.exists()}


# --- modules that come with the client, or with the existing one


CUT = """#!/bin/sh
# Stands for a program that a module calls, and takes the module away when its time has come.
read -r count < "$CUT_COUNT" || count=0
count=$((count + 1))
echo "$count" > "$CUT_COUNT"
[ "$count.$CUT_WHEN" != "$CUT_AT.before" ] || {{ kill -KILL "$PPID"; exit 1; }}
{program} "$@"
status=$?
[ "$count.$CUT_WHEN" != "$CUT_AT.after" ] || kill -KILL "$PPID"
exit "$status"
"""
CHANGING = ("cp", "mv", "rm", "mkdir", "tar", "sync", "chmod", "docker", "podman-compose")


class PowerCuts:
    """Cuts the power before or after the n-th program that a module calls."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._place, self._patch = place, monkeypatch
        self._count = place / "count"

    def cover(self) -> None:
        """Put itself before the programs that are found now."""
        programs = self._place / "cuts"
        programs.mkdir(parents=True)
        for name in CHANGING:
            if (program := shutil.which(name)) is not None:
                # Whether the disk has it cannot be seen from here, only that the order of things is right.
                (programs / name).write_text(CUT.format(program="true" if name == "sync" else program))
                (programs / name).chmod(0o755)
        self._patch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        self._patch.setenv("CUT_COUNT", str(self._count))
        self.never()

    def at(self, number: int, when: str) -> None:
        """Cut at this call, counted from 1."""
        self._count.write_text("0\n")
        self._patch.setenv("CUT_AT", str(number))
        self._patch.setenv("CUT_WHEN", when)

    def never(self) -> None:
        """Let everything pass."""
        self.at(0, "never")

    def count(self) -> int:
        """Return how many programs were called since `at`."""
        return int(self._count.read_text())
