"""What the names of state scripts and their `version` file say; decides on text only.

A script is called `<State>_<Enter|Leave|Error>_<NN>[_<text>]` and belongs to exactly one state and action. Mender 3.x
looks for the words anywhere in the name, so that it runs `ArtifactInstall_Enter_01_Leave` twice; later ones do not.
"""

import re
from collections.abc import Iterable
from typing import Final

from bistable.artifact.errors import quoted
from bistable.client.errors import ScriptError

SYSTEM_STATES: Final = frozenset({"Idle", "Sync", "Download"})
"""States whose scripts come with the running system; those of all others come with the artifact."""

ARTIFACT_STATES: Final = frozenset({
    "ArtifactInstall",
    "ArtifactReboot",
    "ArtifactCommit",
    "ArtifactRollback",
    "ArtifactRollbackReboot",
    "ArtifactFailure",
})  # fmt: skip
VERSION_FILE: Final = "version"
WRITTEN_VERSION: Final = b"3"
"""What Mender 3.x writes beside the scripts of an artifact: the version of the artifact's format."""

VERSIONS: Final = frozenset({2, 3})

_NAME: Final = re.compile(r"([A-Za-z]+)_(Enter|Leave|Error)_[0-9]{2}(_\S+)?")
_NUMBER: Final = re.compile(rb"[+-]?[0-9]+")


def is_script(name: str) -> bool:
    """Return whether this is the name of a script of any known state."""
    found = _NAME.fullmatch(name)
    return found is not None and found[1] in SYSTEM_STATES | ARTIFACT_STATES


def is_artifact_script(name: str) -> bool:
    """Return whether an artifact may bring a script of this name."""
    found = _NAME.fullmatch(name)
    return found is not None and found[1] in ARTIFACT_STATES and "/" not in name and name.isprintable()


def scripts_of(names: Iterable[str], state: str, action: str) -> list[str]:
    """Return the scripts of a state and action in the order in which they run."""
    return sorted(
        (name for name in names if _belongs(name, state, action)),
        key=lambda name: name.encode("utf-8", "surrogateescape"),
    )


def almost(names: Iterable[str], state: str, action: str) -> list[str]:
    """Return names that look meant for a state and action but break the rule, so that they will never run."""
    start = f"{state}_{action}"
    return sorted(name for name in names if name.startswith(start) and not _belongs(name, state, action))


def _belongs(name: str, state: str, action: str) -> bool:
    found = _NAME.fullmatch(name)
    return found is not None and found[1] == state and found[2] == action


def parse_version(raw: bytes) -> int:
    """Return the number in a `version` file.

    Raises:
        ScriptError: it is not a number.
    """
    text = raw.strip()
    if not _NUMBER.fullmatch(text):
        raise ScriptError(
            f"cannot run state scripts: their version file holds {quoted(text)}, which is not a number",
            hint="write 3 into it",
        )
    return int(text)
