"""The command line that writes an artifact like one that was taken apart."""

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bistable.artifact.errors import RequestError
from bistable.artifact.model import ROOTFS_IMAGE

if TYPE_CHECKING:
    from bistable.artifact.extract import Extracted
    from bistable.artifact.model import Header


_COMMANDS: Final = {None: ["bootstrap-artifact"], ROOTFS_IMAGE: ["rootfs-image", "--no-checksum-provide"]}
"""Payload type -> command and options; any other type is a module image's."""


def command_line(done: "Extracted", *, zero: bool) -> bytes:
    """Return the words, quoted for a shell on one line, or with `zero` each ended by a zero byte.

    The options are long, and those that mender-artifact has, too.

    Raises:
        RequestError: what was extracted cannot be written that way.
    """
    head = done.artifact.head
    kind = head.header.info.payload_type
    words = ["write", *_COMMANDS.get(kind, ["module-image", "--type", kind or ""]), *_identity(head.header)]
    if kind is not None:
        words += ["--no-default-software-version", "--no-default-clears-provides"]
    words += list(_conditions(head.header))
    words += list(_paths(done))
    if zero:
        return b"".join(word.encode() + b"\0" for word in words)
    return shlex.join(words).encode() + b"\n"


def _identity(header: "Header") -> list[str]:
    words = ["--artifact-name", header.info.artifact_name]
    for device_type in header.info.device_types:
        words += ["--device-type", device_type]
    return words


def _conditions(header: "Header") -> Iterator[str]:
    info, type_info = header.info, header.type_info
    if info.artifact_group is not None:
        yield from ("--provides-group", info.artifact_group)
    for name in info.depends_names:
        yield from ("--artifact-name-depends", name)
    for group in info.depends_groups:
        yield from ("--depends-groups", group)
    for key, value in type_info.provides.items():
        yield from ("--provides", f"{key}:{value}")
    for key, depend in type_info.depends.items():
        if not isinstance(depend, str):
            raise RequestError(f"cannot show a command line: {key} depends on a list of values, which is not written")
        yield from ("--depends", f"{key}:{depend}")
    for pattern in type_info.clears_provides or ():
        yield from ("--clears-provides", pattern)


def _paths(done: "Extracted") -> Iterator[str]:
    for option, paths in (("--script", done.scripts), ("--meta-data", (done.meta_data,)), ("--file", done.files)):
        for path in paths:
            if path is not None:
                yield from (option, str(path))
