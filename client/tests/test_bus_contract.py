"""The files of the interfaces are what is served, what is documented, and what other programs can read."""

import asyncio
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from client_bus import DIST, Served, busctl, stranger, with_server
from dbus_fast import introspection as intr
from dbus_fast.signature import SignatureTree

from bistable.client.bus import names
from bistable.client.bus.contract import FOLDER, interface, introspection
from bistable.client.bus.properties import GETTERS, VERSION
from bistable.client.bus.reference import OBJECTS, reference
from bistable.client.bus.updates import NEEDS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/reference/dbus.md"
INTERFACES = [name for _, _, name in OBJECTS]


def shape(element: ET.Element) -> Any:
    """Return an interface's members with all that counts, in any order."""
    return {
        (
            member.tag,
            member.attrib["name"],
            member.get("type"),
            member.get("access"),
            tuple((one.attrib["type"], one.get("name"), one.get("direction", "out")) for one in member.iterfind("arg")),
            tuple((one.attrib["name"], one.attrib["value"]) for one in member.iterfind("annotation")),
        )
        for member in element
        if member.tag in {"method", "signal", "property"}
    }


@pytest.mark.parametrize(("name", "path", "kind"), OBJECTS)
def test_introspection_shows_what_the_file_has(tmp_path: Path, name: str, path: str, kind: str) -> None:
    async def test(served: Served) -> None:
        peer = await served.peer()
        reply = await peer.ask("Introspect", destination=name, path=path, interface=names.INTROSPECTABLE)
        shown = {one.attrib["name"]: one for one in ET.fromstring(reply.body[0]).iterfind("interface")}
        file = ET.parse(FOLDER / f"{kind}.xml").getroot()
        (expected,) = file.iterfind("interface")
        assert shape(shown[kind]) == shape(expected)
        assert file.attrib["name"] == path
        standard = {"Introspectable", "Peer", "Properties"}
        assert set(shown) == {kind, *(f"org.freedesktop.DBus.{one}" for one in standard)}

    with_server(tmp_path, test)


@pytest.mark.parametrize("name", INTERFACES)
def test_a_strict_reader_takes_the_file(name: str) -> None:
    node = intr.Node.parse((FOLDER / f"{name}.xml").read_text())
    assert [one.name for one in node.interfaces] == [name]
    for member in (*interface(name).methods.values(), *interface(name).signals.values()):
        SignatureTree(member.takes)
        SignatureTree(member.gives)


def test_every_method_and_property_is_served() -> None:
    served = interface(names.INTERFACE)
    assert set(served.methods) == set(NEEDS)
    assert set(served.properties) == {*GETTERS, VERSION}


def test_mender_has_exactly_the_signatures_that_it_had() -> None:
    auth, update = interface(names.AUTH_INTERFACE), interface(names.UPDATE_INTERFACE)
    assert {name: (one.takes, one.gives) for name, one in auth.methods.items()} == {
        "GetJwtToken": ("", "ss"),
        "FetchJwtToken": ("", "b"),
    }
    assert {name: one.gives for name, one in auth.signals.items()} == {"JwtTokenStateChange": "ss"}
    assert {name: (one.takes, one.gives) for name, one in update.methods.items()} == {"SetUpdateControlMap": ("s", "i")}
    assert not auth.properties
    assert not update.properties
    assert not update.signals


def test_the_page_is_up_to_date() -> None:
    if not PAGE.exists():
        pytest.skip("a source distribution has no pages")
    policy = (DIST / "polkit-1/actions/io.bistable.updates.policy").read_text()
    assert reference(policy) == PAGE.read_text()


@pytest.mark.parametrize("name", INTERFACES)
def test_every_member_and_every_argument_is_explained(name: str) -> None:
    page = reference((DIST / "polkit-1/actions/io.bistable.updates.policy").read_text())
    section = page[page.index(f"## {name}") :]
    for element in ET.parse(FOLDER / f"{name}.xml").getroot().iterfind("interface/*"):
        assert f"{element.attrib['name']}" in section
        for argument in element.iterfind("arg"):
            assert f"| `{argument.attrib['name']}` | " in section


def test_the_way_to_the_objects_can_be_seen() -> None:
    exported = {path: interface(kind) for _, path, kind in OBJECTS}
    assert '<node name="io"/>' in (introspection("/", exported) or "")
    assert '<node name="bistable"/><node name="mender"/>' in (introspection("/io", exported) or "")
    assert introspection("/io/bist", exported) is None
    assert introspection("/elsewhere", exported) is None


def test_busctl_finds_all_objects(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        said = await served.stranger(*busctl("tree", "--list", names.NAME))
        assert said.code == 0, said.err
        assert {path for _, path, _ in OBJECTS} <= set(said.out.splitlines())

    with_server(tmp_path, test)


@pytest.mark.parametrize(("name", "path", "kind"), OBJECTS)
def test_busctl_and_gdbus_understand_the_introspection(tmp_path: Path, name: str, path: str, kind: str) -> None:
    async def test(served: Served) -> None:
        by_busctl, by_gdbus = await asyncio.gather(
            served.stranger(*busctl("introspect", "--json=short", name, path, kind)),
            served.stranger("gdbus", "introspect", "--address", "{bus}", "--dest", name, "--object-path", path),
        )
        assert (by_busctl.code, by_gdbus.code) == (0, 0), (by_busctl.err, by_gdbus.err)
        for member in (*interface(kind).methods, *interface(kind).signals, *interface(kind).properties):
            assert member in by_busctl.out
            assert member in by_gdbus.out

    with_server(tmp_path, test)


def test_busctl_reads_every_property(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        wanted = sorted(interface(names.INTERFACE).properties)
        said = await stranger(
            served.bus, *busctl("--json=short", "get-property", names.NAME, names.PATH, names.INTERFACE, *wanted)
        )
        assert said.code == 0, said.err
        types = [json.loads(line)["type"] for line in said.out.splitlines()]
        assert dict(zip(wanted, types, strict=True)) == dict(interface(names.INTERFACE).properties)

    with_server(tmp_path, test)
