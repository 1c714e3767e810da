"""Where the ROM of a processor looks for the first stage of the boot loader on a card or eMMC."""

from collections.abc import Iterator
from typing import Final

from bistable.artifact.limits import KIB
from bistable.tools.board.check.finding import Facts, Finding
from bistable.tools.board.sizes import bytes_text

_PLACES: Final = (
    ("8M Mini", 33 * KIB, "https://docs.u-boot.org/en/latest/board/nxp/imx8mm_evk.html"),
    ("8M Quad", 33 * KIB, "https://docs.u-boot.org/en/latest/board/nxp/imx8mq_evk.html"),
    ("8M Nano", 32 * KIB, "https://docs.u-boot.org/en/latest/board/nxp/imx8mn_evk.html"),
    ("8M Plus", 32 * KIB, "https://docs.u-boot.org/en/latest/board/nxp/imx8mp_evk.html"),
    ("i.MX 93", 32 * KIB, "https://docs.u-boot.org/en/latest/board/nxp/imx93_11x11_evk.html"),
    ("RK33", 32 * KIB, "https://docs.u-boot.org/en/latest/board/rockchip/rockchip.html"),
    ("RK35", 32 * KIB, "https://docs.u-boot.org/en/latest/board/rockchip/rockchip.html"),
)
"""What is in the name of the processor, the place, and where that stands. One place is right for each, and easy to
mistake for that of its sister."""


def check_rom(facts: Facts) -> Iterator[Finding]:
    """Yield that no file lies where the ROM of the processor looks, if there are files in front of the partitions."""
    layout = facts.board.layout
    if layout is None or not layout.blobs:
        return
    for name, place, source in _PLACES:
        if name in facts.board.soc and all(blob.offset != place for blob in layout.blobs):
            yield facts.error(
                "blobs",
                "at",
                f"no file lies at {bytes_text(place)}, where the ROM of this processor ({name}) looks for one",
                f'write "{bytes_text(place)}" for the first stage ({source}); one for boot0 of an eMMC does not belong '
                "here",
            )
