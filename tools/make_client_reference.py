#!/usr/bin/env python3
"""Write the client's reference from its own tables: commands, states, errors and settings, all in docs/reference.

tools/make_client_reference.py               docs/reference/{bistablectl,states,errors,configuration}.md,
                                             the tables of docs/how-to/move-from-the-mender-client.md,
                                             client/dist/conf.d/all-settings.toml.sample
tools/make_client_reference.py --man DIR     a manual page, DIR/bistablectl.1
"""

import argparse
import ast
import importlib
import inspect
import pkgutil
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

import bistable.client
from bistable.client.bus.reference import reference as interfaces
from bistable.client.config.reference import mender_table, sample
from bistable.client.config.reference import reference as configuration
from bistable.client.ctl import app
from bistable.client.errors import ClientError
from bistable.client.machine import PAUSES, RECOVERY, STATUSES, TABLE, Event, State, states
from bistable.client.maps.reference import reference as control_maps

REFERENCE: Final = Path(__file__).parents[1] / "docs" / "reference"
GUIDE: Final = REFERENCE.parent / "how-to" / "move-from-the-mender-client.md"
SAMPLE: Final = REFERENCE.parents[1] / "client" / "dist" / "conf.d" / "all-settings.toml.sample"
POLICY: Final = REFERENCE.parents[1] / "client" / "dist" / "polkit-1" / "actions" / "io.bistable.updates.policy"
WIDTH: Final = 120

NOTE: Final = "<!-- Written by tools/make_client_reference.py. -->"

EXIT_CODES: Final = (
    ("0", "Done."),
    ("1", "Failed, refused, or used in a wrong way; the message says which. An update that failed was rolled back."),
    ("2", "There is no update in progress that could be committed, rolled back, resumed or aborted."),
    ("4", "With `--reboot-exit-code`: done, and the device has to be rebooted."),
    ("70", "An internal error: please report it."),
    ("130", "Interrupted."),
    ("141", "Standard output was closed before its end."),
)

ADVICE: Final = {
    "aborted": "Nothing: it is what was asked for. The history says by whom.",
    "artifact": "Get the artifact again, or have it built again; `bistable artifact verify` says more about it.",
    "boot": "Run `bistablectl doctor`: it says whether the boot loader and the client look at the same environment.",
    "bus": "Is D-Bus running, and its policy for the service installed (client/dist/dbus-1)?",
    "busy": "Wait for the other process, or see `bistablectl status` for the update that is in progress.",
    "client": "Read the message: it has no kind of its own.",
    "config": "Correct the file that the message names; `bistablectl config` shows what is read from where.",
    "denied": "Ask as an administrator, or change the polkit rules.",
    "fetch": "Check the address, the network and the clock, and try again: what arrived is kept if "
    "`fetch.spool-max-mib` allows it.",
    "health": "Look at the check that the message names; the device is back on the system it ran before.",
    "interrupted": "Install it again: power was lost or the client was killed in the middle, and it was undone.",
    "limit": "Let go of holds that nobody needs any more.",
    "loop": "Report it, with a support bundle: this should not happen.",
    "map": "Correct the update control map where the message says; [control-maps.md](control-maps.md) has its form.",
    "module": "Look at what the module said (the message has its last lines), and whether it is installed.",
    "no-update": "Nothing: there is no update in progress.",
    "not-booted": "Reboot the device first; if it was rebooted, the boot loader fell back: the new system's log "
    "says more.",
    "not-held": "Nothing: the update does not wait there. `bistablectl status` says where it is.",
    "not-running": "Start the service: `systemctl start bistabled`.",
    "program": "Install the program that the message names, or look at its last lines.",
    "script": "Look at the state script that the message names.",
    "server": "Check `server.urls`, the network and the clock; the server's own log has what it refused, and why.",
    "slot": "Check the slots in the configuration, and whether something mounts or writes to the one that is updated.",
    "store": "Is the data partition mounted, writable, and not full?",
    "store-damaged": "Nothing has to be done: the next command that changes something puts the file aside and "
    "begins a new one. Look at the health of the storage.",
    "transition": "Report it, with a support bundle: this should not happen.",
    "unsuitable": "Build the artifact for this type of device; `bistablectl show` says what it wants and "
    "`bistablectl provides` what there is.",
    "usage": "Read the message, and `--help` of the command.",
}
"""Error code -> what to do about it."""


def commands() -> str:
    """Return docs/reference/bistablectl.md."""
    lines = [
        "# bistablectl",
        "",
        NOTE,
        "",
        *textwrap.wrap(
            "The command of the device. The result goes to standard output, all else to standard error. With `--json` "
            "the result is one JSON object with a `schema` that names its form. `NO_COLOR` is respected, and "
            "`BISTABLE_DEBUG=1` shows where in the program an internal error came from.",
            WIDTH,
        ),
        "",
        "| exit code | |",
        "|---|---|",
        *(f"| {code} | {meaning} |" for code, meaning in EXIT_CODES),
        "",
    ]
    for name in app.COMMANDS:
        parser = _parser(name)
        lines += [f"## bistablectl {name}", "", f"    {_usage(parser)}", "", app.command_module(name).DESCRIPTION, ""]
        rows = list(_rows(parser))
        if rows:
            lines += ["| | |", "|---|---|", *(f"| `{words}` | {meaning} |" for words, meaning in rows), ""]
    lines += ["## Options of all commands", "", "| | |", "|---|---|"]
    lines += [f"| `{words}` | {meaning} |" for words, meaning in _rows(_parser("status"), common=True)]
    return "\n".join(lines) + "\n"


def _parser(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"bistablectl {name}", add_help=False)
    app.fill(parser, name)
    return parser


def _usage(parser: argparse.ArgumentParser) -> str:
    words = [parser.prog]
    for action in _own(parser):
        flag = action.option_strings[0] if action.option_strings else ""
        value = (
            ""
            if action.nargs == 0
            else action.metavar or "|".join(map(str, action.choices or ())) or action.dest.upper()
        )
        words.append(f"[{flag} {value}]".replace(" ]", "]") if flag else str(value))
    return " ".join(words)


def _own(parser: argparse.ArgumentParser, *, common: bool = False) -> list[argparse.Action]:
    shared = next(group for group in parser._action_groups if group.title == "options of all commands")
    return [action for action in parser._actions if (action in shared._group_actions) is common]


def _rows(parser: argparse.ArgumentParser, *, common: bool = False) -> Iterator[tuple[str, str]]:
    for action in _own(parser, common=common):
        value = "" if action.nargs == 0 else str(action.metavar or "\\|".join(map(str, action.choices or ())))
        yield " ".join([*action.option_strings, value]).strip(), _sentence(action.help or "")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if not text or text.endswith(".") else ".")


def state_machine() -> str:
    """Return docs/reference/states.md."""
    about = _docstrings(states, "State")
    lines = [
        "# States of an update",
        "",
        NOTE,
        "",
        *textwrap.wrap(
            "An update goes from state to state. The next state is durable before anything is done in it, so that "
            "after a power cut the client knows where it was. This page is made from the table that the client uses.",
            WIDTH,
        ),
        "",
        "## Diagram",
        "",
        "```mermaid",
        "stateDiagram-v2",
        "    [*] --> gate_download: started",
        *_arrows(),
        "```",
        "",
        *textwrap.wrap(
            f"Not drawn: `{Event.LOOPED.value}`, which leads from every state to `{State.REPORT.value}`. It comes when "
            "an update went through more than 30 states; pauses, gates and the report do not count.",
            WIDTH,
        ),
        "",
        "## Events",
        "",
        "| event | meaning |",
        "|---|---|",
        *(f"| `{event.value}` | {_docstrings(states, 'Event')[event.name]} |" for event in Event),
        "",
        "## States",
        "",
        "| state | what is done | next | status for a server | found after a restart |",
        "|---|---|---|---|---|",
    ]
    for state in State:
        following = "<br>".join(
            f"{event.value} → `{target.value}`"
            for (source, event), target in TABLE.items()
            if source is state and event is not Event.LOOPED
        )
        status = f"`{STATUSES[state]}`" if state in STATUSES else ""
        lines.append(f"| `{state.value}` | {about[state.name]} | {following} | {status} | {RECOVERY.get(state, '')} |")
    lines += [
        "",
        *textwrap.wrap(
            "Pauses, too, are states: "
            + ", ".join(f"`{state.value}`" for state in PAUSES)
            + ". An update found in one "
            "stays in it, whatever happened to the client or the device in the meantime. Before the commit the client "
            "gives the new slot its tries again, so that a power cut in the pause boots it again; if the boot loader "
            "fell back all the same, there is nothing left to commit, and the update ends as rolled back.",
            WIDTH,
        ),
    ]
    return "\n".join(lines) + "\n"


def _arrows() -> Iterator[str]:
    for (source, event), target in TABLE.items():
        if event is Event.LOOPED or source is State.IDLE:
            continue
        end = "[*]" if target is State.IDLE else _mermaid(target)
        yield f"    {_mermaid(source)} --> {end}: {event.value}"


def _mermaid(state: State) -> str:
    return state.value.replace("-", "_")


def _docstrings(module: object, name: str) -> dict[str, str]:
    """Return member -> docstring of an enumeration."""
    tree = ast.parse(inspect.getsource(module))  # type: ignore[arg-type]
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    found = {}
    for node, after in pairwise(body):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and isinstance(after, ast.Expr):
            assert isinstance(after.value, ast.Constant)
            found[node.targets[0].id] = " ".join(str(after.value.value).split())
    return found


def error_codes() -> str:
    """Return docs/reference/errors.md."""
    lines = [
        "# Errors of the client",
        "",
        NOTE,
        "",
        *textwrap.wrap(
            "Every error has a message, mostly a hint, and a code that names its kind. The code is in the JSON output, "
            "in `status` and in the history; it stays the same when words change.",
            WIDTH,
        ),
        "",
        "| code | meaning | exit code | what to do |",
        "|---|---|---|---|",
    ]
    meanings = dict(_meanings())
    for code in sorted(meanings):
        meaning, exit_code = meanings[code]
        lines.append(f"| `{code}` | {meaning} | {exit_code} | {ADVICE[code]} |")
    return "\n".join(lines) + "\n"


def _meanings() -> Iterator[tuple[str, tuple[str, int]]]:
    yield "artifact", ("The artifact is malformed, damaged, or not signed as it has to be. [rules.md](rules.md)", 1)
    yield "interrupted", ("The update was cut off by a power cut or a kill, or the boot loader fell back.", 1)
    yield "client", ("An error of another kind.", 1)
    for module in pkgutil.walk_packages(bistable.client.__path__, "bistable.client."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    kinds = [ClientError]
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        if "code" in vars(kind) and kind is not ClientError:
            text = re.sub(r"\s+", " ", inspect.getdoc(kind) or "").partition("; `")[0].rstrip(".") + "."
            yield kind.code, (text, kind.exit_code)


def guide() -> str:
    """Return the guide for people who come from the Mender client, with the tables of keys as they are now."""
    text = GUIDE.read_text()
    table = list(mender_table())
    start = text.index(table[0])
    last = re.compile(r"^\|.*\|$", re.MULTILINE)
    end = max(match.end() for match in last.finditer(text, start))
    return text[:start] + "\n".join(table) + text[end:]


def manual() -> str:
    """Return bistablectl.1."""
    lines = [
        '.TH BISTABLECTL 1 "" "Bistable" "User Commands"',
        ".SH NAME",
        "bistablectl \\- install update artifacts on this device",
    ]
    lines += [".SH SYNOPSIS", ".B bistablectl", ".I COMMAND", "[OPTIONS]", ".SH COMMANDS"]
    for name in app.COMMANDS:
        parser = _parser(name)
        lines += [".TP", f".B {_roff(_usage(parser).removeprefix('bistablectl '))}"]
        lines += [_roff(line) or ".sp" for line in app.command_module(name).DESCRIPTION.splitlines()]
        for words, meaning in _rows(parser):
            lines += [".RS", ".TP", f".B {_roff(words)}", _roff(meaning), ".RE"]
    lines += [".SH OPTIONS OF ALL COMMANDS"]
    for words, meaning in _rows(_parser("status"), common=True):
        lines += [".TP", f".B {_roff(words)}", _roff(meaning)]
    lines += [".SH EXIT STATUS"]
    for code, meaning in EXIT_CODES:
        lines += [".TP", f".B {code}", _roff(meaning)]
    return "\n".join(lines) + "\n"


def _roff(text: str) -> str:
    escaped = text.replace("\\|", "|").replace("\\", "\\e").replace("-", "\\-").replace("`", "")
    return "\\&" + escaped if escaped.startswith((".", "'")) else escaped


PAGES: Final[dict[str, Callable[[], str]]] = {
    "bistablectl.md": commands,
    "states.md": state_machine,
    "errors.md": error_codes,
    "configuration.md": configuration,
    "control-maps.md": control_maps,
    "dbus.md": lambda: interfaces(POLICY.read_text()),
}
"""Page -> what makes it."""


def main() -> None:
    """Write what is asked for."""
    if sys.argv[1:2] == ["--man"]:
        directory = Path(sys.argv[2])
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "bistablectl.1").write_text(manual())
        return
    for name, make in PAGES.items():
        (REFERENCE / name).write_text(make())
    GUIDE.write_text(guide())
    SAMPLE.write_text(sample())


if __name__ == "__main__":
    main()
