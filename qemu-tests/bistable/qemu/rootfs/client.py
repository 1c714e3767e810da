"""Our client, as a device gets it: from the wheel, with the files that a distribution's package would add."""

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from bistable.artifact.errors import MachineError
from bistable.qemu import cache
from bistable.tools.bench.run import run
from bistable.tools.disk import Start, client_source, install_client

CHECKOUT: Final = Path(__file__).parents[4]
BUILD_SECONDS: Final = 120.0
COMPILE_SECONDS: Final = 300.0

_SOURCES: Final = ("artifact/bistable", "client/bistable", "tools/bistable")


def build_wheel() -> Path:
    """Return the wheel of this checkout; it is built if a source has changed."""
    sources = sorted(path for folder in _SOURCES for path in (CHECKOUT / folder).rglob("*") if _counts(path))
    names = "\n".join(str(path.relative_to(CHECKOUT)) for path in sources)
    key = cache.digest(names, CHECKOUT / "pyproject.toml", *sources)

    def build(folder: Path) -> None:
        folder.mkdir()
        variables = {"SOURCE_DATE_EPOCH": "1700000000", "PYTHONDONTWRITEBYTECODE": "1"}
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "hatchling",
            "build",
            "--target",
            "wheel",
            "--directory",
            folder,
        ]
        run(command, timeout=BUILD_SECONDS, variables=variables, cwd=CHECKOUT)

    return next(cache.made("wheel", key, build).glob("*.whl"))


def install(wheel: Path, root: Path, start: Start) -> None:
    """Install the client of the wheel in a root filesystem, as the product's own image builder does."""
    install_client(root, source=client_source(wheel), start=start)


def add_bus_library(root: Path) -> None:
    """Put the library for D-Bus into a root filesystem, as it is installed here: Debian 12 has one that is too old.

    Its compiled parts are for this computer, and left out; it works without them.

    Raises:
        MachineError: it is not installed.
    """
    found = find_spec("dbus_fast")
    if found is None or found.origin is None:
        raise MachineError("cannot find the library dbus-fast", hint="install bistable with its extra `daemon`")
    ignored = shutil.ignore_patterns("*.so", "*.c", "*.cpp", "*.pxd", "__pycache__")
    target = root / "usr" / "lib" / "python3" / "dist-packages" / "dbus_fast"
    shutil.copytree(Path(found.origin).parent, target, ignore=ignored)


def compile_python(root: Path, folder: Path) -> None:
    """Compile what is in `folder`, inside of the root filesystem, so that the device, which cannot keep it, need not.

    It saves 1.5 seconds each time that Python starts in an emulated machine. The compiler has to be of the version that
    is in the root filesystem; without one on this computer nothing is compiled, and all works, only slower.
    """
    _compiled(root, folder)


def compile_library(root: Path) -> None:
    """Compile Python's own library, and leave its sources out: there is that much less to write, and to hash."""
    for library in sorted((root / "usr" / "lib").glob("python3.*")):
        if _compiled(root, library, "-b"):
            for source in library.rglob("*.py"):
                source.unlink()


def _compiled(root: Path, folder: Path, *more: str) -> bool:
    versions = [path.name for path in sorted((root / "usr" / "lib").glob("python3.*"))]
    compiler = next((Path("/usr/bin", name) for name in versions if os.access(f"/usr/bin/{name}", os.X_OK)), None)
    if compiler is None:
        return False
    options: list[str | Path] = ["-q", "-s", root, "-p", "/", "--invalidation-mode", "unchecked-hash", "-j", "0", *more]
    try:
        run([compiler, "-m", "compileall", *options, folder], timeout=COMPILE_SECONDS)
    except MachineError as e:
        raise MachineError(f"cannot compile Python for {root.name}: {e.what}", hint=e.hint) from e
    return True


def _counts(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
