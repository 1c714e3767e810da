"""What kas makes of configurations, without a network and without a build."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pytest

CORE: Final = ("bitbake", "openembedded-core", "meta-openembedded")
"""Repositories that every configuration has."""

AT_HAND: Final = "local.yml"

# One process for all: reading a configuration takes kas less time than its own start.
_DRIVER: Final = """
import contextlib, io, json, sys
from kas.kas import kas
found = {}
for name in sys.argv[1:]:
    with contextlib.redirect_stdout(io.StringIO()) as output:
        kas(["--log-level", "warning", "dump", "--format", "json", name + ":local.yml"])
    found[name] = json.loads(output.getvalue())
print(json.dumps(found))
"""


def need_kas() -> None:
    """Skip what needs kas where it is not installed."""
    pytest.importorskip("kas", reason="kas is not installed: the dependency group 'layer'")
    if shutil.which("git") is None:
        pytest.skip("not installed: git")


def dumps_of(repository: Path, files: Iterable[str], *, repositories: Iterable[str] = CORE) -> dict[str, Any]:
    """Return what kas makes of each of the files in a folder, which becomes a repository.

    It would clone the repositories that they name before it says anything; so those are said to be at hand.
    """
    top = repository.parent
    at_hand = {}
    for name in repositories:
        (top / name).mkdir()
        at_hand[name] = {"url": None, "branch": None, "path": str(top / name)}
    (repository / AT_HAND).write_text(json.dumps({"header": {"version": 18}, "repos": at_hand}))
    # Paths of includes start where a repository does.
    subprocess.run(["git", "init", "--quiet", repository], check=True, capture_output=True)
    done = subprocess.run(
        [sys.executable, "-c", _DRIVER, *files],
        cwd=repository,
        env={"PATH": "/usr/bin:/bin", "HOME": str(top), "KAS_WORK_DIR": str(top)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
