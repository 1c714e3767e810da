"""How a board is led: in QEMU by a script, on a bench by labgrid."""

import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final

from bistable.tools.board.model import Board, Qemu
from bistable.tools.board.render.templates import rendered

LABGRID: Final = PurePosixPath("labgrid.yaml")
LABGRID_QEMU: Final = PurePosixPath("labgrid-qemu.yaml")
"""The machine in QEMU, beside the board."""

SCRIPT: Final = PurePosixPath("qemu.sh")

_PCI: Final = "pci"


def machine_files(board: Board) -> dict[PurePosixPath, bytes]:
    """Return path -> content of the files."""
    files = {LABGRID: rendered("labgrid-board.yaml", {"board": board})} if board.on_bench else {}
    if board.qemu is not None:
        name = LABGRID_QEMU if board.on_bench else LABGRID
        files[name] = rendered("labgrid-qemu.yaml", _for_labgrid(board, board.qemu))
        files[SCRIPT] = rendered("qemu.sh", _for_script(board, board.qemu))
    return files


def _for_script(board: Board, qemu: Qemu) -> dict[str, object]:
    return {
        "board": board,
        "qemu": qemu,
        "files": [str(path) for path in qemu.firmware.values()],
        "arguments": _lines(qemu.arguments),
        "devices": _devices(qemu),
    }


def _lines(arguments: Sequence[str]) -> list[str]:
    """Return arguments for a shell, an option and its value in a line."""
    lines: list[str] = []
    for word in arguments:
        if lines and not word.startswith("-"):
            lines[-1] += f" {shlex.quote(word)}"
        else:
            lines.append(shlex.quote(word))
    return lines


def _devices(qemu: Qemu) -> list[str]:
    """Return what the machine has besides; `disk` and `net` are what it is connected to."""
    # Without this empty file it would look for a program that starts from the network.
    network = f"virtio-net-{qemu.bus},netdev=net" + (",romfile=" if qemu.bus == _PCI else "")
    devices = [f"virtio-blk-{qemu.bus},drive=disk,bootindex=1", network]
    return [*devices, *([] if qemu.watchdog is None else [qemu.watchdog])]


def _for_labgrid(board: Board, qemu: Qemu) -> dict[str, object]:
    """Return what labgrid's driver for QEMU is told: machine and processor apart from the other arguments."""
    machine, processor, others = "virt", "max", list[str]()
    words = iter(qemu.arguments)
    for word in words:
        if word in {"-M", "-machine"}:
            machine, _, properties = next(words).partition(",")
            # The driver knows machines by their bare names. QEMU puts together what two options say.
            others += ["-machine", properties] if properties else []
        elif word == "-cpu":
            processor = next(words)
        else:
            others.append(word)
    firmware = qemu.firmware
    if "code" in firmware:
        others += ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={firmware['code']}"]
        others += ["-drive", f"if=pflash,unit=1,format=raw,snapshot=on,file={firmware['variables']}"]
    others += ["-netdev", "user,id=net"]
    for device in _devices(qemu):
        others += ["-device", device]
    return {
        "board": board,
        "qemu": qemu,
        "machine": machine,
        "processor": processor,
        "others": shlex.join(others),
        "bios": firmware.get("bios"),
    }
