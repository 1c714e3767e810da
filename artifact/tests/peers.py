"""The programs that artifacts are exchanged with, and what they say, in the form of values that can be compared."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bistable.artifact import Artifact, SignatureState

UNSIGNED = "no signature"
NOT_CHECKED = "signed but no key for verification provided"
VERIFIED = "signed and verified correctly"
WRONG = "signed; verification using provided key failed"

STATES = {
    SignatureState.UNSIGNED: UNSIGNED,
    SignatureState.NOT_CHECKED: NOT_CHECKED,
    SignatureState.VERIFIED: VERIFIED,
}


def needs(program: str) -> Any:
    """Return the marks of tests that need a program; without it they are skipped, and say so."""
    missing = pytest.mark.skipif(shutil.which(program) is None, reason=f"the program {program} is not installed")
    return [pytest.mark.peer, missing]


def call(*command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run a program that must succeed, and return its standard output."""
    done = attempt(*command, cwd=cwd, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def attempt(
    *command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a program that may fail."""
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@dataclass(kw_only=True)
class Facts:
    """What an artifact says, as far as `mender-artifact read` shows it."""

    name: str
    version: int
    signature: str
    devices: str
    group: str = ""
    depends_names: str = "[]"
    depends_groups: str = "[]"
    scripts: set[str] = field(default_factory=set)
    payload_type: str = ""
    provides: dict[str, str] = field(default_factory=dict)
    depends: dict[str, str] = field(default_factory=dict)
    clears: list[str] = field(default_factory=list)
    meta_data: Any = None
    files: list[tuple[str, int, str]] = field(default_factory=list)


def facts_of(artifact: Artifact) -> Facts:
    """Return what our reader found."""
    info, type_info = artifact.head.header.info, artifact.head.header.type_info
    meta_data = artifact.head.header.meta_data
    return Facts(
        name=info.artifact_name,
        version=artifact.head.version,
        signature=STATES[artifact.head.signature],
        devices=f"'[{' '.join(info.device_types)}]'",
        group=info.artifact_group or "",
        depends_names=f"[{', '.join(info.depends_names)}]",
        depends_groups=f"[{', '.join(info.depends_groups)}]",
        scripts={script.name for script in artifact.head.header.scripts},
        payload_type="Empty type" if info.payload_type is None else info.payload_type,
        provides=dict(type_info.provides),
        depends={key: str(value) for key, value in type_info.depends.items()},
        clears=list(type_info.clears_provides or ()),
        meta_data=json.loads(meta_data) if meta_data else None,
        files=[(file.name, file.size, file.digest) for file in artifact.files],
    )


def facts_by_peer(path: Path, key: Path | None = None) -> Facts:
    """Return what mender-artifact says."""
    options: list[str | Path] = ["-k", key] if key else []
    lines = call("mender-artifact", "read", *options, path).split("\n")
    start = next(i for i, line in enumerate(lines) if line.endswith("Mender artifact:"))
    return _parse(lines[start + 1 :])


def _parse(lines: list[str]) -> Facts:
    top = _values(lines[: lines.index("Updates:")], "  ")
    scripts = [line.strip() for line in lines[: lines.index("Updates:")] if line.startswith("    ")]
    update = lines[lines.index("Updates:") + 2 :]
    values = _values(update, "    ")
    clears = values.get("Clears Provides")
    return Facts(
        name=top["Name"],
        version=int(top["Version"]),
        signature=top["Signature"].partition("; please use")[0],
        devices=top["Compatible devices"],
        group=top.get("Provides group", ""),
        depends_names=top.get("Depends on one of artifact(s)", "[]"),
        depends_groups=top.get("Depends on one of group(s)", "[]"),
        scripts=set(scripts),
        payload_type=values["Type"].strip(),
        provides=_pairs(update, "Provides:"),
        depends=_pairs(update, "Depends:"),
        clears=[pattern for pattern in json.loads(clears or "[]") if pattern],  # an empty list is shown as [""]
        meta_data=_meta_data(update),
        files=_files(update),
    )


def _values(lines: list[str], indent: str) -> dict[str, str]:
    """Return what stands behind `key:` in lines of exactly this indent."""
    own = [line for line in lines if line.startswith(indent) and not line[len(indent) :].startswith((" ", "\t"))]
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in own)}


def _block(lines: list[str], title: str) -> list[str]:
    """Return the lines below a title that begin with a tab."""
    heads = [i for i, line in enumerate(lines) if line.strip() == title]
    block: list[str] = []
    for line in lines[heads[0] + 1 :] if heads else []:
        if not line.startswith("\t"):
            break
        block.append(line)
    return block


def _pairs(lines: list[str], title: str) -> dict[str, str]:
    return {key.strip(): value for key, _, value in (line.partition(": ") for line in _block(lines, title))}


def _meta_data(lines: list[str]) -> Any:
    text = "\n".join(_block(lines, "Metadata:"))
    return json.loads(text) if text else None


def _files(lines: list[str]) -> list[tuple[str, int, str]]:
    found: dict[str, list[str]] = {"name": [], "size": [], "checksum": []}
    for line in lines:
        if line.startswith("      "):
            key, _, value = line.strip().partition(":")
            found.setdefault(key, []).append(value.strip())
    return list(zip(found["name"], map(int, found["size"]), found["checksum"], strict=True))
