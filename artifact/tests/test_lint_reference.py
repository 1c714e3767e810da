"""The reference of targets says what the table in the code says."""

import re
from pathlib import Path
from typing import Final

import pytest

from bistable.artifact.lint import PROFILES
from bistable.artifact.lint.profiles import EmptyPayload, Profile
from bistable.artifact.lint.targets import size_text
from bistable.artifact.model import Compression

REFERENCE: Final = Path(__file__).resolve().parents[2] / "docs" / "reference"
EMPTY: Final = {
    EmptyPayload.TAKEN: "yes",
    EmptyPayload.BOOTSTRAP_FILE: "as its bootstrap file",
    EmptyPayload.REFUSED: "no",
}


def row(profile: Profile) -> str:
    """Return the line of a target in the table."""
    sizes = profile.der_sizes
    signatures = f"{sizes[0]} to {sizes[-1]} bytes" if sizes else "no"
    cells = [
        f"`{profile.name}`",
        profile.about,
        ", ".join(map(str, sorted(profile.versions))),
        kinds(profile.compressions),
        size_text(profile.window) if profile.window and Compression.ZSTD in profile.compressions else "-",
        kinds(profile.augmented) or "no",
        signatures if profile.signatures else "-",
        EMPTY[profile.empty_payload],
        size_text(profile.size) if profile.size else "-",
    ]
    return f"| {' | '.join(cells)} |"


def kinds(chosen: frozenset[Compression]) -> str:
    return ", ".join(kind.label for kind in Compression if kind in chosen)


@pytest.mark.parametrize("profile", list(PROFILES.values()), ids=list(PROFILES))
def test_every_target_is_in_the_reference_as_it_is_in_the_code(profile: Profile) -> None:
    assert row(profile) in (REFERENCE / "lint.md").read_text().splitlines()


def test_rules_that_are_explained_at_length_are_listed() -> None:
    explained = set(re.findall(r"\*\*`(lint\.[a-z-]+)`\*\*", (REFERENCE / "lint.md").read_text()))
    listed = set(re.findall(r"^\| `(lint\.[a-z-]+)` \|", (REFERENCE / "rules.md").read_text(), flags=re.MULTILINE))
    assert len(explained) >= 10
    assert explained <= listed
