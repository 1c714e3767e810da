"""Debian's mender client 3.4.0 and ours do the same at the command line; where they do not, a table says why."""

from dataclasses import replace
from pathlib import Path

import pytest
from client_differences import PAGE, explained, page
from client_differences_command import DIFFERENCES
from client_peer import MARKS, Ours, Peer, require_namespaces
from client_scenarios import SCENARIOS, both, differences, play

pytestmark = MARKS

EVERYDAY = (
    "success",
    "commit without an update",
    "install during an update",
    "files are streamed",
    "the module dies while streaming",
    "empty payload",
    "reboot Automatic, not rebooted, committed",
    "ArtifactInstall fails",
    "ArtifactInstall fails, no rollback support",
    "ArtifactCommit_Leave fails",
    "ArtifactRollback fails",
    "depends are not met",
    "cut off",
    "no list of what it clears",
)


def marked(name: str) -> object:
    return pytest.param(name, id=name, marks=[] if name in EVERYDAY else pytest.mark.slow)


@pytest.mark.parametrize("name", [marked(name) for name in SCENARIOS])
def test_both_clients_do_the_same(tmp_path: Path, name: str) -> None:
    require_namespaces()
    theirs, ours = both(SCENARIOS[name], tmp_path)
    assert sorted(differences(theirs, ours)) == sorted(explained(name)), ours.said
    assert "Traceback" not in ours.said
    assert 70 not in ours.codes


def test_every_difference_is_one_of_a_scenario() -> None:
    assert {name for one in DIFFERENCES for name in one.lines} <= SCENARIOS.keys()
    assert set(EVERYDAY) <= SCENARIOS.keys()


def test_the_page_of_differences_is_made_from_the_table() -> None:
    assert PAGE.read_text() == page()


def test_a_rollback_of_what_was_booted_is_done_after_the_reboot(tmp_path: Path) -> None:
    require_namespaces()
    device = Ours(tmp_path / "ours")
    seen = play(SCENARIOS["reboot Automatic, rebooted, rolled back"], device)
    assert device.client("resume").returncode == 1
    assert "module Cleanup" not in seen.names
    device.reboot()
    assert device.client("resume").returncode == 0
    assert device.names()[-1] == "module Cleanup"
    assert device.provides()["artifact_name"] == "factory"
    assert device.client("commit").returncode == 2


def test_only_the_existing_client_leaves_pipes_behind(tmp_path: Path) -> None:
    require_namespaces()
    for device, left in ((Peer(tmp_path / "theirs"), ["stream-next", "streams"]), (Ours(tmp_path / "ours"), [])):
        play(replace(SCENARIOS["files are streamed"], steps=("install",)), device)
        tree = device.root / device.data / "modules/v3/payloads/0000/tree"
        assert sorted(path.name for path in tree.glob("stream*")) == left
