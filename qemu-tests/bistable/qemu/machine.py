"""A machine in QEMU: switched on, cut off, watched and spoken to. It may live through many resets and power cuts."""

import socket
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bistable.artifact.errors import MachineError
from bistable.qemu import accel
from bistable.qemu.disks import NODE, Disk, plain
from bistable.qemu.kinds import HARDWARE, Kind, check_firmware
from bistable.qemu.qmp import Monitor
from bistable.tools.bench.console import Console
from bistable.tools.bench.errors import MisuseError
from bistable.tools.bench.patience import OFF, scaled
from bistable.tools.bench.run import Running, require
from bistable.tools.bench.wires import DescriptorWire

CONSOLE_LOG: Final = "console.log"
QEMU_LOG: Final = "qemu.log"

_NETWORK: Final = "virtio-net-{bus},netdev=n0,romfile="


class Machine:
    """A machine with one disk; as a context manager it is on inside the block and gone after it.

    In `folder` are the log of its console, and what its firmware remembers. `extra` are more arguments for QEMU.
    """

    def __init__(self, kind: Kind, disk: Disk, *, folder: Path, extra: Sequence[str] = ()) -> None:
        self.kind, self.hardware = kind, HARDWARE[kind]
        self.console = Console(folder / CONSOLE_LOG)
        self.disk = disk
        self._folder, self._extra = folder, tuple(extra)
        self._program: Running | None = None
        self._monitor: Monitor | None = None

    def __enter__(self) -> Self:
        self.power_on()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def monitor(self) -> Monitor:
        """Return QEMU's monitor, for what this class does not offer.

        Raises:
            MisuseError: the machine is off.
        """
        if self._monitor is None:
            raise MisuseError("cannot use the monitor of a machine that is off")
        return self._monitor

    @property
    def is_on(self) -> bool:
        """Return whether QEMU runs."""
        return self._program is not None and self._program.ended() is None

    def power_on(self, disk: Disk | None = None) -> None:
        """Switch it on, with another disk if one is given.

        Raises:
            MisuseError: it is on.
            MachineError: QEMU, its firmware or a package is missing, or QEMU refuses.
        """
        if self.is_on:
            raise MisuseError("cannot switch a machine on that is on")
        # It may have gone off by itself.
        self.power_off()
        require(self.hardware.program)
        check_firmware(self.kind)
        self.disk = disk or self.disk
        line, line_end = socket.socketpair()
        control, control_end = socket.socketpair()
        with line_end, control_end:
            passed = (line_end.fileno(), control_end.fileno())
            command = self._command(*passed)
            self._program = Running(command, output=self._folder / QEMU_LOG, passed=passed)
        self.console.attach(DescriptorWire(line.detach()))
        try:
            # It waits until somebody listens: nothing that the console says is lost.
            self._monitor = Monitor(control)
            self._monitor.ask("cont")
        except MachineError as e:
            control.close()
            said = (self._folder / QEMU_LOG).read_text("utf-8", "replace").strip()
            self.power_off()
            raise MachineError(f"cannot start {self.kind} in QEMU: {e.what}", hint=said or e.hint) from e

    def power_off(self) -> None:
        """Cut it off, at once: what the machine has not written to its disk is lost. It may be off already."""
        if self._monitor is not None:
            self._monitor.close()
        if self._program is not None:
            self._program.kill()
        self.console.detach()
        self._monitor = self._program = None

    def close(self) -> None:
        """Leave it switched off."""
        self.power_off()

    def kill(self) -> None:
        """Cut it off from another thread than the one that uses it, which notices, and still has to `power_off`."""
        if self._program is not None:
            self._program.kill()

    def wait_until_off(self) -> None:
        """Wait until the machine has switched itself off.

        Raises:
            MachineError: it has not.
        """
        if self._program is None:
            raise MisuseError("cannot wait for a machine to go off that is off")
        if self._program.wait(scaled(OFF)) is None:
            raise MachineError(f"cannot see {self.kind} go off: QEMU still runs after {scaled(OFF):g} s")
        self.power_off()

    def reset(self) -> None:
        """Press the reset button."""
        self.monitor.ask("system_reset")

    def stop(self) -> None:
        """Let time stand still for it."""
        self.monitor.ask("stop")

    def go_on(self) -> None:
        """Let it run again."""
        self.monitor.ask("cont")

    def _command(self, line: int, control: int) -> list[str]:
        hardware, chosen = self.hardware, accel.choose(self.kind)
        return [
            hardware.program, *hardware.arguments,
            "-accel", chosen, "-cpu", hardware.processors[chosen], "-m", str(hardware.memory),
            "-name", str(self.kind), "-nodefaults", "-display", "none", "-S",
            "-chardev", f"socket,id=line,fd={line}", "-serial", "chardev:line",
            "-chardev", f"socket,id=control,fd={control}", "-mon", "chardev=control,mode=control",
            *hardware.firmware(self._folder),
            *self.disk.arguments, "-device", f"virtio-blk-{hardware.bus},drive={NODE},serial=bistable,bootindex=1",
            "-netdev", "user,id=n0", "-device", _NETWORK.format(bus=hardware.bus).removesuffix(
                ",romfile=" if hardware.bus == "device" else ""
            ),
            *self._extra,
        ]  # fmt: skip


def start(kind: Kind, disk: Disk | Path, *, folder: Path, extra: Sequence[str] = ()) -> Machine:
    """Return a machine of the kind, off; use it as a context manager. A path is an image that is written to."""
    return Machine(kind, plain(disk) if isinstance(disk, Path) else disk, folder=folder, extra=extra)
