"""What the classes and recipes of this layer compute, in plain Python: no function here knows bitbake.

Values of variables come from `get`, which is `d.getVar` in a build and that of a dictionary in tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Hosts of scarthgap may have Python 3.8; and bitbake takes what it finds in a module for functions.
    from typing import Callable, Optional

    Get = Callable[[str], Optional[str]]
    """How the value of a variable is asked for."""

BBIMPORTS = ["machine", "firmware", "sizes", "blobs", "layout", "checks", "signing", "settings", "uboot"]
"""Modules that bitbake makes available in all classes and recipes."""
