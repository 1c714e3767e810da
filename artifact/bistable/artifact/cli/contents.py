"""Options that say what goes into an artifact beside its files; `write` has them all, `modify` has most."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from bistable.artifact.cli.framework import option
from bistable.artifact.cli.options import FILE, bundle, pair
from bistable.artifact.errors import RequestError

F = TypeVar("F", bound=Callable[..., Any])

IDENTITY: Final = "Identity"
CONDITIONS: Final = "Conditions and state"
VERSION: Final = "Software version"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What the options said of name, devices, conditions and provides."""

    artifact_name: str
    device_types: Sequence[str]
    provides_group: str | None
    artifact_name_depends: Sequence[str]
    depends_groups: Sequence[str]
    provides: Sequence[tuple[str, str]]
    depends: Sequence[tuple[str, str]]
    clears_provides: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What the options said of the version key and of what is cleared by default."""

    software_filesystem: str
    software_name: str | None
    software_version: str | None
    no_default_software_version: bool
    no_default_clears_provides: bool


def contents_options(function: F) -> F:
    """Add the options that every artifact has, handed over as `contents`."""
    return bundle("contents", Contents, [name_option, device_option, *condition_options, clears_option])(function)


def version_options(function: F) -> F:
    """Add the options on the software version, handed over as `version`."""
    return bundle(
        "version",
        Version,
        [
            option(
                "--software-filesystem",
                default="rootfs-image",
                show_default=True,
                metavar="NAME",
                section=VERSION,
                help="First part of the key that records the installed version.",
            ),
            option(
                "--software-name",
                metavar="NAME",
                section=VERSION,
                help="Second part of that key: rootfs-image.NAME.version. By default a module's payload type, and "
                "nothing for a rootfs image.",
            ),
            option(
                "--software-version",
                metavar="VERSION",
                section=VERSION,
                help="The version recorded; by default the artifact's name.",
            ),
            option(
                "--no-default-software-version",
                is_flag=True,
                section=VERSION,
                help="Record no version, and clear nothing, by default: for clients before 2.5.",
            ),
            option(
                "--no-default-clears-provides",
                is_flag=True,
                section=VERSION,
                help="Clear nothing by default; only what --clears-provides says.",
            ),
        ],
    )(function)


name_option = option(
    "-n",
    "--artifact-name",
    required=True,
    metavar="NAME",
    section=IDENTITY,
    help="Name of the artifact: what a device reports as installed.",
)
device_option = option(
    "-c",
    "--compatible-types",
    "-t",
    "--device-type",
    "device_types",
    multiple=True,
    required=True,
    metavar="TYPE",
    section=IDENTITY,
    help="A device type that may install the artifact. May be given several times.",
)
condition_options: Final = (
    option(
        "-g",
        "--provides-group",
        metavar="GROUP",
        section=IDENTITY,
        help="Group that the artifact belongs to.",
    ),
    option(
        "-N",
        "--artifact-name-depends",
        multiple=True,
        metavar="NAME",
        section=CONDITIONS,
        help="Install only over an artifact of this name. May be given several times: any of them will do.",
    ),
    option(
        "-G",
        "--depends-groups",
        multiple=True,
        metavar="GROUP",
        section=CONDITIONS,
        help="Install only over an artifact of this group. May be given several times: any of them will do.",
    ),
    option(
        "-p",
        "--provides",
        type=pair,
        multiple=True,
        metavar="KEY:VALUE",
        section=CONDITIONS,
        help="What the device records as provided once the artifact is installed. May be given several times.",
    ),
    option(
        "-d",
        "--depends",
        type=pair,
        multiple=True,
        metavar="KEY:VALUE",
        section=CONDITIONS,
        help="Install only where this is provided. May be given several times: all must hold.",
    ),
)
clears_option = option(
    "--clears-provides",
    multiple=True,
    metavar="PATTERN",
    section=CONDITIONS,
    help="Recorded keys that the device forgets when the artifact is installed; * stands for any characters. May be "
    "given several times.",
)
script_option = option(
    "-s",
    "--script",
    "scripts",
    type=FILE,
    multiple=True,
    metavar="FILE",
    section=CONDITIONS,
    help="A state script, or a directory of state scripts. May be given several times.",
)
meta_data_option = option(
    "-m",
    "--meta-data",
    type=FILE,
    metavar="FILE",
    section=CONDITIONS,
    help="A JSON object for the update module; stored as it is, to the byte.",
)


def read_small(path: Path, limit: int) -> bytes:
    """Read a file that goes into the header.

    Raises:
        RequestError: it cannot be read, or is too large.
    """
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as e:
        raise RequestError(f"cannot read {path}: {e.strerror or e}") from e
    if len(content) > limit:
        raise RequestError(f"cannot use {path}: larger than {limit} bytes")
    return content
