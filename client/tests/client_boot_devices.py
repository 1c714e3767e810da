"""All devices by their names, and those that need nothing but a program or a file."""

from collections.abc import Callable, Mapping
from pathlib import Path

from client_boot import PAIR, RESETS, A, B, Device
from client_boot_efi import EfiDevice
from client_boot_firmware import RaspberryDevice, SystemdBootDevice
from client_boot_grub import GrubDevice, GrubMenderDevice
from client_boot_uboot import UBootDevice

from bistable.client.boot import Bootloader, BootSettings, make_bootloader
from bistable.client.boot.simulated import SimulatedSystem, create, read_device
from bistable.client.errors import BootError
from bistable.client.model import SlotName

COUNTING_HANDLER = """#!/bin/sh
# A handler in the manner of RAUC's, over a file that a boot script shares: a primary slot, states, and a trial.
set -eu
state="$(dirname "$0")/state"
. "$state"
save() {
    printf 'primary=%s\\nA=%s\\nB=%s\\ntrial=%s\\ncurrent=%s\\n' "$primary" "$A" "$B" "$trial" "$current" > "$state.new"
    mv "$state.new" "$state"
}
case "$1" in
    get-primary) echo "$primary" ;;
    set-primary) primary="$2"; trial=1; eval "$2=good"; save ;;
    get-state) eval "echo \\$$2" ;;
    set-state)
        eval "$2=$3"
        if [ "$2" = "$primary" ] && [ "$3" = good ]; then trial=0; fi
        save ;;
    get-current) echo "$current" ;;
    *) exit 1 ;;
esac
"""


class CustomDevice(Device):
    """A device with a handler; its boot script tries a new primary once."""

    tries = 1

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.state = folder / "state"
        self._save({"primary": "A", "A": "good", "B": "bad", "trial": "0", "current": "A"})
        self.handler = folder / "handler"
        self.handler.write_text(COUNTING_HANDLER)
        self.handler.chmod(0o755)

    @property
    def loader(self) -> Bootloader:
        settings = BootSettings(backend="custom", handler=self.handler, boot_names={A: "A", B: "B"})
        return make_bootloader(settings, PAIR, booted=self.booted)

    def memory(self) -> bytes:
        return self.state.read_bytes()

    def _save(self, values: Mapping[str, str]) -> None:
        self.state.write_text("".join(f"{key}={value}\n" for key, value in values.items()))

    def _boot(self) -> SlotName | None:
        for _ in range(RESETS):
            values = dict(line.split("=") for line in self.state.read_text().splitlines())
            primary, other = values["primary"], "B" if values["primary"] == "A" else "A"
            if values["trial"] == "2" or values[primary] == "bad":
                if values[other] == "bad":
                    return None
                values |= {"primary": other, primary: "bad", "trial": "0"}
            elif values["trial"] == "1":
                values["trial"] = "2"
            values["current"] = values["primary"]
            self._save(values)
            if self.comes_up(values["primary"].lower()):
                return SlotName(values["primary"].lower())
        return None


class SimulatedDevice(Device):
    """The simulated device that is shipped."""

    tries = 3

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.path = folder / "device.json"
        create(self.path, (A, B))

    @property
    def loader(self) -> Bootloader:
        return make_bootloader(BootSettings(backend="simulated", state=self.path), PAIR)

    def memory(self) -> bytes:
        return self.path.read_bytes()

    def _boot(self) -> SlotName | None:
        return reboot_simulated(self.path, self.comes_up)


def reboot_simulated(path: Path, comes_up: Callable[[str], bool]) -> SlotName | None:
    """Restart the simulated device in a file, and return the slot that came up; None if none does."""
    try:
        SimulatedSystem(path, boots=comes_up).reboot()
    except BootError:
        return None
    return read_device(path).booted


DEVICES: Mapping[str, Callable[[Path], Device]] = {
    "uboot-slots": lambda folder: UBootDevice(folder, "slots"),
    "uboot-mender": lambda folder: UBootDevice(folder, "mender"),
    "grub-slots": GrubDevice,
    "grub-mender": GrubMenderDevice,
    "systemd-boot": SystemdBootDevice,
    "efi": EfiDevice,
    "raspberry-pi": RaspberryDevice,
    "custom": CustomDevice,
    "simulated": SimulatedDevice,
}
