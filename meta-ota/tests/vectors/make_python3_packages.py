#!/usr/bin/env python3
"""Write which package of OpenEmbedded has which module of Python's library, from the manifests of both releases.

make_python3_packages.py FOLDER     a folder with scarthgap/openembedded-core and wrynose/openembedded-core
"""

import json
import sys
from pathlib import Path

MANIFEST = "openembedded-core/meta/recipes-devtools/python/python3/python3-manifest.json"
PREFIX = "${libdir}/python${PYTHON_MAJMIN}/"
DEEPER = (
    "concurrent.futures",
    "xml.etree.ElementTree",
    "compression.zstd",
    "importlib.metadata",
    "importlib.resources",
)
"""Modules of packages that several of OpenEmbedded's packages share."""


def owners(manifest: dict[str, dict[str, list[str]]]) -> dict[str, str]:
    """Return file or folder of the library -> package."""
    return {
        file.removeprefix(PREFIX).rstrip("/"): package
        for package, entry in manifest.items()
        for file in entry["files"]
        if file.startswith(PREFIX)
    }


def package_of(module: str, files: dict[str, str]) -> str | None:
    """Return the package that has a module."""
    parts = module.split(".")
    for count in range(len(parts), 0, -1):
        path = "/".join(parts[:count])
        for name in (path, f"{path}.py"):
            if name in files:
                return files[name]
    loaded = [f"lib-dynload/{start}{parts[0]}." for start in ("", "_")]
    return next((package for file, package in files.items() if file.startswith(tuple(loaded))), None)


def packages(path: Path) -> dict[str, str]:
    """Return module -> package, by the manifest of a release."""
    text = "".join(line for line in path.read_text().splitlines(keepends=True) if not line.lstrip().startswith("#"))
    files = owners(json.loads(text))
    library = {name for name in sys.stdlib_module_names if not name.startswith("_")} - set(sys.builtin_module_names)
    names = [*sorted(library), *DEEPER]
    found = {name: package_of(name, files) for name in names}
    return {name: f"python3-{package}" for name, package in found.items() if package is not None}


if __name__ == "__main__":
    table = {series: packages(Path(sys.argv[1]) / series / MANIFEST) for series in ("scarthgap", "wrynose")}
    target = Path(__file__).with_name("python3-packages.json")
    target.write_text(json.dumps(table, indent=0, sort_keys=True) + "\n")
