"""The program as a whole: its commands, its help, its messages and exit codes, and how it behaves in a shell."""

import os
import pty
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import click
import pytest
from commandline import CORPUS, KEYS, call, call_program, finish, start

from bistable.artifact.cli import app, failures, render
from bistable.artifact.cli.app import bistable
from bistable.artifact.cli.framework import Command, LazyGroup
from bistable.artifact.errors import BistableError, Where

ROOT = Path(__file__).resolve().parents[2]
SMALL = CORPUS / "valid" / "v22-39-bootstrap.mender"


def commands(
    group: LazyGroup = bistable,
    path: tuple[str, ...] = (),
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield all commands with the words that call them."""
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        found = group.get_command(ctx, name)
        assert found is not None
        yield (*path, name), found
        if isinstance(found, LazyGroup):
            yield from commands(found, (*path, name))


ALL = list(commands())
LEAVES = [(path, found) for path, found in ALL if isinstance(found, Command)]
EXAMPLES = [(path, example.line) for path, found in LEAVES for example in found.examples]


# --- what there is


def test_every_command_in_the_tables_is_there_and_goes_by_its_name() -> None:
    listed = {*app.PROGRAM, *app.COMMANDS, *app.WRITE, *app.KEYS}
    # Others add commands of their own, by entry points.
    assert {path[-1] for path, _ in ALL if path[0] in app.PROGRAM} == listed
    assert all(found.name == path[-1] for path, found in ALL)


@pytest.mark.parametrize(
    ("alias", "name"),
    [("read", "show"), ("validate", "verify"), ("dump", "extract")],
)
def test_mender_artifacts_names_lead_to_ours(alias: str, name: str) -> None:
    assert call(alias, "--help").out == call(name, "--help").out


@pytest.mark.parametrize(
    ("path", "command"), ALL, ids=lambda value: "-".join(value) if isinstance(value, tuple) else ""
)
def test_every_command_explains_itself_and_each_of_its_options(path: tuple[str, ...], command: click.Command) -> None:
    outcome = call_program(*path, "--help")
    assert outcome.code == 0
    assert outcome.out.startswith(f"Usage: bistable {' '.join(path)} ")
    assert command.help
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    assert [option.name for option in options if not option.help and not option.hidden] == []


@pytest.mark.parametrize(("path", "command"), LEAVES, ids=lambda v: "-".join(v) if isinstance(v, tuple) else "")
def test_every_command_has_an_example_of_itself(path: tuple[str, ...], command: Command) -> None:
    assert any(f"bistable {' '.join(path)} " in example.line for example in command.examples)


@pytest.mark.parametrize(("path", "line"), EXAMPLES)
def test_every_example_is_accepted_by_the_command_that_it_calls(path: tuple[str, ...], line: str) -> None:
    lexer = shlex.shlex(line.replace("\\\n", " "), posix=True, punctuation_chars="|>&;()")
    lexer.whitespace_split = True
    words = list(lexer)
    if "bistable" not in words:
        assert words[0] == "openssl" or "$(" in line
        return
    words = words[words.index("bistable") + 1 :]
    end = next((at for at, word in enumerate(words) if set(word) <= set("|>&;()")), len(words))
    parse(words[:end])


def parse(words: list[str]) -> None:
    """Parse a command line without running it."""
    command: click.Command = bistable
    parent: click.Context | None = None
    name, rest = "bistable", words
    while True:
        ctx = command.make_context(name, list(rest), parent)
        if not isinstance(command, LazyGroup):
            return
        # Until click 8.2 the attribute had no underscore.
        protected = vars(ctx).get("_protected_args", vars(ctx).get("protected_args", []))
        arguments = [*protected, *ctx.args]
        found_name, found, rest = command.resolve_command(ctx, arguments)
        assert found is not None
        assert found_name is not None
        command, name, parent = found, found_name, ctx


def test_every_option_that_is_named_in_a_hint_or_a_text_is_there() -> None:
    known = {name for _, found in ALL for parameter in found.params for name in (*parameter.opts, "--help")}
    texts = "".join(path.read_text() for path in Path(app.__file__).parent.glob("*.py"))
    named = set(re.findall(r"(?<![\w-])--[a-z0-9][a-z0-9-]+", texts))
    assert named - known == set()


def test_without_a_command_the_help_goes_to_standard_error() -> None:
    outcome = call_program()
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith("Usage: bistable ")


def test_the_version_is_that_of_the_package() -> None:
    from importlib.metadata import version

    assert call_program("--version").out == f"bistable {version('bistable')}\n"


# --- manual pages are made from the commands


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    path = ROOT / "tools" / "make_reference.py"
    if not path.exists():
        pytest.skip("only a checkout has the tools")
    spec = spec_from_file_location("make_reference", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["make_reference"] = module
    spec.loader.exec_module(module)
    return module


def test_there_is_a_manual_page_for_every_command(reference: ModuleType, tmp_path: Path) -> None:
    reference.main(["--man", str(tmp_path)])
    expected = {"bistable.1", *(f"bistable-{'-'.join(path)}.1" for path, _ in ALL)}
    assert {path.name for path in tmp_path.iterdir()} == expected


def test_manual_pages_have_no_line_that_is_a_command_by_accident(reference: ModuleType) -> None:
    allowed = re.compile(r"\.(TH|SH|PP|TP|B|BR|RS|RE|nf|fi|nh|ad)\b")
    for page in reference.pages():
        for line in reference.manual(page).splitlines():
            assert not line.startswith((".", "'")) or allowed.match(line), line


# --- completion


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_completion_script_for_each_shell(shell: str) -> None:
    assert "_BISTABLE_COMPLETE" in call_program("completion", shell).out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("bistable art", ["plain,artifact"]),
        ("bistable artifact write ", ["plain,rootfs", "plain,module", "plain,bootstrap"]),
        (
            "bistable artifact verify --att",
            ["plain,--attestations", "plain,--attestation-file", "plain,--attestation-key"],
        ),
        ("bistable artifact keys generate --type p", ["plain,p256"]),
    ],
)
def test_commands_options_and_choices_are_completed(words: str, expected: list[str]) -> None:
    settings = {
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
        "_BISTABLE_COMPLETE": "bash_complete",
    }
    assert finish(start(env=os.environ | settings)).out.split() == expected


# --- what goes wrong


def test_a_misspelt_command_is_wrong_usage() -> None:
    outcome = call("vrify", "x")
    assert outcome.code == 2
    assert "cannot run `bistable artifact`: no such command 'vrify'" in outcome.err
    assert "`bistable artifact --help` explains it" in outcome.err


def test_an_error_is_a_document_on_standard_output_too_if_json_is_wanted() -> None:
    outcome = call("verify", "--json", "-k", KEYS / "ec256.pub", SMALL)
    assert outcome.code == 4
    assert outcome.document["error"]["rule"] == "signature.missing"
    assert outcome.err.startswith("error: cannot trust this artifact")


def test_wrong_usage_is_a_document_too() -> None:
    outcome = call("verify", "--json", "--nonsense")
    assert outcome.document["error"]["kind"] == "usage"
    assert outcome.document["error"]["exit_code"] == outcome.code == 2


def test_json_behind_two_dashes_is_a_file_name() -> None:
    outcome = call("show", "--", "--json")
    assert outcome.code == 7
    assert outcome.out == ""


def test_an_internal_error_asks_for_a_report_and_shows_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("by accident")

    monkeypatch.setattr("bistable.artifact.cli.show.show_view", broken)
    outcome = call("show", SMALL)
    assert outcome.code == 70
    assert "cannot go on: internal error, ZeroDivisionError: by accident" in outcome.err
    assert "please report it" in outcome.err
    assert "Traceback" not in outcome.err


def test_a_traceback_is_shown_to_whoever_asks_for_it() -> None:
    outcome = call("show", "nowhere.mender", env={"BISTABLE_DEBUG": "1"})
    assert outcome.code == 7
    assert "Traceback" in outcome.err


def every_error() -> set[type[BistableError]]:
    found: set[type[BistableError]] = set()
    new: set[type[BistableError]] = {BistableError}
    while new:
        found |= new
        new = {child for parent in new for child in parent.__subclasses__()} - found
    # Other parts derive from these, and are there if their tests were run by the same process.
    return {error for error in found if error.__module__.startswith("bistable.artifact.")}


EVERY_ERROR = sorted(every_error(), key=lambda error: error.__name__)


@pytest.mark.parametrize("error", EVERY_ERROR)
def test_every_error_has_a_kind_and_its_own_code(error: type[BistableError]) -> None:
    kind = next(kind for of_class, kind in failures.KINDS if issubclass(error, of_class))
    codes = {
        "request": 2,
        "rejected": 3,
        "limit": 3,
        "signature": 4,
        "unsupported": 5,
        "key": 6,
        "machine": 7,
        "policy": 8,
    }
    assert error.exit_code == codes[kind]


def test_a_message_of_several_lines_stays_aligned() -> None:
    lines = render.message(
        "error:", "cannot x\ny", [("where", str(Where(member="m"))), ("hint", "a\nb"), ("rule", None)]
    )
    assert lines == ["error: cannot x", "  y", "  where: m", "  hint:  a", "         b"]


# --- as a program in a shell


def test_a_closed_pipe_ends_the_program_quietly() -> None:
    with start("artifact", "show", SMALL, "--json") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_under_standard_output_is_an_error() -> None:
    with Path("/dev/full").open("wb") as full:
        outcome = finish(start("artifact", "show", SMALL, stdout=full))
    assert outcome.code == 7
    assert outcome.err == "error: cannot go on: No space left on device\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_program_says_so_and_leaves_nothing(number: signal.Signals, code: int, tmp_path: Path) -> None:
    arguments = ("artifact", "write", "module", "-T", "x", "-f", "-", "--file-name", "x", "-n", "n", "-t", "t")
    process = start(*arguments, stdin=subprocess.PIPE, cwd=tmp_path, env=os.environ | {"TMPDIR": str(tmp_path)})
    assert process.stdin is not None
    # Once more than a pipe holds was taken, the program is at work.
    process.stdin.write(bytes(1 << 20))
    process.stdin.flush()
    process.send_signal(number)
    outcome = finish(process)
    assert outcome.code == code
    assert "Traceback" not in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_everything_works_without_a_terminal_and_without_standard_input() -> None:
    outcome = finish(start("artifact", "show", SMALL, env={"PATH": os.environ["PATH"]}))
    assert (outcome.code, outcome.err) == (0, "")


def test_names_that_the_terminal_cannot_show_are_escaped() -> None:
    unicode = CORPUS / "valid" / "v29-44-unicode.mender"
    outcome = finish(start("artifact", "show", unicode, env=os.environ | {"PYTHONIOENCODING": "latin-1"}))
    assert outcome.code == 0
    assert b"\\u30c7\\u30d0\\u30a4\\u30b9" in outcome.raw


def on_terminal(*arguments: str, env: dict[str, str]) -> str:
    """Return what the program writes to a terminal."""
    ours, theirs = pty.openpty()
    process = start(*arguments, stdout=theirs, stderr=theirs, env=os.environ | {"TERM": "xterm"} | env)
    os.close(theirs)
    shown = b""
    try:
        while data := os.read(ours, 4096):
            shown += data
    except OSError:
        pass  # that is how Linux says that the other side is gone
    process.wait(timeout=30)
    os.close(ours)
    return shown.decode()


def test_a_terminal_gets_colours_unless_they_are_not_wanted() -> None:
    assert "\x1b[33mwhole, but not signed\x1b[0m" in on_terminal("artifact", "verify", str(SMALL), env={})
    for unwanted in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert "\x1b" not in on_terminal("artifact", "verify", str(SMALL), env=unwanted)


def test_an_artifact_is_not_written_to_a_terminal() -> None:
    shown = on_terminal("artifact", "write", "bootstrap", "-n", "n", "-t", "t", "-o", "-", env={})
    assert "cannot write an artifact to a terminal" in shown


def test_an_artifact_is_not_read_from_a_terminal() -> None:
    ours, theirs = pty.openpty()
    outcome = finish(start("artifact", "verify", "-", stdin=theirs))
    os.close(ours)
    os.close(theirs)
    assert outcome.code == 2
    assert "it is a terminal" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        (["artifact", "show", str(SMALL)], {"cryptography", "rich", "tomllib", "urllib.request", "isal"}),
        (["artifact", "--help"], {"cryptography", "rich", "tomllib", "urllib.request"}),
        (["--version"], {"cryptography", "rich", "hashlib", "bistable.artifact.reader"}),
    ],
)
def test_what_a_command_does_not_need_is_not_loaded(arguments: list[str], unwanted: set[str]) -> None:
    code = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print(*sorted({unwanted} & set(sys.modules)), file=sys.stderr))\n"
        f"sys.argv[1:] = {arguments}\n"
        "from bistable.artifact.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.split() == []


def test_without_click_it_is_said_what_to_install() -> None:
    code = "import sys; sys.modules['click'] = None; from bistable.artifact.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 7
    assert "pip install 'bistable[cli]'" in done.stderr


# --- progress


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


@pytest.mark.parametrize(("seconds", "visible", "shown"), [(0.1, True, False), (5.0, True, True), (5.0, False, False)])
def test_a_bar_appears_when_work_takes_long_and_somebody_looks(
    seconds: float, visible: bool, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("time.monotonic", clock)
    bars: list[tuple[str, int | None, int]] = []

    class Bar:
        task_ids = (0,)

        def update(self, _task: int, *, completed: int) -> None:
            bars.append(("update", None, completed))

        def stop(self) -> None:
            bars.append(("stop", None, 0))

    def make(what: str, total: int | None, done: int) -> Bar:
        bars.append((what, total, done))
        return Bar()

    monkeypatch.setattr(render, "_bar", make)
    meter = render.Meter("reading", 10, visible=visible)
    clock.time = seconds
    meter.advance(4)
    meter.advance(3)
    meter.close()
    assert bars == ([("reading", 10, 4), ("update", None, 7), ("stop", None, 0)] if shown else [])


def test_the_real_bar_is_drawn_and_taken_away() -> None:
    bar = render._bar("reading", 10, 4)
    bar.update(bar.task_ids[0], completed=10)
    bar.stop()
