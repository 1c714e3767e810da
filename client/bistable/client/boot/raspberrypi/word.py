"""The argument of the next restart, which only lasts until then."""

from pathlib import Path
from typing import Final

from bistable.artifact.errors import MachineError
from bistable.client.errors import BootError
from bistable.client.files import make_directory, read_limited, replacing
from bistable.client.system import SYSTEMD_RUNS

TRYBOOT: Final = "0 tryboot"
"""Partition 0 is the default one: the argument names a partition first. Raspberry Pi documentation, "autoboot.txt"."""

SYSTEMDS: Final = Path("/run/systemd/reboot-param")
"""From here systemd takes the argument of any restart, whoever asks for it. systemd, reboot-util.c"""

OURS: Final = Path("/run/bistable/reboot-argument")
_LONGEST: Final = 256


def usual_place() -> Path:
    """Return where the argument is kept on this system."""
    return SYSTEMDS if SYSTEMD_RUNS.is_dir() else OURS


class Word:
    """The word `tryboot` in a file that a restart removes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def is_said(self) -> bool:
        """Return whether the next restart is one with the word.

        Raises:
            BootError: the file cannot be read.
        """
        try:
            return read_limited(self._path, _LONGEST).strip() == TRYBOOT.encode()
        except FileNotFoundError:
            return False
        except OSError as e:
            raise BootError(f"cannot read {self._path}: {e.strerror or e}") from e

    def say(self) -> None:
        """Have the next restart be one with the word.

        Raises:
            BootError: that cannot be kept.
        """
        try:
            make_directory(self._path.parent)
            with replacing(self._path) as file:
                file.write(TRYBOOT.encode())
        except (OSError, MachineError) as e:
            raise BootError(f"cannot prepare the restart: {e}") from e

    def take_back(self) -> None:
        """Have the next restart be one without it; what others left in the file stays.

        Raises:
            BootError: the file cannot be removed.
        """
        if not self.is_said():
            return
        try:
            self._path.unlink()
        except OSError as e:
            raise BootError(f"cannot remove {self._path}: {e.strerror or e}") from e
