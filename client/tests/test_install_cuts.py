"""The power goes before or after every call to a port, and whatever is booted then is whole; what is repeated works."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from client_slots import MIB, A, B, FakeBoot, Image, Power, PowerCutError, file_slots, random_bytes

from bistable.artifact.model import PayloadFile
from bistable.client.install import RootfsPayload
from bistable.client.model import SlotName

CONTENT = random_bytes(2 * MIB + 10, seed=7)


class PoweredImage(Image):
    """One whose every chunk is a moment at which the power can go."""

    def __init__(self, power: Power) -> None:
        super().__init__(CONTENT, chunk=MIB)
        self._power = power

    def unhashed_chunks(self) -> Iterator[bytes]:
        for chunk in super().unhashed_chunks():
            self._power.moment("chunk")
            yield chunk

    def finish_as(self, digest: str) -> PayloadFile:
        self._power.moment("before finish")
        return super().finish_as(digest)


class Rig:
    """A device that can be cut off at a moment, booted, and made to go on."""

    def __init__(self, folder: Path, cut_at: int | None) -> None:
        self.pair = file_slots(folder, size=4 * MIB)
        self.note = folder / "data" / "note"
        self.power = Power(cut_at=cut_at)
        self.boot = FakeBoot(power=self.power)
        self.runs = A

    def payload(self) -> RootfsPayload:
        return RootfsPayload(
            self.pair, origin=A, running=self._running, boot=self.boot, note=self.note, on_progress=self._progress
        )

    def _running(self) -> SlotName:
        self.power.moment("running")
        return self.runs

    def _progress(self, done: int, total: int | None) -> None:
        self.power.moment("progress")

    def restart(self) -> None:
        """Boot as the boot loader would; whatever it boots must be whole."""
        chosen = self.boot.primary()
        assert chosen not in self.boot.forbidden
        if chosen == B:
            assert self.pair.slot(B).device.read_bytes()[: len(CONTENT)] == CONTENT
        else:
            assert self.pair.slot(A).device.read_bytes() == random_bytes(4 * MIB, seed=0)
        self.runs = chosen

    def download(self) -> None:
        self.payload().download([PoweredImage(self.power)])

    def install_and_arm(self) -> None:
        self.payload().install()
        self.payload().arm()

    def commit(self) -> None:
        self.payload().verify_reboot()
        self.payload().commit()

    def roll_back(self) -> None:
        self.payload().rollback()


def moments_of_a_whole_run(folder: Path, *, back: bool) -> int:
    rig = Rig(folder, None)
    run(rig, back=back)
    return len(rig.power.moments)


def run(rig: Rig, *, back: bool) -> None:
    """Go through an update; each phase is repeated after a power cut, by a new payload, as the record says."""
    repeated(rig, rig.download)
    repeated(rig, rig.install_and_arm, unless_runs=B)
    rig.restart()
    if back:
        repeated(rig, rig.roll_back)
        rig.restart()
        repeated(rig, rig.payload().verify_rollback_reboot)
    else:
        repeated(rig, rig.commit)
        rig.restart()
    rig.payload().cleanup()


def repeated(rig: Rig, phase: Callable[[], None], *, unless_runs: SlotName | None = None) -> None:
    try:
        phase()
    except PowerCutError:
        rig.restart()
        if rig.runs != unless_runs:
            phase()


@pytest.mark.parametrize("back", [False, True], ids=["commit", "roll back"])
def test_after_a_power_cut_at_any_moment_the_update_can_be_brought_to_its_end(tmp_path: Path, back: bool) -> None:
    (tmp_path / "whole").mkdir()
    count = moments_of_a_whole_run(tmp_path / "whole", back=back)
    assert count > 15
    for cut in range(count):
        folder = tmp_path / str(cut)
        folder.mkdir()
        rig = Rig(folder, cut)
        run(rig, back=back)
        assert rig.power.moments[cut:], cut
        assert rig.runs == (A if back else B), rig.power.moments[cut]
        assert rig.boot.primary() == rig.runs
        assert rig.boot.trial is None
        assert not rig.note.exists()


def test_the_target_is_forbidden_before_its_first_byte_is_lost(tmp_path: Path) -> None:
    rig = Rig(tmp_path, None)
    rig.power.cut_at = 1
    with pytest.raises(PowerCutError, match="before forbid"):
        rig.download()
    assert rig.pair.slot(B).device.read_bytes() == random_bytes(4 * MIB, seed=1)
