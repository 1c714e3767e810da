"""The interfaces as their XML files have them: what is dispatched, shown to introspection, and explained to people."""

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).with_name("interfaces")

DOCTYPE: Final = (
    '<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"\n'
    '"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">\n'
)

STANDARD: Final = (
    '<interface name="org.freedesktop.DBus.Introspectable"><method name="Introspect">'
    '<arg name="data" type="s" direction="out"/></method></interface>'
    '<interface name="org.freedesktop.DBus.Peer"><method name="Ping"/><method name="GetMachineId">'
    '<arg name="machine_uuid" type="s" direction="out"/></method></interface>'
    '<interface name="org.freedesktop.DBus.Properties">'
    '<method name="Get"><arg name="interface" type="s" direction="in"/><arg name="property" type="s" direction="in"/>'
    '<arg name="value" type="v" direction="out"/></method>'
    '<method name="GetAll"><arg name="interface" type="s" direction="in"/>'
    '<arg name="properties" type="a{sv}" direction="out"/></method>'
    '<method name="Set"><arg name="interface" type="s" direction="in"/><arg name="property" type="s" direction="in"/>'
    '<arg name="value" type="v" direction="in"/></method>'
    '<signal name="PropertiesChanged"><arg name="interface" type="s"/><arg name="changed" type="a{sv}"/>'
    '<arg name="invalidated" type="as"/></signal></interface>'
)
"""What every object has; the bus library answers for the Peer interface."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A method or a signal: signatures of what it takes and gives (a signal takes nothing)."""

    takes: str
    gives: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """An interface, as its file has it."""

    name: str
    methods: Mapping[str, Member]
    signals: Mapping[str, Member]
    properties: Mapping[str, str]
    """Name -> signature."""
    xml: str
    """The element for introspection, without comments."""


@cache
def interface(name: str) -> Interface:
    """Return one of the interfaces in the folder."""
    found = ET.parse(FOLDER / f"{name}.xml").getroot().find("interface")  # noqa: S314 - our own file
    assert found is not None
    return Interface(
        name=name,
        methods={_name(one): _member(one) for one in found.iterfind("method")},
        signals={_name(one): _member(one) for one in found.iterfind("signal")},
        properties={_name(one): one.attrib["type"] for one in found.iterfind("property")},
        xml=ET.tostring(found, encoding="unicode").strip(),
    )


def introspection(path: str, exported: Mapping[str, Interface]) -> str | None:
    """Return what introspection shows at a path: its interface, or the way to those below; None if there is neither."""
    here = exported.get(path)
    below = sorted({rest.partition("/")[0] for rest in _below(path, exported)})
    if here is None and not below:
        return None
    parts = [] if here is None else [STANDARD, here.xml]
    return DOCTYPE + "<node>" + "".join([*parts, *(f'<node name="{name}"/>' for name in below)]) + "</node>\n"


def _below(path: str, exported: Iterable[str]) -> Iterable[str]:
    prefix = path.rstrip("/") + "/"
    return (one.removeprefix(prefix) for one in exported if one.startswith(prefix))


def _name(element: ET.Element) -> str:
    return element.attrib["name"]


def _member(element: ET.Element) -> Member:
    arguments = [(one.attrib["type"], one.get("direction", "out")) for one in element.iterfind("arg")]
    return Member(
        takes="".join(kind for kind, direction in arguments if direction == "in"),
        gives="".join(kind for kind, direction in arguments if direction == "out"),
    )
