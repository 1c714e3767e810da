"""What happens to two devices that are alike, and what can be seen of it afterwards."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from client_peer import Call, Ours, Peer, artifact_scripts
from forge import KEYS
from test_peer_client import EC, data

from bistable.artifact import (
    Codec,
    Extras,
    HeadEdit,
    Options,
    bootstrap_request,
    modify_artifact,
    module_request,
    write_artifact,
)

YES: Final = "Yes\n"
NAME: Final = "release-1"
REBOOT: Final = "reboot"
"""A step in which the device is rebooted; all others are commands."""

ASKED_FOR_SIZES: Final = "module ProvidePayloadFileSizes"
"""Asked of every module by the Mender client from 4.0 on, and by ours; not by 3.4.0."""


def nothing(_: object) -> None:
    """Change nothing."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What is installed, how module and scripts behave, and what is said at the command line."""

    name: str
    steps: tuple[str, ...] = ("install", "commit", "commit")
    supports: str = YES
    needs: str = ""
    fails: tuple[str, ...] = ()
    again: Mapping[str, int] = field(default_factory=dict)
    scripts: bool = True
    files: Mapping[str, bytes] = field(default_factory=lambda: {"a": b"x" * 100_000, "b": b""})
    extras: Mapping[str, Any] = field(default_factory=dict)
    payload: bool = True
    streams: bool = False
    dies: bool = False
    signer: Any = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    before: Mapping[str, Any] | None = None
    """What an artifact without files provides that was installed and committed before."""
    damage: Callable[[Path], object] = nothing
    prepare: Callable[[Peer], None] = nothing


@dataclass(kw_only=True)
class Seen:
    """What came of it."""

    codes: list[int]
    provides: dict[str, str]
    names: list[str]
    found: list[Call]
    said: str


def write(scenario: Scenario, path: Path) -> None:
    """Write the artifact."""
    scripts = artifact_scripts() if scenario.scripts and scenario.payload else []
    extras = Extras(scripts=scripts, **scenario.extras)
    if scenario.payload:
        items = [data(name, content) for name, content in scenario.files.items()]
        request = module_request("mod", items, name=NAME, device_types=["board", "other"], extras=extras)
    else:
        request = bootstrap_request(name=NAME, device_types=["board"], extras=extras)
    write_artifact(path, request, Options(codec=Codec.parse("none"), signer=scenario.signer))
    scenario.damage(path)


def play(scenario: Scenario, device: Peer) -> Seen:
    """Let it happen on a device, and look."""
    if scenario.scripts:
        device.add_scripts()
    device.configure(**{"StateScriptRetryIntervalSeconds": 1, "StateScriptRetryTimeoutSeconds": 2, **scenario.settings})
    device.answer("SupportsRollback", YES)
    if scenario.before is not None:
        _install_before(scenario.before, device)
    write(scenario, device.root / "artifact")
    device.answer("SupportsRollback", scenario.supports)
    device.answer("NeedsArtifactReboot", scenario.needs)
    device.fail(*scenario.fails)
    for script, times in scenario.again.items():
        (device.log / "again" / script).write_text("once more\n" * times)
    for name, wanted in (("streams", scenario.streams), ("dies", scenario.dies)):
        if wanted:
            (device.log / name).touch()
    scenario.prepare(device)
    done = [_step(step, device) for step in scenario.steps]
    trace = device.trace()
    return Seen(
        codes=[code for code, _ in done],
        provides=device.provides(),
        names=[call.name for call in trace],
        found=trace,
        said="\n".join(words for _, words in done),
    )


def _step(step: str, device: Peer) -> tuple[int, str]:
    if step == REBOOT:
        device.reboot()
        return 0, ""
    words = step.split()
    done = device.client(*words, *(["/artifact"] if words[0] == "install" else []))
    return done.returncode, done.stdout + done.stderr


def _install_before(more: Mapping[str, Any], device: Peer) -> None:
    request = module_request("mod", [], name="release-0", device_types=["board"], extras=Extras(**more))
    write_artifact(device.root / "artifact", request, Options(codec=Codec.parse("none")))
    for step in ("install", "commit"):
        code, words = _step(step, device)
        assert code == 0, words
    (device.log / "trace").unlink()


def differences(theirs: Seen, ours: Seen) -> list[str]:
    """Return how two runs differ; `-` is what only the Mender client does or leaves there, `+` what only ours does."""
    names = without_question(ours.names)
    lines = [line for line in difflib.ndiff(theirs.names, names) if line[0] in "+-"]
    lines += [f"exit codes {theirs.codes} -> {ours.codes}"] if theirs.codes != ours.codes else []
    for key in sorted(theirs.provides.keys() | ours.provides.keys()):
        was, now = theirs.provides.get(key), ours.provides.get(key)
        lines += [f"provides {key}: {was} -> {now}"] if was != now else []
    return lines + sorted(_contradictions(theirs, ours))


def without_question(names: Sequence[str]) -> list[str]:
    """Return the calls without the question of newer clients, which comes once before each download."""
    kept = [name for name in names if name != ASKED_FOR_SIZES]
    downloads = [position for position, name in enumerate(names) if name == "module Download"]
    asked = [position + 1 for position, name in enumerate(names) if name == ASKED_FOR_SIZES]
    assert downloads == asked
    return kept


def _contradictions(theirs: Seen, ours: Seen) -> set[str]:
    """Return what calls that both make find different: arguments, directory, input, variables, files."""
    mine = [call for call in ours.found if call.name != ASKED_FOR_SIZES]
    names, my_names = [call.name for call in theirs.found], [call.name for call in mine]
    found: set[str] = set()
    for first, second, size in difflib.SequenceMatcher(None, names, my_names, autojunk=False).get_matching_blocks():
        for before, after in zip(theirs.found[first : first + size], mine[second : second + size], strict=True):
            found |= {
                f"{key} {value} -> {after.facts[key]}" for key, value in before.facts.items() - after.facts.items()
            }
            found |= {
                f"- variable {name}={value}" for name, value in before.variables.items() - after.variables.items()
            }
            found |= {
                f"+ variable {name}={value}" for name, value in after.variables.items() - before.variables.items()
            }
            found |= {f"- file {entry}" for entry in set(before.entries) - set(after.entries)}
            found |= {f"+ file {entry}" for entry in set(after.entries) - set(before.entries)}
    return found


def cut_off(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - 60_000])


def without_clears(path: Path) -> None:
    modify_artifact(path, path, HeadEdit(clears=None))


def of_another_type(device: Peer) -> None:
    (device.root / "var/lib/mender/device_type").write_text("device_type=another\n")


def of_no_type(device: Peer) -> None:
    (device.root / "var/lib/mender/device_type").unlink()


def without_version(device: Peer) -> None:
    (device.root / "etc/mender/scripts/version").unlink()


def without_module(device: Peer) -> None:
    (device.root / "usr/share/mender/modules/v3/mod").unlink()


def trusting(key: str) -> Callable[[Peer], None]:
    def trust(device: Peer) -> None:
        (device.root / "etc/mender/key.pem").write_bytes((KEYS / f"{key}.pub").read_bytes())

    return trust


VERIFIED: Final = {"ArtifactVerifyKey": "/etc/mender/key.pem"}
CALLS: Final = ("Download", "SupportsRollback", "ArtifactInstall", "NeedsArtifactReboot")
SCRIPTS_OF_INSTALL: Final = ("Download_Enter", "Download_Leave", "ArtifactInstall_Enter", "ArtifactInstall_Leave")
LATE: Final = ("ArtifactCommit_Enter", "ArtifactCommit", "ArtifactCommit_Leave", "Cleanup")
BACK: Final = ("ArtifactRollback_Enter", "ArtifactRollback", "ArtifactRollback_Leave")
FAILURE: Final = ("ArtifactFailure_Enter", "ArtifactFailure", "ArtifactFailure_Leave")
INSTALL: Final = ("install", "commit")
ROLLBACK: Final = ("install", "rollback", "commit")
PROVIDES: Final = {"provides": {"keep": "1", "a.b": "1", "a.c": "2"}, "group": "stable"}


def _failing(names: Sequence[str]) -> list[str]:
    """Return what has to be in the list of failures: a script is meant by its first of two."""
    return [f"{name}_00" if "_" in name else name for name in names]


def _scenarios() -> list[Scenario]:
    plain = [
        Scenario(name="success"),
        Scenario(name="success without rollback support", supports=""),
        Scenario(name="success with the answer No", supports="No\n", needs="No\n"),
        Scenario(name="success without scripts", scripts=False),
        Scenario(name="rollback", steps=ROLLBACK),
        Scenario(name="commit without an update", steps=("commit",)),
        Scenario(name="rollback without an update", steps=("rollback",)),
        Scenario(name="install during an update", steps=("install", "install", "commit")),
        Scenario(name="rollback of a module that has none", supports="No\n", steps=ROLLBACK),
        Scenario(name="two updates", steps=("install", "commit", "install", "rollback")),
        Scenario(name="no files", files={}),
        Scenario(name="one file", files={"one": b"1"}),
        Scenario(name="300 files", files={f"file-{n}": b"x" * n for n in range(300)}, scripts=False),
        Scenario(name="files are streamed", streams=True),
        Scenario(name="no files are streamed", streams=True, files={}),
        Scenario(name="the module dies while streaming", streams=True, dies=True, steps=INSTALL),
        Scenario(name="empty payload", payload=False),
        Scenario(name="no module", prepare=without_module, steps=INSTALL),
    ]
    restarts = [
        Scenario(name=f"reboot {need.strip() or 'no answer'}{how}", needs=need, steps=steps, supports=supports)
        for need in ("Yes\n", "Automatic\n")
        for supports, kind in ((YES, ""), ("No\n", ", no rollback support"))
        for how, steps in (
            (f", told by the exit code{kind}", ("install --reboot-exit-code",)),
            (f", rebooted, committed{kind}", ("install", REBOOT, "commit")),
            (f", not rebooted, committed{kind}", ("install", "commit", REBOOT, "commit")),
            (f", rebooted, rolled back{kind}", ("install", REBOOT, "rollback")),
            (f", not rebooted, rolled back{kind}", ("install", "rollback")),
        )
    ]
    failing = [
        Scenario(name=f"{name} fails{kind}", fails=tuple(_failing([name])), steps=steps, supports=supports)
        for names, steps in (
            ((*CALLS, *SCRIPTS_OF_INSTALL), INSTALL),
            (LATE, ("install", "commit", "commit")),
            (BACK, ROLLBACK),
        )
        for name in names
        for supports, kind in ((YES, ""), ("No\n", ", no rollback support"))
        if not (names == BACK and supports != YES)
    ]
    failing += [
        Scenario(
            name=f"ArtifactInstall and {name} fail", fails=tuple(_failing(["ArtifactInstall", name])), steps=INSTALL
        )
        for name in (*BACK, *FAILURE, "Cleanup")
    ]
    odd = ("yes\n", "Yes", "Yes\n\n", "Yes\nNo\n", " Yes\n", "\n", "Perhaps\n")
    answers = [Scenario(name=f"SupportsRollback answers {it!r}", steps=INSTALL, supports=it) for it in odd]
    answers += [Scenario(name=f"NeedsArtifactReboot answers {it!r}", steps=INSTALL, needs=it) for it in odd]
    refused = [
        Scenario(name="another device type", prepare=of_another_type, steps=INSTALL),
        Scenario(name="no device type", prepare=of_no_type, steps=INSTALL),
        Scenario(name="depends are not met", extras={"depends": {"x": "1"}}, steps=INSTALL),
        Scenario(name="a depends value is another", extras={"depends": {"keep": "2"}}, before=PROVIDES, steps=INSTALL),
        Scenario(name="depends are met", extras={"depends": {"keep": "1"}}, before=PROVIDES),
        Scenario(name="the name depended on is another", extras={"depends_names": ("x",)}, steps=INSTALL),
        Scenario(name="the group depended on is another", extras={"depends_groups": ("x",)}, steps=INSTALL),
        Scenario(name="signed", signer=EC, settings=VERIFIED, prepare=trusting("ec256")),
        Scenario(
            name="signed by another key", signer=EC, settings=VERIFIED, prepare=trusting("rsa2048"), steps=INSTALL
        ),
        Scenario(name="not signed", settings=VERIFIED, prepare=trusting("ec256"), steps=INSTALL),
        Scenario(name="signed, no key is configured", signer=EC),
        Scenario(name="cut off", damage=cut_off, steps=INSTALL),
        Scenario(name="cut off, streamed", damage=cut_off, streams=True, steps=INSTALL),
        Scenario(name="scripts without a version", prepare=without_version, steps=INSTALL),
    ]
    retries = [
        Scenario(name="a script asks for time once", again={"ArtifactInstall_Enter_00": 1}),
        Scenario(name="a script asks for time for too long", again={"ArtifactInstall_Enter_00": 9}, steps=INSTALL),
        Scenario(
            name="an Error script asks for time for too long",
            again={"ArtifactInstall_Error_00": 9},
            fails=("ArtifactInstall",),
            steps=INSTALL,
        ),
    ]
    provides = [
        Scenario(name="no list of what it clears", before=PROVIDES, damage=without_clears),
        Scenario(name="it clears what is named", before=PROVIDES, extras={"clears": ("a.*",)}),
        Scenario(name="the group stays", before=PROVIDES),
        Scenario(name="another group", before=PROVIDES, extras={"group": "beta"}),
        Scenario(name="rollback with provides", before=PROVIDES, extras={"provides": {"new": "1"}}, steps=ROLLBACK),
        Scenario(
            name="failure with provides, no rollback support",
            before=PROVIDES,
            extras={"provides": {"new": "1"}, "group": "beta", "clears": ("a.*",)},
            fails=("ArtifactInstall",),
            supports="No\n",
            steps=INSTALL,
        ),
        Scenario(
            name="failure with provides",
            before=PROVIDES,
            extras={"provides": {"new": "1"}, "group": "beta", "clears": ("a.*",)},
            fails=("ArtifactInstall",),
            steps=INSTALL,
        ),
    ]
    return [*plain, *restarts, *failing, *answers, *refused, *retries, *provides]


SCENARIOS: Final = {scenario.name: scenario for scenario in _scenarios()}


def both(scenario: Scenario, place: Path) -> tuple[Seen, Seen]:
    """Let it happen on both devices."""
    return play(scenario, Peer(place / "theirs")), play(scenario, Ours(place / "ours"))
