"""What the documentation shows: its examples of the library run, and its commands have the options that they use."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import click.testing
import pytest

from bistable.artifact.cli.app import bistable

ROOT = Path(__file__).resolve().parents[2]
KEYS = Path(__file__).parent / "vectors" / "keys"
TEXTS = [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), ROOT / "artifact" / "FORMAT.md"]
PAGES = sorted(path for path in TEXTS if path.is_file())

ENDS = {"|", "||", "&", "&&", ";", "(", ")"}
"""What ends a command in a shell line."""


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


# --- examples of the library


WITH_EXAMPLES = [page for page in PAGES if blocks(page.read_text(), "python")]
ON_A_BUS = [page for page in WITH_EXAMPLES if any("dbus_fast" in block for block in blocks(page.read_text(), "python"))]
"""Pages whose examples are applications of the device: they need a bus, and the service on it."""


@pytest.mark.parametrize("page", ON_A_BUS, ids=name_of)
def test_the_examples_for_applications_are_python(page: Path) -> None:
    for number, source in enumerate(blocks(page.read_text(), "python"), start=1):
        compile(source, f"{page.name}, block {number}", "exec")


@pytest.mark.parametrize("page", [page for page in WITH_EXAMPLES if page not in ON_A_BUS], ids=name_of)
def test_the_examples_on_a_page_run_one_after_the_other(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, kind in (("release.key", "ec256.key"), ("release.pub", "ec256.pub")):
        Path(name).write_bytes((KEYS / kind).read_bytes())
    Path("rootfs.ext4").write_bytes(b"".join(number.to_bytes(4, "big") for number in range(1 << 18)))
    names: dict[str, object] = {"__name__": "example"}
    for number, source in enumerate(blocks(page.read_text(), "python"), start=1):
        exec(compile(source, f"{page.name}, block {number}", "exec"), names)


# --- commands


def shell_lines(page: Path) -> Iterator[str]:
    """Yield what is to be typed: after a prompt, in a block of shell, and indented lines that call the program."""
    text = re.sub(r"\\\n\s*", "", page.read_text())
    for block in blocks(text, "console"):
        yield from (line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ "))
    for block in blocks(text, "sh"):
        yield from block.splitlines()
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"^ {4}(?:\$ )?(.*\bbistable (?:artifact|completion) .*)$", prose, re.MULTILINE)


def mentions(page: Path) -> Iterator[str]:
    """Yield the calls that are quoted in a sentence, most of them not complete."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    yield from (" ".join(found.split()) for found in re.findall(r"`(bistable (?:artifact|completion)[^`]*)`", text))


def calls(line: str) -> Iterator[list[str]]:
    """Yield the arguments of each call of the program in a line of shell."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True  # else a colon would divide words
    words: list[str] = []
    target_follows = False
    for word in [*lexer, ";"]:
        if word in ENDS:
            while words and re.match(r"\w+=", words[0]):
                words.pop(0)
            if words[:1] == ["bistable"]:
                yield words[1:]
            words = []
        elif set(word) <= set("<>&"):
            target_follows = True
            if words and words[-1] in {"1", "2"}:  # `2>`: the number of what is redirected
                words.pop()
        elif target_follows:
            target_follows = False
        else:
            words.append(word)


def complaint(words: list[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what the program has against a call, without letting any command run."""
    monkeypatch.setattr(click.Command, "invoke", lambda _self, _ctx: None)
    done = click.testing.CliRunner().invoke(bistable, words)
    return done.stderr if done.exit_code else ""


def is_call(line: str) -> bool:
    """Return whether a line calls the program; a synopsis does not."""
    return "bistable" in line and "[OPTIONS]" not in line


SHOWN = sorted({(name_of(page), line) for page in PAGES for line in shell_lines(page) if is_call(line)})
MENTIONED = sorted({(name_of(page), line) for page in PAGES for line in mentions(page)})


@pytest.mark.parametrize(("page", "line"), SHOWN)
def test_a_command_that_is_shown_is_understood(page: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in calls(line):
        assert complaint(words, monkeypatch) == ""


@pytest.mark.parametrize(("page", "line"), MENTIONED)
def test_a_command_that_is_mentioned_exists_and_has_its_options(
    page: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for words in calls(line):
        assert "no such" not in complaint(words, monkeypatch)


@pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="the source distribution has no documentation")
def test_the_commands_in_the_documentation_are_found() -> None:
    found = {words[1] for _, line in SHOWN for words in calls(line) if words[:1] == ["artifact"]}
    assert found >= {"write", "build", "show", "verify", "lint", "diff", "sign", "modify", "repack", "attest", "keys"}
