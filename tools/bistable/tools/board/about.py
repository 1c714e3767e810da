"""What every board says of itself, however its storage is laid out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bistable.artifact.spec.text import BuildText, suggestion
from bistable.tools.board import schema
from bistable.tools.board.model import (
    Layer,
    OwnEnvironment,
    Qemu,
    SerialConsole,
    Status,
    Storage,
    StorageKind,
    Uboot,
    Watchdog,
    Yocto,
)
from bistable.tools.board.reading import Reading

ABOUT: Final = frozenset({*schema.BOARD_TABLES, schema.SOURCES.name, schema.LAYER.name})
"""Tables that are not of a layout."""

_FIRMWARE: Final = ({"bios"}, {"code", "variables"})


def about(text: BuildText) -> dict[str, Any]:
    """Return the fields of a board that do not depend on how its storage is laid out.

    Raises:
        RequestError: what is wrong, in which line, and what would be right.
    """
    board, there = Reading(text, "board"), text.document
    return {
        "name": board.string("name"),
        "soc": board.string("soc"),
        "page": board.string("page"),
        "status": Status(board.string("status")),
        "limits": board.strings("limits"),
        "storage": _storage(Reading(text, "storage")),
        "console": _console(Reading(text, "console")),
        "watchdog": _watchdog(Reading(text, "watchdog")) if "watchdog" in there else None,
        "uboot": _uboot(Reading(text, "uboot")) if "uboot" in there else None,
        "yocto": _yocto(text) if "yocto" in there else None,
        "qemu": _qemu(Reading(text, "qemu")) if "qemu" in there else None,
        "steps": Reading(text, "flash").strings("steps"),
        "sources": dict(there.get(schema.SOURCES.name, {})),
    }


def _storage(reading: Reading) -> Storage:
    return Storage(
        kind=StorageKind(reading.string("kind")),
        device=reading.string("device"),
        capacity=reading.size("capacity"),
    )


def _console(reading: Reading) -> SerialConsole:
    return SerialConsole(
        device=reading.string("device"), speed=reading.whole("speed", 115200), user=reading.string("user", "root")
    )


def _watchdog(reading: Reading) -> Watchdog:
    return Watchdog(
        driver=reading.string("driver"),
        device=reading.string("device", "/dev/watchdog0"),
        timeout=reading.whole("timeout", 60),
        uboot=reading.optional("uboot"),
    )


def _uboot(reading: Reading) -> Uboot:
    return Uboot(
        defconfig=reading.string("defconfig"),
        source=reading.string("source"),
        version=reading.string("version"),
        addresses=reading.addresses("addresses"),
        environment=_own_environment(reading),
    )


def _own_environment(reading: Reading) -> OwnEnvironment | None:
    kind = reading.optional("environment")
    offset, size = reading.offset("environment-offset"), reading.offset("environment-size")
    given = "environment-offset" if offset is not None else "environment-size"
    if (offset is None) != (size is None) or size == 0:
        reading.refuse(given, "environment-offset and environment-size, more than 0, belong together")
    if kind is None:
        if offset is not None:
            reading.refuse(given, "it does not say on what that environment is", 'add environment = "mmc"')
        return None
    return OwnEnvironment(kind=kind, offset=offset, size=size)


def _yocto(text: BuildText) -> Yocto:
    reading = Reading(text, "yocto")
    releases = reading.strings("releases")
    for release in releases:
        if release not in schema.RELEASES:
            reading.refuse("releases", f"{release!r} is not known", suggestion(release, schema.RELEASES))
    if not releases or len(set(releases)) != len(releases):
        reading.refuse("releases", "it must name releases, each once")
    return Yocto(
        machine=reading.string("machine"),
        releases=releases,
        layers=tuple(_layers(text, releases)),
        variables=reading.table("variables"),
    )


def _layers(text: BuildText, releases: tuple[str, ...]) -> Iterator[Layer]:
    for name in text.document.get(schema.LAYER.name, {}):
        reading = Reading(text, f"{schema.LAYER.name}.{name}")
        revisions = {}
        for release in schema.RELEASES:
            given = reading.optional(release)
            if given is None:
                if release in releases:
                    reading.refuse(None, f"it does not say which commit is for {release}", f'add {release} = "..."')
                continue
            branch, _, commit = given.rpartition("@")
            revisions[release] = (branch, commit)
        yield Layer(
            name=name, url=reading.string("url"), sublayers=reading.strings("layers", (".",)), revisions=revisions
        )


def _qemu(reading: Reading) -> Qemu:
    firmware = reading.table("firmware")
    if set(firmware) not in _FIRMWARE:
        reading.refuse("firmware", "it must name bios, or code and variables")
    return Qemu(
        program=reading.string("program"),
        arguments=reading.strings("arguments"),
        memory=reading.whole("memory", 512),
        bus=reading.string("bus", "pci"),
        firmware={role: Path(path) for role, path in firmware.items()},
        package=reading.string("package"),
        watchdog=reading.optional("watchdog"),
    )
