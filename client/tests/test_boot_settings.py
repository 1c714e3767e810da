"""From the configuration to the boot loader, and from there to the restart and to what the doctor says."""

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import pytest
from client_boot import PAIR, SLOTS_FACTORY
from client_boot import Device as Rig
from client_boot_efi import EfiDevice
from client_boot_firmware import RaspberryDevice
from client_boot_grub import GrubDevice, GrubFile, GrubFolders

from bistable.client.boot import BOOTLOADERS, Bootloader
from bistable.client.boot.efi.loader import EfiBootloader
from bistable.client.boot.raspberrypi.loader import RaspberryPiBootloader
from bistable.client.boot.systemdboot.loader import SystemdBootloader
from bistable.client.boot.uboot.mender import MenderBootloader
from bistable.client.boot.uboot.slots import SlotsBootloader
from bistable.client.config import BootBackend, Settings
from bistable.client.config.settings import BootSettings, SlotSettings
from bistable.client.deployment.device import Device
from bistable.client.deployment.doctor.bootloader import examine_bootloader
from bistable.client.deployment.doctor.finding import Finding, Grade
from bistable.client.errors import ConfigError
from bistable.client.model import SlotName


def device(**boot: object) -> Device:
    slots = SlotSettings(a=Path("/dev/mmcblk0p2"), b=Path("/dev/mmcblk0p10"))
    return Device(Settings(slots=slots, boot=BootSettings(**boot)), environment={})  # type: ignore[arg-type]


def test_every_backend_of_the_configuration_has_a_boot_loader() -> None:
    assert {backend.value for backend in BootBackend} - {"auto"} == set(BOOTLOADERS)


def grub(folder: Path) -> dict[str, object]:
    path = GrubFile(folder, SLOTS_FACTORY).path
    return {"grub_copies": (f"{path}@0", f"{path}@65536")}


def grub_of_mender(folder: Path) -> dict[str, object]:
    return {"grub_directory": GrubFolders(folder, {"mender_boot_part": "2"}).folder}


def systemd_boot(folder: Path) -> dict[str, object]:
    (folder / "loader/entries").mkdir(parents=True)
    (folder / "loader/entries/bistable-a.conf").write_text("version 1\n")
    return {"directory": folder, "tries": 5}


def efi(folder: Path) -> dict[str, object]:
    return {"directory": folder, "efi_entries": ("0001", "0002")}


def raspberry_pi(folder: Path) -> dict[str, object]:
    (folder / "autoboot.txt").write_bytes(RaspberryDevice.AUTOBOOT)
    return {"directory": folder, "partitions": ("/dev/mmcblk0p2", "/dev/mmcblk0p3")}


KINDS: Sequence[tuple[Callable[[Path], dict[str, object]], BootBackend, type[Bootloader]]] = [
    (grub, BootBackend.GRUB, SlotsBootloader),
    (grub_of_mender, BootBackend.GRUB, MenderBootloader),
    (systemd_boot, BootBackend.SYSTEMD_BOOT, SystemdBootloader),
    (efi, BootBackend.EFI, EfiBootloader),
    (raspberry_pi, BootBackend.RASPBERRY_PI, RaspberryPiBootloader),
]


@pytest.mark.parametrize(("settings", "backend", "kind"), KINDS, ids=lambda value: getattr(value, "__name__", None))
@pytest.mark.skipif(Path("/etc/fw_env.config").exists(), reason="this machine itself shows signs of a U-Boot")
def test_a_boot_loader_is_found_out_or_named(
    settings: Callable[[Path], dict[str, object]],
    backend: BootBackend,
    kind: type[Bootloader],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    values = settings(tmp_path)
    found = device(**values)
    assert found.backend is backend
    assert isinstance(found.bootloader, kind)
    assert isinstance(device(backend=backend, **values).bootloader, kind)


def test_what_belongs_to_two_slots_has_two_values() -> None:
    for name in ("partitions", "efi_entries"):
        with pytest.raises(ConfigError, match="it has to name two, for slot a and for slot b"):
            _ = device(**{name: ("x",)}).backend


def test_a_device_without_signs_of_a_boot_loader_has_u_boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert device().backend is BootBackend.UBOOT


def test_only_a_raspberry_pi_hands_a_word_to_its_firmware(tmp_path: Path) -> None:
    found = device(**raspberry_pi(tmp_path))
    assert found._reboot_argument() is None
    assert device(**grub(tmp_path))._reboot_argument() is None


# --- the doctor


class Examined:
    """A device, as far as the doctor looks at its boot loader."""

    pair = PAIR

    def __init__(self, rig: Rig, backend: BootBackend) -> None:
        self.rig, self.backend = rig, backend
        self.settings = Settings()

    @property
    def bootloader(self) -> Bootloader:
        return self.rig.loader

    def running(self) -> SlotName:
        return self.rig.booted()


def findings(rig: Rig, backend: BootBackend) -> list[Finding]:
    return list(examine_bootloader(cast("Device", Examined(rig, backend))))


def test_a_boot_loader_that_is_set_up_right_is_found_so(tmp_path: Path) -> None:
    rigs: list[tuple[Rig, BootBackend]] = []
    for name, kind, backend in (
        ("grub", GrubDevice, BootBackend.GRUB),
        ("efi", EfiDevice, BootBackend.EFI),
        ("pi", RaspberryDevice, BootBackend.RASPBERRY_PI),
    ):
        (tmp_path / name).mkdir()
        rigs.append((kind(tmp_path / name), backend))
    for rig, backend in rigs:
        assert [found.grade for found in findings(rig, backend)] == [Grade.GOOD] * 3, backend


def test_a_damaged_copy_is_a_doubt_and_is_mended_by_the_look(tmp_path: Path) -> None:
    rig = GrubDevice(tmp_path)
    newest = rig.environment.newest()
    assert newest is not None
    rig.environment.put(1 - newest, bytes(1024))
    (doubt,) = (found for found in findings(rig, BootBackend.GRUB) if found.grade is Grade.DOUBT)
    assert doubt.what == f"copy {2 - newest} is not valid: it has no header"
    assert [found.grade for found in findings(rig, BootBackend.GRUB)] == [Grade.GOOD] * 3


def test_an_entry_that_comes_before_ours_is_a_doubt(tmp_path: Path) -> None:
    rig = EfiDevice(tmp_path)
    rig.variables.set("BootOrder", struct.pack("<3H", 3, 1, 2))
    doubts = [found.what for found in findings(rig, BootBackend.EFI) if found.grade is Grade.DOUBT]
    assert doubts == ["BootOrder begins with Boot0003, which is no slot: the firmware starts that first"]
