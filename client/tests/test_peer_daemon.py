"""Debian's mender client 3.4.0 and ours lead the same deployments in the same way; where not, a table says why."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from client_differences import explained
from client_differences_service import DAEMON_DIFFERENCES
from client_pair import DOWN, KILL, SCENARIOS, OurDaemon, Seen, TheirDaemon, differences, play
from client_peer import MARKS, require_namespaces
from client_service import VALID

pytestmark = MARKS

AT_A_TIME = 6
"""Scenarios that are played beside each other: a client waits most of the time."""

EVERYDAY = (
    "success",
    "success without a reboot",
    "success with a server without maps",
    "pause at each gate",
    "pause before the install, gone",
    "pause before the reboot, gone",
    "pause before the commit, gone",
    "pause before the install, fail",
    "pause before the commit, fail",
    "pause before the reboot, kill",
    "aborted at the status downloading",
    "aborted at the status installing",
    "aborted at the status rebooting",
    "aborted at the status installing before the commit",
    "Download fails",
    "ArtifactInstall fails",
    "ArtifactCommit fails",
    "ArtifactCommit_Leave fails",
)

Pair = tuple[Seen, Seen]


@pytest.fixture(scope="module")
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Pair]]:
    """Play all scenarios that are wanted, some at a time, and give what came of one."""
    require_namespaces()
    place = tmp_path_factory.mktemp("pairs")
    names = [
        str(item.callspec.params["name"])
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.path == request.path
        and hasattr(item, "callspec")
        and not any(mark.name == "skip" for mark in item.iter_markers())
    ]
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        # The longest first.
        names.sort(key=lambda name: not any(answer in {DOWN, KILL} for _, answer in SCENARIOS[name].pauses))
        done: dict[str, Future[Pair]] = {
            name: pool.submit(_both, name, place / str(number)) for number, name in enumerate(names)
        }
        yield lambda name: done[name].result()


def _both(name: str, place: Path) -> Pair:
    scenario = SCENARIOS[name]
    return play(scenario, place / "theirs", TheirDaemon), play(scenario, place / "ours", OurDaemon)


def marked(name: str) -> object:
    return pytest.param(name, id=name, marks=[] if name in EVERYDAY else pytest.mark.slow)


@pytest.mark.parametrize("name", [marked(name) for name in SCENARIOS])
def test_both_clients_lead_a_deployment_in_the_same_way(played: Callable[[str], Pair], name: str) -> None:
    theirs, ours = played(name)
    assert sorted(differences(theirs, ours)) == sorted(explained(name, DAEMON_DIFFERENCES)), ours.said
    assert "Traceback" not in ours.said
    assert set(ours.statuses) <= VALID
    assert not any(name.startswith("none ") for name in ours.substates)


def test_every_difference_is_one_of_a_scenario() -> None:
    assert {name for one in DAEMON_DIFFERENCES for name in one.lines} <= SCENARIOS.keys()
    assert set(EVERYDAY) <= SCENARIOS.keys()
