"""What a board with a boot loader of its vendor has: the program that speaks to it, and settings of the client."""

from pathlib import PurePosixPath
from typing import Final

from bistable.artifact.errors import RequestError, quoted
from bistable.artifact.spec.text import suggestion
from bistable.tools.board.model import Board, Vendor
from bistable.tools.board.render.settings import BOOT
from bistable.tools.board.render.templates import SUFFIX, environment, rendered

HANDLERS: Final = "handlers"
UNIT: Final = ".service"
"""What a program has beside it that has to run at each start."""

TABLE: Final = PurePosixPath("fstab")


def vendor_files(board: Board, vendor: Vendor) -> dict[PurePosixPath, bytes]:
    """Return path -> content of the files.

    Raises:
        RequestError: there is no such program.
    """
    known = handlers()
    if vendor.handler not in known:
        raise RequestError(
            f"cannot render {board.key}: there is no program {quoted(vendor.handler)} that knows a boot loader",
            hint=f"{suggestion(vendor.handler, known)}; another one goes into {HANDLERS} of the templates",
        )
    values = {"board": board, "vendor": vendor, "handler": installed(vendor)}
    unit = f"{vendor.handler}{UNIT}"
    units = [PurePosixPath(unit)] if unit in _templates() else []
    return {
        **{path: rendered(f"{HANDLERS}/{path}", values) for path in [PurePosixPath(vendor.handler), *units]},
        TABLE: rendered("vendor.fstab", values),
        BOOT: rendered("vendor.toml", values),
    }


def installed(vendor: Vendor) -> str:
    """Return where the program lies on the device: beside what is found by its name, which it may have in common."""
    return f"/usr/lib/bistable/{vendor.handler}"


def handlers() -> list[str]:
    """Return the names of the programs that there are, each for a boot loader."""
    return [name for name in _templates() if not name.endswith(UNIT)]


def _templates() -> list[str]:
    beginning = f"{HANDLERS}/"
    names = environment().list_templates(filter_func=lambda name: name.startswith(beginning))
    return sorted(name.removeprefix(beginning).removesuffix(SUFFIX) for name in names)
