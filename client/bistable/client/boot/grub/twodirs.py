"""The environment of Mender's integration for GRUB, in the folders mender_grubenv1 and mender_grubenv2.

Each folder holds a copy: `env` with the variables, `lock` with the one variable `editing`, and `lock.sha256sum` for the
integration's own programs (the boot script does not look at it). `env` and `lock` are GRUB environment blocks.

The boot script goes by the locks, this way, and so do we:

| lock 2              | lock 1              | the state is in | the script then copies                 |
|---------------------|---------------------|-----------------|----------------------------------------|
| editing=0           | editing=0           | copy 1          | nothing                                |
| editing=0           | anything else       | copy 2          | copy 2 to copy 1, and frees lock 1     |
| anything else       | whatever            | copy 1          | copy 1 to copy 2, and frees lock 2     |

A change sets lock 2, writes copy 2, frees lock 2, and does the same with copy 1. A power cut leaves the old state until
lock 1 is set, and the new one from then on, whatever becomes of the file that is being written. If the state is in
copy 2, copy 1 is mended first, because it is what counts while copy 2 is written.

Files are written in place: the boot loader knows them by their blocks, and on FAT a new file is a change of three
places. Other processes are kept away with the same lock file that the integration's programs use.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final, Protocol

from bistable.client.boot.grub.block import SIZE, BadBlockError, decode_block, encode_block
from bistable.client.boot.grub.lock import take_lock
from bistable.client.errors import BootError

CONFIG: Final = Path("/etc/mender_grubenv.config")
KNOWN: Final = (
    Path("/boot/efi/grub-mender-grubenv"),
    Path("/boot/grub/grub-mender-grubenv"),
    Path("/boot/efi/EFI/BOOT"),
    Path("/boot/grub"),
)
"""Where the integration's programs look for the two folders, in this order."""

LOCK_FILE: Final = Path("/var/lock/grub-mender-grubenv-set.lock")
SETTING: Final = "boot.grub-directory"
COPIES: Final = ("mender_grubenv1", "mender_grubenv2")

_EDITING: Final = "editing"
_PROBE: Final = "bistable_probe"
_MOST_SUM: Final = 4096
_MADE_AGAIN: Final = "put the integration's files there again, or write the image of the device again"


class Files(Protocol):
    """The files of both copies. All calls raise BootError."""

    def read(self, name: str) -> bytes:
        """Return a file, such as `mender_grubenv1/env`; nothing if there is none."""

    def write(self, name: str, data: bytes) -> None:
        """Write a file in place, durably."""


class TwoDirectories:
    """The variables in two folders; `locked` keeps others away inside its block."""

    def __init__(self, files: Files, *, locked: Callable[[], AbstractContextManager[None]]) -> None:
        self._files, self._locked = files, locked

    @property
    def where(self) -> str:
        """The setting."""
        return f"the setting {SETTING}"

    def read(self) -> Mapping[str, str]:
        """Return the variables.

        Raises:
            BootError: they cannot be read; neither copy is valid.
        """
        return self._state()[1]

    def write(self, values: Mapping[str, str]) -> None:
        """Set all these variables at once, and read them back.

        Raises:
            BootError: they cannot be set, or are not what was set.
        """
        with self._locked():
            number, variables = self._state()
            if number == 1:
                self._put(0, variables)
            changed = {**variables, **values}
            for copy in (1, 0):
                self._put(copy, changed)
            if self._state() != (0, changed):
                raise BootError(
                    "cannot change the boot loader's environment: it does not read as it was written",
                    hint="the storage fails: look at the kernel's log (dmesg)",
                )

    def probe(self) -> None:
        """Set a variable that no boot script knows to another value than it has; `write` reads it back.

        Raises:
            BootError: that does not work.
        """
        self.write({_PROBE: "2" if self.read().get(_PROBE) == "1" else "1"})

    def faults(self) -> tuple[str, ...]:
        """Return which copies are being edited or damaged.

        Raises:
            BootError: they cannot be read.
        """
        found = []
        for number, folder in enumerate(COPIES):
            if self._editing(number):
                found.append(f"{folder} is not whole: its lock is held or damaged")
            try:
                decode_block(self._files.read(f"{folder}/env"))
            except BadBlockError as e:
                found.append(f"{folder}/env is damaged: {e}")
        return tuple(found)

    def _state(self) -> tuple[int, dict[str, str]]:
        """Return which copy counts, 0 or 1, and its variables.

        If that copy cannot be read although its lock is free, the script has nothing to go by, and then the other one
        is the best there is; the next change mends it.
        """
        first = 0 if self._editing(1) or not self._editing(0) else 1
        why = []
        for number in (first, 1 - first):
            try:
                return number, decode_block(self._files.read(f"{COPIES[number]}/env"))
            except BadBlockError as e:
                why.append(f"{COPIES[number]}/env: {e}")
        raise BootError(
            f"cannot read the boot loader's environment: neither copy is valid ({'; '.join(why)})", hint=_MADE_AGAIN
        )

    def _editing(self, number: int) -> bool:
        """Return whether the copy counts as being edited; a lock that cannot be read is as good as held."""
        try:
            return decode_block(self._files.read(f"{COPIES[number]}/lock")).get(_EDITING) != "0"
        except BadBlockError:
            return True

    def _put(self, number: int, variables: Mapping[str, str]) -> None:
        """Write one copy, under its lock."""
        folder = COPIES[number]
        try:
            data = encode_block(variables)
        except BadBlockError as e:
            raise BootError(f"cannot change the boot loader's environment: {e}") from e
        self._files.write(f"{folder}/lock", encode_block({_EDITING: "1"}))
        self._files.write(f"{folder}/env", data)
        free = encode_block({_EDITING: "0"})
        self._files.write(f"{folder}/lock", free)
        # The programs take a copy without a fitting sum for damaged, and "restore" it from the other one.
        digest = hashlib.sha256(free).hexdigest()
        if self._files.read(f"{folder}/lock.sha256sum")[:64] != digest.encode():
            self._files.write(f"{folder}/lock.sha256sum", f"{digest}  lock\n".encode())


class DirectoryFiles:
    """The files below a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self, name: str) -> bytes:
        """Return a file, as far as it can be valid; nothing if there is none."""
        try:
            with (self._directory / name).open("rb") as file:
                return file.read(max(SIZE, _MOST_SUM))
        except FileNotFoundError:
            return b""
        except OSError as e:
            raise BootError(
                f"cannot read the boot loader's environment: {e.filename}: {e.strerror or e}", hint=_MADE_AGAIN
            ) from e

    def write(self, name: str, data: bytes) -> None:
        """Write a file in place, durably: its blocks stay where they are."""
        path = self._directory / name
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                written = os.pwrite(file, data, 0)
                os.ftruncate(file, len(data))
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as e:
            raise BootError(
                f"cannot change the boot loader's environment: {path}: {e.strerror or e}",
                hint=f"check {SETTING}, and that its file system is mounted for writing",
            ) from e
        if written != len(data):
            raise BootError(f"cannot change the boot loader's environment: {path}: only a part was written")


@contextmanager
def lock_file(directory: Path, *, timeout: float, path: Path = LOCK_FILE) -> Iterator[None]:
    """Hold the lock of the integration's programs, or, where it cannot be made, one on the directory of the copies.

    Whoever has it is waited for, up to `timeout` seconds.

    Raises:
        BootError: it cannot be had.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError:
        path, file = directory, _directory(directory)
    try:
        take_lock(file, timeout=timeout, name=path)
        yield
    finally:
        os.close(file)


def _directory(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as e:
        raise BootError(
            f"cannot find the boot loader's environment: {path}: {e.strerror or e}", hint=f"check {SETTING}"
        ) from e


def find_directory(configured: Path | None, *, config: Path = CONFIG, known: tuple[Path, ...] = KNOWN) -> Path | None:
    """Return the directory with the two folders: the configured one, the integration's, or a known one."""
    if configured is not None:
        return configured
    with suppress(OSError):
        lines = config.read_text("utf-8", "replace").splitlines()
        named = [value.strip() for key, _, value in (line.partition("=") for line in lines) if key.strip() == "ENV_DIR"]
        if named and named[-1]:
            return Path(named[-1])
    return next((path for path in known if (path / COPIES[0]).is_dir()), None)
