"""The reference page of the D-Bus interfaces, made from their files, the table of errors and the polkit actions."""

import inspect
import textwrap
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bistable.client.bus import names
from bistable.client.bus.authority import Kind
from bistable.client.bus.contract import FOLDER
from bistable.client.bus.failures import ARTIFACT, FAILED, KINDS
from bistable.client.bus.updates import NEEDS

WIDTH: Final = 120
OBJECTS: Final = (
    (names.NAME, names.PATH, names.INTERFACE),
    (names.AUTH_NAME, names.AUTH_PATH, names.AUTH_INTERFACE),
    (names.UPDATE_NAME, names.UPDATE_PATH, names.UPDATE_INTERFACE),
)
_ANSWERS: Final = {"yes": "may", "no": "may not", "auth_admin": "an administrator's password"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """What a comment says: of the whole, and of each argument."""

    arguments: Mapping[str, str]
    paragraphs: Sequence[str]


def reference(policy: str) -> str:
    """Return docs/reference/dbus.md; `policy` is the text of the file with the polkit actions."""
    lines = [
        "# D-Bus interfaces",
        "",
        "<!-- Written from client/bistable/client/bus/interfaces. -->",
        "",
        *_wrapped(
            "What the daemon `bistabled` offers on the system bus. The files from which this page is made come with "
            "the Python package, and introspection shows the same."
        ),
        "",
        "| well-known name | object | interface |",
        "|---|---|---|",
        *(f"| `{name}` | `{path}` | `{interface}` |" for name, path, interface in OBJECTS),
        "",
    ]
    for _name, _path, interface in OBJECTS:
        lines += _interface(interface)
        if interface == names.INTERFACE:
            lines += [*_errors(), *_rights(policy)]
    return "\n".join(lines).rstrip() + "\n"


def _interface(name: str) -> Iterator[str]:
    parser = ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))  # noqa: S314 - our own files
    root = ET.parse(FOLDER / f"{name}.xml", parser).getroot()  # noqa: S314 - our own files
    about = {id(element): words for element, words in [*_commented(root), *_commented(_only(root))]}
    element = _only(root)
    words = about[id(element)]
    yield from [f"## {name}", "", words.arguments["short_description"] + ".", ""]
    yield from _paragraphs(words)
    properties = element.findall("property")
    if properties:
        yield from ["### Properties", "", "| property | type | |", "|---|---|---|"]
        for one in properties:
            text = " ".join(about[id(one)].paragraphs)
            yield f"| `{one.attrib['name']}` | `{one.attrib['type']}` | {text} |"
        yield ""
    for title, tag in (("Methods", "method"), ("Signals", "signal")):
        members = element.findall(tag)
        if members:
            yield from [f"### {title}", ""]
        for member in members:
            yield from _member(member, about[id(member)], needs=tag == "method" and name == names.INTERFACE)


def _only(root: ET.Element) -> ET.Element:
    found = root.find("interface")
    assert found is not None
    return found


def _commented(parent: ET.Element) -> Iterator[tuple[ET.Element, _Words]]:
    """Yield elements with what the comment before each says."""
    comment = None
    for child in parent:
        if callable(child.tag):  # as comments have it
            comment = child.text
        elif comment is not None:
            yield child, _words(comment)
            comment = None


def _words(comment: str) -> _Words:
    _name, _, rest = comment.strip().partition(":")
    paragraphs: list[str] = []
    arguments: dict[str, str] = {}
    for block in textwrap.dedent(rest).strip().split("\n\n"):
        current: str | None = None
        text: list[str] = []
        for line in (line.strip() for line in block.splitlines()):
            if line.startswith("@"):
                current, _, first = line[1:].partition(": ")
                arguments[current] = first
            elif current is not None:
                arguments[current] += " " + line
            else:
                text.append(line)
        if text:
            paragraphs.append(" ".join(text))
    return _Words(arguments=arguments, paragraphs=paragraphs)


def _member(member: ET.Element, words: _Words, *, needs: bool) -> Iterator[str]:
    name = member.attrib["name"]
    shown: dict[str, list[str]] = {"in": [], "out": []}
    for one in member.iterfind("arg"):
        shown[one.get("direction", "out")].append(f"{one.attrib['type']} {one.attrib['name']}")
    if member.tag == "signal":
        yield f"#### {name}({', '.join(shown['out'])})"
    else:
        yield f"#### {name}({', '.join(shown['in'])}) → ({', '.join(shown['out'])})"
    yield ""
    yield from _paragraphs(words)
    if words.arguments:
        yield from ["| argument | |", "|---|---|"]
        yield from (f"| `{argument}` | {text} |" for argument, text in words.arguments.items())
        yield ""
    if needs:
        kind = NEEDS[name]
        right = "nothing" if kind is None else f"`{names.ACTION_PREFIX}{kind.value}`"
        if kind is Kind.CONTINUE:
            right += f", with `force` `{names.ACTION_PREFIX}{Kind.CONTINUE_FORCE.value}`"
        yield from [f"Needs: {right}.", ""]


def _errors() -> Iterator[str]:
    yield from ["### Errors", ""]
    yield from _wrapped(
        f"Errors of {names.INTERFACE} are named `{names.ERROR_PREFIX}` and one of these words. The text is what went "
        "wrong, and in further lines what to do about it. The codes are those of [errors.md](errors.md)."
    )
    yield from ["", "| error | code | |", "|---|---|---|"]
    for name, kind in sorted(KINDS.items()):
        about = "An error of another kind" if name == FAILED else (inspect.getdoc(kind) or "").splitlines()[0]
        yield f"| `{name}` | `{kind.code}` | {about.partition('; `')[0].rstrip('.')}. |"
    yield f"| `{ARTIFACT}` | `artifact` | The artifact is malformed, damaged, or not signed as it has to be. |"
    yield ""


def _rights(policy: str) -> Iterator[str]:
    yield from ["### Rights", ""]
    yield from _wrapped(
        "Root, and the user as whom the daemon runs, may do everything. Of others polkit is asked; these are the "
        "defaults, which rules of the device can change. An example of a rule is `50-bistable-updates.rules.sample`. "
        "Nobody has more than 16 holds, and 64 are there at most."
    )
    yield from ["", "| action | | who sits at the device | everybody else |", "|---|---|---|---|"]
    for action in ET.fromstring(policy).iterfind("action"):  # noqa: S314 - our own file
        answers = {one.tag: (one.text or "").removesuffix("_keep") for one in action.iterfind("defaults/*")}
        here, others = _ANSWERS[answers["allow_active"]], _ANSWERS[answers["allow_any"]]
        yield f"| `{action.attrib['id']}` | {action.findtext('description')} | {here} | {others} |"
    yield ""


def _paragraphs(words: _Words) -> Iterator[str]:
    for paragraph in words.paragraphs:
        yield from [*_wrapped(paragraph), ""]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)
