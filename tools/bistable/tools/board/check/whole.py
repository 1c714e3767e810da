"""Whether files can be made from the board as a whole: asked of what makes them, when nothing else is wrong."""

from collections.abc import Iterator

from bistable.artifact.errors import RequestError
from bistable.tools.board.check.finding import Facts, Finding
from bistable.tools.board.render.flash import plan_flash, ubi_plan
from bistable.tools.board.render.layoutfile import rendered_layout
from bistable.tools.boot.checks import check_plan
from bistable.tools.boot.ubichecks import check_ubi
from bistable.tools.disk.geometry import boot_plan


def check_whole(facts: Facts) -> Iterator[Finding]:
    """Yield why boot script and settings cannot be made."""
    board = facts.board
    if facts.geometry is not None:
        try:
            check_plan(boot_plan(rendered_layout(board), facts.geometry))
        except RequestError as e:
            yield facts.error("boot", None, e.what, e.hint or "correct it")
    if board.ubi is not None:
        try:
            check_ubi(ubi_plan(board, board.ubi))
            plan_flash(board, board.ubi)
        except RequestError as e:
            yield facts.error("ubi", None, e.what, e.hint or "correct it")
