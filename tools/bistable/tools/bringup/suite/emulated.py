"""A board in QEMU, as its [qemu] describes it."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from bistable.artifact.errors import MachineError, RequestError
from bistable.tools.bench.hands import Hands
from bistable.tools.bench.process import ProcessHands
from bistable.tools.board.model import Board, Qemu

_PCI: Final = "pci"
_VARIABLES: Final = "firmware-variables.fd"


def emulated(board: Board, disk: Path, folder: Path) -> Hands:
    """Return the power and the serial line of the board in QEMU, which writes to `disk`; `folder` is for the rest.

    Raises:
        RequestError: QEMU has no such board.
        MachineError: a file of the firmware is missing; the hint names its package.
    """
    return ProcessHands(qemu_command(board, disk, folder), folder)


def qemu_command(board: Board, disk: Path, folder: Path) -> Callable[[int], Sequence[str]]:
    """Return what tells how QEMU is started, given the number of the descriptor that is the serial line."""
    qemu = board.qemu
    if qemu is None:
        raise RequestError(
            f"cannot test {board.key} in QEMU: there is no [qemu] in {board.text.origin}",
            hint="lead the board with --labgrid or --serial; docs/how-to/no-qemu-machine.md",
        )
    firmware = _firmware(qemu, folder)
    network = f"virtio-net-{qemu.bus},netdev=net" + (",romfile=" if qemu.bus == _PCI else "")
    # No flush reaches this computer's disk: what QEMU was told to write stays if only QEMU ends, as in a power cut.
    drive = f"if=none,id=disk,format=raw,cache=unsafe,discard=unmap,file={_quoted(disk)}"
    watchdog = () if qemu.watchdog is None else ("-device", qemu.watchdog)

    def command(line: int) -> list[str]:
        return [
            qemu.program, *qemu.arguments, "-m", str(qemu.memory), "-nodefaults", "-display", "none",
            "-chardev", f"socket,id=line,fd={line}", "-serial", "chardev:line",
            *firmware, "-drive", drive, "-device", f"virtio-blk-{qemu.bus},drive=disk,bootindex=1",
            "-netdev", "user,id=net", "-device", network, *watchdog,
        ]  # fmt: skip

    return command


def _firmware(qemu: Qemu, folder: Path) -> Sequence[str]:
    for path in qemu.firmware.values():
        if not path.exists():
            raise MachineError(f"cannot start {qemu.program}: there is no {path}", hint=f"install {qemu.package}")
    if "bios" in qemu.firmware:
        return ("-bios", str(qemu.firmware["bios"]))
    own = folder / _VARIABLES
    if not own.exists():
        shutil.copyfile(qemu.firmware["variables"], own)
    return (
        "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={_quoted(qemu.firmware['code'])}",
        "-drive", f"if=pflash,unit=1,format=raw,file={_quoted(own)}",
    )  # fmt: skip


def _quoted(path: Path) -> str:
    """Return a path for an option of QEMU, in which a comma separates properties."""
    return str(path).replace(",", ",,")
