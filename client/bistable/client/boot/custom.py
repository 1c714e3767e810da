"""A program of the integrator's that knows the boot loader, called with the verbs of RAUC's custom back end.

| verb                          | prints         |
|-------------------------------|----------------|
| `get-primary`                 | a boot name    |
| `set-primary NAME`            |                |
| `get-state NAME`              | `good` or `bad`|
| `set-state NAME good`/`bad`   |                |
| `get-current`                 | a boot name; handlers made for RAUC before 1.11 do not have it|

A handler written for RAUC works unchanged. What our calls make of the verbs, each in an order in which every step
leaves something good to boot:

| call     | refused when                         | verbs                                                              |
|----------|--------------------------------------|--------------------------------------------------------------------|
| primary  |                                      | get-primary                                                        |
| forbid   | it runs; the other's state is bad    | set-primary OTHER and set-state OTHER good, if it was not primary; |
|          |                                      | set-state SLOT bad                                                 |
| activate | the other's state is bad             | set-primary SLOT; set-state SLOT good if that did not make it so   |
| confirm  | it does not run                      | set-primary SLOT if it was not; set-state SLOT good                |
| restore  | its state is bad and it does not run | set-primary SLOT if it was not; set-state SLOT good;               |
|          |                                      | set-state OTHER bad                                                |

After set-primary many handlers count, or expect a confirmation: that is what set-state good is for.

The verbs do not tell a slot on trial from a good one, and several of them are not one change. So this cannot be as
strong as the other back ends: whether a slot that does not come up is given up after some tries, and whether a good
slot has a counter that short boots use up, is for the handler and the boot script to see to. A handler that counts
nothing boots a broken slot for ever: use it only where a watchdog or the firmware falls back. Nothing here can give a
trial its tries again, so a power cut in a pause before the commit may end the trial.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from bistable.client.boot.ports import Booted, SlotStatus, check_known
from bistable.client.errors import BootError, ProgramError
from bistable.client.model import SlotName
from bistable.client.run import run

_GRACE: Final = 5.0
"""Seconds for a late handler to put away what it holds, before it is killed."""


class CustomBootloader:
    """The boot loader behind `handler`; `boot_names` are the names it uses, if they are not the slots' own."""

    def __init__(
        self,
        handler: str | Path,
        names: tuple[SlotName, SlotName],
        *,
        timeout: float,
        boot_names: Mapping[SlotName, str] | None = None,
        booted: Booted | None = None,
    ) -> None:
        self._handler, self._names, self._timeout = handler, names, timeout
        self._boot_names = {name: (boot_names or {}).get(name, name) for name in names}
        self._booted = booted
        self._current: SlotName | None = None

    def primary(self) -> SlotName:
        """Return the slot that the next boot tries first."""
        return self._slot_from("get-primary")

    def current(self) -> SlotName:
        """Return the slot that runs, as the handler sees it."""
        # Only a reboot changes it, and that ends this process.
        if self._current is None:
            self._current = self._slot_from("get-current")
        return self._current

    def forbid(self, slot: SlotName) -> None:
        """Never boot the slot, from now on."""
        other = check_known(slot, self._names)
        if slot == self._running():
            raise BootError(f"cannot forbid slot {slot}: it is running")
        self._require_good(other, f"cannot forbid slot {slot}")
        if not self._is_primary(other):
            self._settle_on(other, f"cannot forbid slot {slot}")
        if self._good(slot):
            self._set_state(slot, "bad")

    def activate(self, slot: SlotName) -> None:
        """Try the slot at the next boot."""
        self._require_good(check_known(slot, self._names), f"cannot activate slot {slot}")
        self._set_primary(slot)
        # For most handlers this was all; for some the slot is still bad, from when it was written.
        if not self._is_primary(slot) or not self._good(slot):
            self._set_state(slot, "good")
        self._require_primary(slot, f"cannot activate slot {slot}")

    def confirm(self, slot: SlotName) -> None:
        """Take the running slot as good."""
        check_known(slot, self._names)
        running = self._running()
        if running is not None and running != slot:
            raise BootError(f"cannot confirm slot {slot}: slot {running} is running")
        self._settle_on(slot, f"cannot confirm slot {slot}")

    def restore(self, slot: SlotName) -> None:
        """Boot only this slot, which is known to be good."""
        other = check_known(slot, self._names)
        if slot != self._running():
            self._require_good(slot, f"cannot go back to slot {slot}")
        self._settle_on(slot, f"cannot go back to slot {slot}")
        if self._good(other):
            self._set_state(other, "bad")

    def status(self, slot: SlotName) -> SlotStatus:
        """Return the handler's state of the slot."""
        check_known(slot, self._names)
        good = self._good(slot)
        return SlotStatus(bootable=good, good=good, tries_left=None)

    def _running(self) -> SlotName | None:
        if self._booted is not None:
            return self._booted()
        with suppress(BootError):
            return self.current()
        return None

    def _good(self, slot: SlotName) -> bool:
        answer = self._call("get-state", self._boot_names[slot])
        if answer not in {"good", "bad"}:
            raise BootError(
                f"cannot understand {self._handler}: get-state printed {answer!r}, neither 'good' nor 'bad'"
            )
        return answer == "good"

    def _require_good(self, slot: SlotName, what: str) -> None:
        if not self._good(slot):
            raise BootError(f"{what}: {self._handler} says that slot {slot} is bad")

    def _is_primary(self, slot: SlotName) -> bool:
        # A handler may print nothing, or fail, when its primary slot is bad.
        with suppress(BootError):
            return self.primary() == slot
        return False

    def _settle_on(self, slot: SlotName, what: str) -> None:
        """Make the slot primary, without a trial."""
        if not self._is_primary(slot):
            self._set_primary(slot)
        # Even if it reads "good" already: this is what stops the counting.
        self._set_state(slot, "good")
        self._require_primary(slot, what)

    def _require_primary(self, slot: SlotName, what: str) -> None:
        if not self._is_primary(slot):
            raise BootError(
                f"{what}: after set-primary, get-primary of {self._handler} does not name it",
                hint=f"try {self._handler} get-primary by hand",
            )

    def _set_primary(self, slot: SlotName) -> None:
        self._call("set-primary", self._boot_names[slot])

    def _set_state(self, slot: SlotName, state: str) -> None:
        self._call("set-state", self._boot_names[slot], state)

    def _slot_from(self, verb: str) -> SlotName:
        answer = self._call(verb)
        for name, boot_name in self._boot_names.items():
            if answer == boot_name:
                return name
        known = " nor ".join(repr(name) for name in self._boot_names.values())
        raise BootError(
            f"cannot understand {self._handler}: {verb} printed {answer!r}, neither {known}",
            hint="give the boot loader's names of the slots in the configuration",
        )

    def _call(self, *words: str) -> str:
        try:
            # Handlers were written for the environment of a service, not for a bare one.
            output = run([self._handler, *words], timeout=self._timeout, grace=_GRACE, inherit=True)
        except ProgramError as e:
            raise BootError(f"cannot {words[0]} with the boot loader's handler: {e.what}", hint=e.hint) from e
        return output.text.strip()
