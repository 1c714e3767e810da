"""Programs that tests of boot files need; without one a test is skipped, with its name."""

import shutil
from pathlib import Path

import pytest

PLACES = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"


def needs(*programs: str | Path) -> None:
    for program in programs:
        missing = not program.exists() if isinstance(program, Path) else shutil.which(program, path=PLACES) is None
        if missing:
            pytest.skip(f"{program} is not installed")
