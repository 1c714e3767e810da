"""What the documentation shows of bistablectl: its command line takes every call that stands there."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from bistable.client.ctl.app import COMMANDS, parse

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")])
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def shell_lines(text: str) -> Iterator[str]:
    """Yield what is to be typed: after a prompt, and in indented lines of prose."""
    text = re.sub(r"\\\n\s*", "", text)
    for language, block in FENCED.findall(text):
        if language == "console":
            yield from (line[2:] for line in block.splitlines() if line.startswith("$ "))
        elif language == "sh":
            yield from block.splitlines()
    yield from re.findall(r"^ {4}(.*\bbistablectl .*)$", FENCED.sub("", text), re.MULTILINE)


def calls(line: str) -> Iterator[list[str]]:
    """Yield the arguments of each call of bistablectl in a line of shell."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    found: list[str] | None = None
    words = [*lexer, ";"]
    for number, word in enumerate(words):
        if set(word) <= set("|&;()<>"):
            if found is not None:
                yield found
            found = None
        elif found is not None:
            found.append(word)
        elif word == "bistablectl" and "(" not in words[number + 1]:
            found = []


def shown() -> list[tuple[str, str]]:
    """Return (page, call) of all calls that are shown; a synopsis is none."""
    found = set()
    for page in PAGES:
        for line in shell_lines(page.read_text()):
            if "bistablectl" in line and "[--" not in line and not line.startswith("bistablectl()"):
                found |= {(page.relative_to(ROOT).as_posix(), shlex.join(words)) for words in calls(line)}
    # The reference of commands holds synopses, which the commands themselves make.
    return sorted((page, call) for page, call in found if page != "docs/reference/bistablectl.md")


def mentioned() -> list[tuple[str, str]]:
    """Return (page, command) of all commands that are named in a sentence."""
    found = set()
    for page in PAGES:
        for quoted in re.findall(r"`bistablectl ([a-z][a-z-]*)", FENCED.sub("", page.read_text())):
            found.add((page.relative_to(ROOT).as_posix(), quoted))
    return sorted(found)


pytestmark = pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="the source distribution has no documentation")


@pytest.mark.parametrize(("page", "call"), shown())
def test_a_call_that_is_shown_is_understood(page: str, call: str) -> None:
    parse(shlex.split(call))


@pytest.mark.parametrize(("page", "command"), mentioned())
def test_a_command_that_is_mentioned_exists(page: str, command: str) -> None:
    assert command in COMMANDS


def test_the_calls_in_the_documentation_are_found() -> None:
    assert {shlex.split(call)[0] for _, call in shown() if call} >= {
        "install",
        "commit",
        "rollback",
        "doctor",
        "status",
    }
