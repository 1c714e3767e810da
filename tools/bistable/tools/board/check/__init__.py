"""Whether what a board says fits together: offline, without building anything."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from bistable.artifact.errors import RequestError
from bistable.tools.board.check.about import check_claims, check_names, check_qemu, check_watchdog
from bistable.tools.board.check.configuration import parse_configuration
from bistable.tools.board.check.finding import Facts, Finding, Level
from bistable.tools.board.check.flash import check_flash
from bistable.tools.board.check.memory import check_memory
from bistable.tools.board.check.openembedded import check_openembedded
from bistable.tools.board.check.ownenvironment import check_own_environment
from bistable.tools.board.check.places import check_places, lay_out
from bistable.tools.board.check.roms import check_rom
from bistable.tools.board.check.root import Root, open_root
from bistable.tools.board.check.starting import check_starting
from bistable.tools.board.check.storage import check_storage
from bistable.tools.board.check.system import check_system
from bistable.tools.board.check.uboot import check_uboot
from bistable.tools.board.check.vendor import check_vendor
from bistable.tools.board.check.whole import check_whole
from bistable.tools.board.model import Board
from bistable.tools.board.render.layoutfile import rendered_layout
from bistable.tools.disk.layout.model import Layout

__all__ = ["Finding", "Level", "Root", "check_board", "open_root"]

CHECKS: Final[tuple[Callable[[Facts], Iterator[Finding]], ...]] = (
    check_claims,
    check_names,
    check_storage,
    check_places,
    check_rom,
    check_flash,
    check_vendor,
    check_starting,
    check_memory,
    check_watchdog,
    check_openembedded,
    check_qemu,
    check_uboot,
    check_own_environment,
    check_system,
)


def check_board(board: Board, *, root: Root | None = None, uboot_config: str | None = None) -> tuple[Finding, ...]:
    """Return all that does not fit together, in the order of the lines.

    `root` is a root file system that the slots get, `uboot_config` the text of a configuration of the board's U-Boot.
    """
    configuration = None if uboot_config is None else parse_configuration(uboot_config)
    facts = Facts(board=board, root=root, configuration=configuration)
    found: list[Finding] = []
    if board.layout is not None:
        layout = _with_watchdog(board) or board.layout
        geometry = lay_out(facts, layout)
        if isinstance(geometry, Finding):
            found.append(geometry)
        else:
            facts = replace(facts, layout=layout, geometry=geometry)
    found += [finding for check in CHECKS for finding in check(facts)]
    # It would say the same again, in other words.
    if not any(finding.level is Level.ERROR for finding in found):
        found += check_whole(facts)
    return tuple(sorted(found, key=lambda finding: (finding.line or 0, finding.level)))


def _with_watchdog(board: Board) -> Layout | None:
    """Return the layout that is rendered, with all that other tables say; None: it cannot be, as is found elsewhere."""
    try:
        return rendered_layout(board)
    except RequestError:
        return None
