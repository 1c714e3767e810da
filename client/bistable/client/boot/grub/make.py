"""The environments of GRUB, made from the settings."""

from collections.abc import Sequence
from pathlib import Path

from bistable.client.boot.grub.copies import valid_copy
from bistable.client.boot.grub.environment import SETTING, GrubEnvironment, RawBlocks
from bistable.client.boot.grub.twodirs import KNOWN, DirectoryFiles, TwoDirectories, find_directory, lock_file
from bistable.client.boot.grub.twodirs import SETTING as DIRECTORY_SETTING
from bistable.client.boot.places import find_place
from bistable.client.errors import BootError, ConfigError
from bistable.client.model import SlotName


def make_copies(copies: Sequence[str], names: tuple[SlotName, SlotName], *, timeout: float) -> GrubEnvironment:
    """Return our environment, whose copies are at two places.

    Raises:
        ConfigError: there are not two places, or the slots are not called a and b, as in the boot script.
        BootError: there is no such place.
    """
    if len(copies) != 2:
        raise ConfigError(
            f"cannot use {SETTING}: it names {len(copies)} places",
            hint="name two, one for each copy of the environment",
        )
    if names != ("a", "b"):
        raise ConfigError(f"cannot use GRUB for slots {names[0]} and {names[1]}: its script knows a and b")
    try:
        first, second = (find_place(copy) for copy in copies)
    except BootError as e:
        raise BootError(
            f"cannot find the boot loader's environment: {e.what}", hint=e.hint or f"check {SETTING}"
        ) from e
    return GrubEnvironment(RawBlocks(first, second, timeout=timeout))


def has_copies(copies: Sequence[str]) -> bool:
    """Return whether there is a valid copy at one of these places."""
    try:
        blocks = RawBlocks(*(find_place(copy) for copy in copies), timeout=0.0).read()
    except (BootError, TypeError):
        return False
    return any(valid_copy(block) is not None for block in blocks)


def make_two_directories(directory: Path | None, *, timeout: float) -> TwoDirectories:
    """Return the environment of Mender's integration below the directory, or where its programs would look.

    Raises:
        BootError: it is not there.
    """
    found = find_directory(directory)
    if found is None:
        raise BootError(
            f"cannot find the boot loader's environment: mender_grubenv1 is in none of {', '.join(map(str, KNOWN))}",
            hint=f"mount the boot partition, or set {DIRECTORY_SETTING}",
        )
    return TwoDirectories(DirectoryFiles(found), locked=lambda: lock_file(found, timeout=timeout))
