"""A deployment with pauses and faults, for the Mender client's daemon and for ours, and what a server sees of it."""

import difflib
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from client_answers import Asked, refusing
from client_peer import Ours, Peer, artifact_scripts
from client_scenarios import ASKED_FOR_SIZES
from client_server import Deployment, FakeServer
from client_service import PAUSE_STATUS, control_map
from test_peer_client import data

from bistable.artifact import Codec, Extras, Options, module_request, write_artifact
from bistable.client.model import Point

if TYPE_CHECKING:
    import subprocess

IDENTITY: Final = "#!/bin/sh\necho mac=02:00:00:00:00:01\n"
FINAL: Final = ("success", "failure")
LONGEST: Final = 60.0

CONTINUE: Final = "continue"
GONE: Final = "gone"
"""The deployment is aborted: its map is not to be found, and every status is answered with 409."""
FAIL: Final = "fail"
DOWN: Final = "down"
"""The server cannot be reached for longer than the Mender client waits."""
KILL: Final = "kill"
"""The client is killed and started again."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What the server has, what is done in each pause, and what fails."""

    name: str
    pauses: tuple[tuple[Point, str], ...] = ()
    fails: tuple[str, ...] = ()
    needs: str = "Yes\n"
    supports: str = "Yes\n"
    withdrawn: tuple[str, int] | None = None
    """A status that is answered with 409, and how many of it are taken before; it is withdrawn from then on."""
    ways: frozenset[str] = frozenset({"v2", "v1 POST", "v1 GET"})


@dataclass(kw_only=True)
class Seen:
    """What came of it."""

    statuses: list[str]
    """As the server took them, without what only tells a substate, each once in a row."""
    substates: list[str]
    """Status and script, for each script that began."""
    calls: list[str]
    provides: dict[str, str] = field(default_factory=dict)
    said: str = ""


class OurDaemon(Ours):
    """The device with our service."""

    def program_words(self) -> list[str]:
        return [sys.executable, "-m", "bistable.client.daemon", "--bus", "none"]

    def daemon(self) -> "subprocess.Popen[str]":
        return self.start()


class TheirDaemon(Peer):
    """The device with the Mender client's daemon."""

    def daemon(self) -> "subprocess.Popen[str]":
        return self.start("daemon")


@cache
def artifact() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "artifact"
        request = module_request(
            "mod",
            [data("a", b"x" * 100_000)],
            name="release-2",
            device_types=["board"],
            extras=Extras(scripts=artifact_scripts()),
        )
        write_artifact(path, request, Options(codec=Codec.parse("none")))
        return path.read_bytes()


class Play:
    """One scenario on one device."""

    def __init__(self, scenario: Scenario, device: "OurDaemon | TheirDaemon", server: FakeServer) -> None:
        self.scenario, self.device, self.server = scenario, device, server
        self._said: list[str] = []
        self._process: subprocess.Popen[str] | None = None

    def run(self) -> Seen:
        self._prepare()
        self._start()
        try:
            for point, answer in self.scenario.pauses:
                if not self._until(lambda point=point: self._told(PAUSE_STATUS[point]) or self._over()):  # type: ignore[misc]
                    raise AssertionError("it neither pauses nor ends")
                if self._over():
                    break
                self._answer(point, answer)
            assert self._until(self._over), self.server.lines()
        finally:
            self._kill()
        return self._seen()

    def _prepare(self) -> None:
        device, scenario, server = self.device, self.scenario, self.server
        (device.root / "usr/share/mender/identity").mkdir(parents=True)
        device.program("usr/share/mender/identity/mender-device-identity", IDENTITY)
        device.add_scripts()
        device.configure(
            ServerURL=server.url,
            DBus={"Enabled": False},
            UpdatePollIntervalSeconds=1,
            InventoryPollIntervalSeconds=3600,
            RetryPollIntervalSeconds=1,
            UpdateControlMapExpirationTimeSeconds=3600,
        )
        device.answer("SupportsRollback", scenario.supports)
        device.answer("NeedsArtifactReboot", scenario.needs)
        device.fail(*scenario.fails)
        server.artifact, server.ways = artifact(), set(scenario.ways)
        pauses = {point.value: "pause" for point, _ in scenario.pauses}
        server.deployment = Deployment(control_map=control_map(**pauses) if pauses else None)
        if scenario.withdrawn is not None:
            status, taken = scenario.withdrawn
            server.fail("status", self._withdraw(), times=1, skip=taken, when=_is_step(status))

    def _withdraw(self) -> Callable[[Asked, Any], Any]:
        def answer(asked: Asked, due: Any) -> Any:
            self._abort()
            return refusing(409, "aborted")(asked, due)

        return answer

    def _abort(self) -> None:
        self.server.aborts_at = {*PAUSE_STATUS.values(), *FINAL, "downloading", "installing", "rebooting", ""}
        self.server.deployment = None

    def _answer(self, point: Point, answer: str) -> None:
        server = self.server
        if answer == GONE:
            self._abort()
            return
        assert server.deployment is not None
        states = server.deployment.control_map["states"] if server.deployment.control_map else {}
        key = next(iter(control_map(**{point.value: "pause"})["states"]))
        if answer == KILL:
            self._kill()
            before = len(server.asked)
            self._start()
            assert self._until(lambda: any(one.kind in {"map", "next"} for one in server.asked[before:]))
        if answer == DOWN:
            server.fail("any", refusing(503), times=-1)
            # The Mender client gives up after three attempts a minute apart.
            before = len(server.of("map"))
            self._until(lambda: self._said_failure() or len(server.of("map")) > before + 12, 240.0)
            server.heal()
        server.deployment.control_map = {
            **control_map(),
            "states": {**states, key: {"action": FAIL if answer == FAIL else "force_continue"}},
        }

    def _said_failure(self) -> bool:
        return any("ArtifactFailure" in name or name == "module Cleanup" for name in self.device.names())

    def _told(self, status: str) -> bool:
        return (status, None) in self.server.statuses

    def _over(self) -> bool:
        """Whether the device asks for updates again after it was busy with one."""
        asked = self.server.asked
        busy = [number for number, one in enumerate(asked) if one.kind in {"status", "artifact", "log"}]
        return bool(busy) and any(one.kind == "next" for one in asked[busy[-1] :])

    def _until(self, true: Callable[[], bool], seconds: float = LONGEST) -> bool:
        try:
            self.server.wait_for(lambda _: true(), seconds)
        except AssertionError:
            return False
        return True

    def _start(self) -> None:
        self._process = self.device.daemon()

    def _kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            out, err = self._process.communicate()
            self._said += [out, err]
            self._process = None

    def _seen(self) -> Seen:
        told = list(self.server.statuses)
        names = [status for status, words in told if not words or (status in FINAL and not _is_script(words))]
        begun = [f"{status or 'none'} {words.split()[-1]}" for status, words in told if words and _begins(words)]
        calls = [name for name in self.device.names() if name != ASKED_FOR_SIZES]
        return Seen(
            statuses=[name for number, name in enumerate(names) if number == 0 or names[number - 1] != name],
            # The Mender client tells of scripts that end something in some states only.
            substates=_short([name for name in begun if "_Enter_" in name and "Sync_" not in name]),
            calls=_short([name for name in calls if not name.startswith(("script Idle_", "script Sync_"))]),
            said="\n".join(self._said),
        )


def _short(names: Sequence[str]) -> list[str]:
    """Return names with the two scripts of a state and action as one, where both are there."""
    found: list[str] = []
    for name in names:
        if name.endswith("_01_second") and found and found[-1] == name.removesuffix("_01_second") + "_00":
            found[-1] = name.removesuffix("_01_second")
        else:
            found.append(name)
    return found


def _is_step(status: str) -> Callable[[Asked], bool]:
    return lambda asked: asked.json["status"] == status and not asked.json.get("substate")


def _is_script(words: str) -> bool:
    return words.lower().startswith(("executing script", "finished executing script"))


def _begins(words: str) -> bool:
    return words.lower().startswith("executing script")


def play(scenario: Scenario, place: Path, kind: "type[OurDaemon | TheirDaemon]") -> Seen:
    with FakeServer() as server:
        return Play(scenario, kind(place), server).run()


def differences(theirs: Seen, ours: Seen) -> list[str]:
    """Return how two runs differ; `-` is what only the Mender client does or tells, `+` what only ours does."""
    lines: list[str] = []
    for kind, before, after in (
        ("status", theirs.statuses, ours.statuses),
        ("substate", theirs.substates, ours.substates),
        ("", theirs.calls, ours.calls),
    ):
        found = [line for line in difflib.ndiff(before, after) if line[0] in "+-"]
        lines += [f"{line[0]} {kind} {line[2:]}" if kind else line for line in found]
    return lines


# --- the scenarios

MAPPED: Final = (Point.INSTALL, Point.REBOOT, Point.COMMIT)
CALLS: Final = (
    "Download",
    "SupportsRollback",
    "ArtifactInstall",
    "NeedsArtifactReboot",
    "ArtifactReboot",
    "ArtifactVerifyReboot",
    "ArtifactCommit",
    "Cleanup",
)
SCRIPTS: Final = (
    "Download_Enter",
    "Download_Leave",
    "ArtifactInstall_Enter",
    "ArtifactInstall_Leave",
    "ArtifactReboot_Enter",
    "ArtifactReboot_Leave",
    "ArtifactCommit_Enter",
    "ArtifactCommit_Leave",
)


def _scenarios() -> list[Scenario]:
    found = [
        Scenario(name="success"),
        Scenario(name="success without a reboot", needs="No\n"),
        Scenario(name="success with a server without maps", ways=frozenset({"v1 GET"})),
        Scenario(name="pause at each gate", pauses=tuple((point, CONTINUE) for point in MAPPED)),
    ]
    found += [
        Scenario(name=f"pause before the {point.value}, {answer}", pauses=((point, answer),))
        for answer in (CONTINUE, GONE, FAIL, KILL, DOWN)
        for point in MAPPED
    ]
    found += [
        Scenario(
            name=f"aborted at the status {status}{' before the commit' if taken else ''}", withdrawn=(status, taken)
        )
        for status, taken in (("downloading", 0), ("installing", 0), ("rebooting", 0), ("installing", 1))
    ]
    found += [Scenario(name=f"{name} fails", fails=(name,)) for name in CALLS]
    found += [Scenario(name=f"{name} fails", fails=(f"{name}_00",)) for name in SCRIPTS]
    found += [
        Scenario(name=f"{name} fails, no rollback", fails=(name,), supports="No\n")
        for name in ("ArtifactInstall", "ArtifactCommit")
    ]
    found += [
        Scenario(name=f"ArtifactCommit and {name} fail", fails=("ArtifactCommit", name))
        for name in ("ArtifactRollback", "ArtifactRollbackReboot", "ArtifactFailure", "Cleanup")
    ]
    return found


SCENARIOS: Final = {scenario.name: scenario for scenario in _scenarios()}
