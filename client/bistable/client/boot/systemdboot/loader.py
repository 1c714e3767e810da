"""systemd-boot, as an update sees it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from bistable.artifact.errors import MachineError
from bistable.client.boot.efi.efivars import Variables
from bistable.client.boot.placing import LEFT_OVER, Kernel, kernel_files, place_files, probe_directory, slot_arguments
from bistable.client.boot.ports import Booted, SlotStatus, check_known
from bistable.client.boot.systemdboot.entries import (
    Entry,
    chosen,
    entry_name,
    in_order,
    parse_entry,
    render_entry,
    table_of,
)
from bistable.client.boot.table import Table, check_tries
from bistable.client.errors import BootError, ClientError
from bistable.client.files import read_limited, rename, replacing, sync_directory
from bistable.client.model import SlotName

VENDOR: Final = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
"""Of systemd-boot's EFI variables. systemd-boot(7)"""

SELECTED: Final = "LoaderEntrySelected"
DEFAULT: Final = "LoaderEntryDefault"
NULL: Final = Path("/dev/null")
MASK: Final = Path("/etc/systemd/system/systemd-bless-boot.service")
BLESSERS: Final = tuple(
    Path(place, "systemd-bless-boot.service") for place in ("/usr/lib/systemd/system", "/lib/systemd/system")
)

_MOST_CONTENT: Final = 64 * 1024


class EntryFiles(Protocol):
    """The directory of the entries; a change is durable when it returns. All calls raise BootError."""

    def names(self) -> Sequence[str]:
        """Return the names of all files."""

    def read(self, name: str) -> bytes:
        """Return the content of a file."""

    def write(self, name: str, content: bytes) -> None:
        """Make or replace a file, as a whole or not at all."""

    def rename(self, name: str, new: str) -> None:
        """Give a file another name."""

    def remove(self, name: str) -> None:
        """Remove a file."""


class SystemdBootloader:
    """`directory` is the mounted boot partition; `booted`, where given, says which slot runs."""

    def __init__(
        self,
        directory: Path,
        entries: EntryFiles,
        names: tuple[SlotName, SlotName],
        *,
        tries: int,
        kernel: Kernel,
        variables: Variables,
        booted: Booted | None = None,
    ) -> None:
        self._directory, self._files, self._names = directory, entries, names
        self._trial, self._kernel, self._variables = check_tries(tries), kernel, variables
        self._booted = booted

    def primary(self) -> SlotName:
        """Return the slot that the next boot tries first."""
        for entry in in_order(self._entries()):
            return entry.slot
        raise BootError(
            f"cannot tell what the next boot tries: there is no entry of a slot on {self._directory}",
            hint="confirm the slot that runs with `bistablectl doctor` at hand, or write its entry again",
        )

    def forbid(self, slot: SlotName) -> None:
        """Remove the slot's entry."""
        self._change(lambda table: table.forbid(slot, booted=self._running()))

    def activate(self, slot: SlotName) -> None:
        """Write an entry with all tries, before all others."""
        check_known(slot, self._names)
        self._change(lambda table: table.activate(slot, tries=self._trial, booted=self._running()))

    def confirm(self, slot: SlotName) -> None:
        """Take the counter off the running slot's entry."""
        self._change(lambda table: table.confirm(slot, booted=self._running()))

    def restore(self, slot: SlotName) -> None:
        """Have an entry for this slot only."""
        self._change(lambda table: table.restore(slot, booted=self._running()))

    def rearm(self, slot: SlotName) -> None:
        """Give the running trial's entry all its tries again."""
        self._change(lambda table: table.rearm(slot, tries=self._trial, booted=self._running()))

    def status(self, slot: SlotName) -> SlotStatus:
        """Return what the slot's entry says."""
        return table_of(self._entries(), self._names).status(slot)

    def place(self, slot: SlotName, root: Path) -> None:
        """Copy kernel and initial RAM disk of the new system to where the slot's entry has them."""
        check_known(slot, self._names)
        self._options(slot)
        place_files(kernel_files(root, self._kernel), self._folder(slot))

    def probe(self) -> None:
        """Write a file that means nothing to the boot partition."""
        probe_directory(self._directory)

    def check_canary(self) -> None:
        """Raise BootError unless systemd-boot says that it started an entry of the running slot."""
        running = self._running()
        selected = self._variables.text(SELECTED, VENDOR)
        if selected is None:
            raise BootError(
                f"cannot rely on {self._directory}: nothing shows that systemd-boot started this system "
                f"(there is no EFI variable {SELECTED})",
                hint="start it with systemd-boot, and mount efivarfs at /sys/firmware/efi/efivars",
            )
        name = selected if selected.lower().endswith(".conf") else f"{selected}.conf"
        entry = parse_entry(name, b"")
        if entry is None or (running is not None and entry.slot != running):
            raise BootError(
                f"cannot rely on {self._directory}: systemd-boot started {selected!r}, which is no entry of "
                f"the running slot {running}",
                hint="set boot.directory to the partition from which systemd-boot takes its entries",
            )

    def faults(self) -> tuple[str, ...]:
        """Return what would start another system than the one that is counted, or confirm one too early."""
        found = []
        if self._variables.text(DEFAULT, VENDOR) is not None:
            found.append(f"the EFI variable {DEFAULT} is set: systemd-boot starts that entry, whatever is counted")
        if _has_default(self._directory / "loader/loader.conf"):
            found.append("loader.conf names a default: systemd-boot starts that entry, whatever is counted")
        others = [name for name in self._files.names() if name.endswith(".conf") and parse_entry(name, b"") is None]
        if others:
            found.append(f"there are other entries, which may come before ours: {', '.join(sorted(others))}")
        if any(path.exists() for path in BLESSERS) and MASK.resolve() != NULL:
            found.append("systemd-bless-boot.service is not masked: it confirms a trial without asking this client")
        return tuple(found)

    # --- entries

    def _running(self) -> SlotName | None:
        return self._booted() if self._booted is not None else None

    def _entries(self) -> list[Entry]:
        found = []
        for name in self._files.names():
            if parse_entry(name, b"") is not None:
                entry = parse_entry(name, self._files.read(name))
                found += [entry] if entry is not None and entry.slot in self._names else []
        return found

    def _change(self, change: Callable[[Table], Table]) -> None:
        table = table_of(self._entries(), self._names)
        wanted = change(table)
        if wanted == table:
            return
        # What is good comes first, what must not be booted goes next: so there is always a good one.
        for slot in wanted.order:
            if slot in wanted.good:
                self._count(slot, None)
        for slot in wanted.names:
            if slot not in wanted.order:
                self._remove([entry for entry in self._entries() if entry.slot == slot])
        for slot in wanted.order:
            if slot not in wanted.good:
                self._count(slot, wanted.tries[slot])
        self._put_first(wanted.order[0])

    def _count(self, slot: SlotName, left: int | None) -> None:
        """Have one entry of the slot, with this counter."""
        entries = self._entries()
        mine = [entry for entry in entries if entry.slot == slot]
        best, name = chosen(mine).get(slot), entry_name(slot, left)
        if best is None:
            self._write(slot, left, entries)
        elif best.left != left:
            self._files.rename(best.name, name)
        self._remove([entry for entry in mine if best is not None and entry.name not in {best.name, name}])

    def _put_first(self, slot: SlotName) -> None:
        """Give the slot's entry the highest version."""
        entries = self._entries()
        (mine,) = (entry for entry in entries if entry.slot == slot)
        if any(entry.version >= mine.version for entry in entries if entry.slot != slot):
            self._write(slot, mine.left, entries)
            # A counter that has begun has another name than one that begins.
            self._remove([mine] if mine.name != entry_name(slot, mine.left) else [])

    def _remove(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._files.remove(entry.name)

    def _write(self, slot: SlotName, left: int | None, entries: Sequence[Entry]) -> None:
        """Write an entry that comes before all others."""
        options = self._options(slot)
        if not (self._folder(slot) / "linux.efi").is_file():
            raise BootError(
                f"cannot make an entry for slot {slot}: {self._folder(slot) / 'linux.efi'} is not there",
                hint="install the update again",
            )
        version = max((entry.version for entry in entries), default=0) + 1
        initrd = self._kernel.initrd is not None
        content = render_entry(slot, version=version, options=options, initrd=initrd)
        self._files.write(entry_name(slot, left), content)

    def _folder(self, slot: SlotName) -> Path:
        return self._directory / "EFI/bistable" / slot

    def _options(self, slot: SlotName) -> str:
        return slot_arguments(self._folder(slot) / "options", slot)


class DirectoryEntries:
    """The entries in a directory of the mounted boot partition."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def names(self) -> Sequence[str]:
        """Return the names of all files."""
        try:
            return sorted(path.name for path in self._directory.iterdir() if not path.name.startswith("."))
        except OSError as e:
            raise BootError(
                f"cannot read the entries of systemd-boot: {self._directory}: {e.strerror or e}",
                hint="mount the boot partition, and set boot.directory if that is elsewhere",
            ) from e

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        try:
            return read_limited(self._directory / name, _MOST_CONTENT)
        except (OSError, ClientError) as e:
            raise BootError(f"cannot read the entries of systemd-boot: {self._directory / name}: {e}") from e

    def write(self, name: str, content: bytes) -> None:
        """Make or replace a file."""
        try:
            for left_over in self._directory.glob(LEFT_OVER):
                left_over.unlink()
            with replacing(self._directory / name) as file:
                file.write(content)
        except (OSError, MachineError) as e:
            raise _cannot_change(e) from e

    def rename(self, name: str, new: str) -> None:
        """Give a file another name."""
        try:
            rename(self._directory / name, self._directory / new)
        except OSError as e:
            raise _cannot_change(e) from e

    def remove(self, name: str) -> None:
        """Remove a file."""
        try:
            (self._directory / name).unlink()
            sync_directory(self._directory)
        except OSError as e:
            raise _cannot_change(e) from e


def _cannot_change(error: Exception) -> BootError:
    return BootError(
        f"cannot change the entries of systemd-boot: {error}",
        hint="check that the boot partition is mounted for writing and not full",
    )


def _has_default(path: Path) -> bool:
    try:
        lines = read_limited(path, _MOST_CONTENT).decode("utf-8", "replace").splitlines()
    except (OSError, ClientError):
        return False
    return any(line.split()[:1] == ["default"] for line in lines)
