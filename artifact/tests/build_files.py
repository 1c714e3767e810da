"""Build files as tests use them: short ones, and what reading them comes to."""

from pathlib import Path
from typing import Any, Final

import pytest

from bistable.artifact import RequestError
from bistable.artifact.spec import BuildSpec, load

BASE: Final = Path("/base")
ROOTFS: Final = """
[artifact]
name = "release-1"
type = "rootfs-image"
device-types = ["board"]
[payload]
file = "rootfs.ext4"
"""
MODULE: Final = """
[artifact]
name = "release-1"
type = "single-file"
device-types = ["board"]
[payload]
files = ["a", "/b"]
"""


def loaded(text: str, **more: Any) -> BuildSpec:
    return load(text.encode(), BASE, origin="release.toml", **more)


def refusal(text: str, **more: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        loaded(text, **more)
    return caught.value
