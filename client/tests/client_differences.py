"""Where our client does something else than Mender's 3.4.0: the tables of both, and the page that is made from them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from client_differences_command import DIFFERENCES
from client_differences_form import Difference
from client_differences_service import DAEMON_DIFFERENCES

PAGE: Final = Path(__file__).parent.parent.parent / "docs/reference/differences.md"


def explained(scenario: str, table: Iterable[Difference] = DIFFERENCES) -> list[str]:
    """Return the lines that a table has for a scenario."""
    return [line for one in table for line in one.lines.get(scenario, ())]


def page() -> str:
    """Return docs/reference/differences.md."""
    parts = [HEAD, *_rows(DIFFERENCES), MIDDLE, *_rows(DAEMON_DIFFERENCES), FOOT]
    return "\n".join(parts) + "\n"


def _rows(table: Iterable[Difference]) -> list[str]:
    return [f"| {one.about} | {one.theirs} | {one.ours} | {one.why} |" for one in table]


HEAD: Final = """\
# What differs from the Mender client

The same artifacts, modules, scripts and answers of a server were given to Debian's Mender client 3.4.0 and to this one.
All that they do is the same except for what is in these tables. The tests compare both clients again each time, and
this page is made from their tables.

## At the command line

In more than a hundred situations: which calls are made, in which order, with which arguments, environment, directory
and files, with which exit code it ends, and what the device provides afterwards.

| | Mender client 3.4.0 | `bistablectl` | why |
|---|---|---|---|"""

MIDDLE: Final = """
Every module is asked `ProvidePayloadFileSizes` before its download, as by the Mender client from 4.0 on; one that does
not know the question answers nothing, and nothing changes for it.

## The service

Deployments of one server, with pauses at each gate that go on, fail, are aborted or meet a restart or a server that is
gone, and with failures of every call and script: which calls are made in which order, and what the server is told.

| | daemon of the Mender client 3.4.0 | `bistabled` | why |
|---|---|---|---|"""

FOOT: Final = """
The service tells the server of every script, with the status of its step, and in a pause who holds the update. The
Mender client tells of some scripts."""


if __name__ == "__main__":
    PAGE.write_text(page())
