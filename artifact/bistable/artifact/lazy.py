"""Public names that load their module when they are first used (PEP 562).

A package that gathers names from many modules would load them all for the sake of one. A device that only reads must
not pay for what writes: on small machines every module costs noticeable time.
"""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def names_from(package: str, homes: Mapping[str, tuple[str, ...]]) -> Callable[[str], Any]:
    """Return a `__getattr__` for `package` that finds names in its modules: `homes` is module -> names."""

    def find(name: str) -> Any:
        for module, names in homes.items():
            if name in names:
                value = getattr(import_module(f"{package}.{module}"), name)
                setattr(sys.modules[package], name, value)
                return value
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return find
