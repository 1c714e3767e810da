"""Slots that the vendor's tools make: that the program is there which knows the boot loader, and data lie apart."""

from collections.abc import Iterator

from bistable.artifact.spec.text import suggestion
from bistable.tools.board.check.finding import Facts, Finding
from bistable.tools.board.render.vendor import handlers


def check_vendor(facts: Facts) -> Iterator[Finding]:
    """Yield what does not fit to the vendor's partitions and boot loader."""
    vendor = facts.board.vendor
    if vendor is None:
        return
    known = handlers()
    if vendor.handler not in known:
        yield facts.error(
            "vendor",
            "handler",
            f"there is no program {vendor.handler} in _templates/handlers",
            f"{suggestion(vendor.handler, known)}; docs/how-to/vendor-boot-loader.md says how to write one",
        )
    if vendor.data in vendor.slots:
        yield facts.error(
            "vendor", "data", f"{vendor.data} is a slot: each update would destroy the data", "name another partition"
        )
