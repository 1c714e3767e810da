"""A root file system is installed, kept and undone with the same boot variables as by Debian's mender client 3.4.0."""

from contextlib import ExitStack
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from client_peer import MARKS, artifact_scripts, require_namespaces
from client_takeover import BothClients
from test_peer_client import IMAGE, rootfs

from bistable.artifact import Codec, Extras, Options, write_artifact

pytestmark = MARKS

BOOT = {"boot 2": "2", "boot 3": "3"}
GIVES_UP = "boot loader gives up"
"""The boot loader did not get the new slot up, and boots the old one again."""

SAME = {
    "kept": ("install", "boot 3", "commit"),
    "undone before the reboot": ("install", "rollback"),
    "undone before the reboot, rebooted": ("install", "rollback", "boot 2", "commit"),
    "told by the exit code": ("install --reboot-exit-code",),
    "two updates": ("install", "boot 3", "commit", "install", "boot 2", "commit"),
    "the second one undone": ("install", "boot 3", "commit", "install", "rollback"),
}


class Lane:
    """One of two devices that are alike, and which of its clients is used."""

    def __init__(self, device: BothClients, *, old: bool) -> None:
        self.device, self._old = device, old
        self.codes: list[int] = []
        self.variables: list[dict[str, str]] = []

    def run(self, *words: str) -> CompletedProcess[str]:
        return self.device.old(*words) if self._old else self.device.client(*words)

    def play(self, *steps: str) -> None:
        for step in steps:
            if step in BOOT:
                self.device.boot_slot(BOOT[step])
            elif step == GIVES_UP:
                for key, value in {
                    "mender_boot_part": "2",
                    "mender_boot_part_hex": "2",
                    "upgrade_available": "0",
                }.items():
                    (self.device.log / "env" / key).write_text(value + "\n")
                self.device.boot_slot("2")
            else:
                words = step.split()
                done = self.run(*words, *(["/artifact"] if words[0] == "install" else []))
                self.codes.append(done.returncode)
            self.variables.append(self.device.boot_variables())

    def provides(self) -> dict[str, str]:
        return self.device.old_provides() if self._old else self.device.provides()

    def seen(self) -> dict[str, Any]:
        slots = {number: path.read_bytes()[: len(IMAGE)] == IMAGE for number, path in self.device.slots.items()}
        return {
            "codes": self.codes,
            "variables": self.variables,
            "slots": slots,
            "scripts": [call.name for call in self.device.trace()],
        }


@pytest.fixture
def lanes(tmp_path: Path) -> Any:
    require_namespaces()
    with ExitStack() as stack:
        made = []
        for name in ("theirs", "ours"):
            place = tmp_path / name
            place.mkdir()
            device = BothClients(place / "device")
            stack.enter_context(device.with_slots(place))
            device.add_scripts()
            request = rootfs(extras=Extras(scripts=artifact_scripts()))
            write_artifact(device.root / "artifact", request, Options(codec=Codec.parse("gzip")))
            made.append(Lane(device, old=name == "theirs"))
        yield made


@pytest.mark.parametrize("steps", [pytest.param(steps, id=name) for name, steps in SAME.items()])
def test_both_clients_tell_the_boot_loader_the_same(lanes: list[Lane], steps: tuple[str, ...]) -> None:
    theirs, ours = lanes
    for lane in lanes:
        lane.play(*steps)
    assert ours.seen() == theirs.seen()
    committed = theirs.provides()
    if "rootfs-image.checksum" in committed:
        assert ours.provides() == committed


def test_only_ours_keeps_the_update_until_the_old_slot_runs_again(lanes: list[Lane]) -> None:
    theirs, ours = lanes
    for lane in lanes:
        lane.play("install", "boot 3", "rollback")
    assert ours.variables[-1] == theirs.variables[-1]
    assert ours.codes == theirs.codes
    assert ours.device.status()["update"]["state"] == "rollback-reboot"
    ours.play("boot 2", "resume")
    assert ours.codes[-1] == 0
    assert ours.device.status()["update"] is None


def test_only_the_existing_client_commits_what_was_not_booted(lanes: list[Lane]) -> None:
    theirs, ours = lanes
    for lane in lanes:
        lane.play("install", "commit")
    assert (theirs.codes, ours.codes) == ([0, 0], [0, 1])
    assert theirs.variables[-1]["upgrade_available"] == "0"
    assert ours.variables[-1]["upgrade_available"] == "1"


def test_only_ours_sees_that_the_boot_loader_gave_up(lanes: list[Lane]) -> None:
    theirs, ours = lanes
    for lane in lanes:
        lane.play("install", "boot 3", GIVES_UP, "commit")
    assert ours.codes[-1] == 1
    assert ours.device.provides()["artifact_name"] == "factory"
    assert ours.variables[-1] == theirs.variables[-1]
    assert ours.device.status()["update"] is None
