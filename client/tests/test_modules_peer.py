"""The trees that modules get, byte for byte beside those of Debian's mender client 3.4.0."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from client_modules import Workshop, shape
from peers import attempt, needs
from test_peer_client import BUSYBOX, Device, as_root

from bistable.artifact import Codec, Extras, InputBytes, Options, module_request, write_artifact
from bistable.artifact.reader import ArtifactReader
from bistable.client.modules import Incoming, ModulePayload, Running

pytestmark = [
    *needs("mender"),
    pytest.mark.skipif(BUSYBOX is None, reason="the program busybox is not installed"),
]

MODULE = """#!/bin/sh
case "$1" in
  Download) cp -a "$2" LOG/download ;;
  SupportsRollback) echo Yes ;;
  ArtifactInstall) cp -a "$2" LOG/tree ;;
esac
"""

STREAMING = """#!/bin/sh
case "$1" in
  Download) while file=$(cat stream-next) && [ -n "$file" ]; do cat "$file" > "tmp/${file#streams/}"; done ;;
  ArtifactInstall) cp -a "$2" LOG/tree ;;
esac
"""

ODD = {
    "z": [1, 1.0, -0.5, 1e-6, 1e-7, 1.5e-10, 123456789.125, 1e16, 1.5e17, 1e20, 1e21, 1.25e300, 5e-324, 0.0],
    "a": {"ü": "<a href='x'>&amp;</a>", "b\\": '"quoted" \b\f\n\r\t \x1f \x7f / \u2028\u2029 \U0001f600 é'},
    "": [[], {}, [[]], [{}], {"k": None}, True, False],
    "Z": "",
    "ÿ": 9007199254740992,
    "\ue000": 1,
    "\U0001f600": 2,
}

FULL = Extras(
    group="group",
    provides={"a": "b<>", "A": "é", "ü": "x", "b": ""},
    depends={"kind": "v", "color": "<&>"},
    depends_names=("other", "release-0"),
    depends_groups=("group-0",),
    clears=("a.*", "z"),
)
FILES = {"a": b"x", "b.c": b""}
CASES: dict[str, tuple[dict[str, Any], dict[str, bytes]]] = {
    "plain": ({}, FILES),
    "no files": ({}, {}),
    "meta-data": ({"meta_data": json.dumps(ODD).encode()}, FILES),
    "empty meta-data": ({"meta_data": b"{}"}, FILES),
    "all extras": ({"extras": FULL}, FILES),
    "no extras": ({"extras": Extras(default_clears=False)}, FILES),
}
BEFORE = Extras(group="group-0", provides={"kind": "v", "color": "<&>"})
RUNNING = Running(artifact_name="release-0", artifact_group="group-0", device_type="board")
LATE = {"streams", "stream-next", "files"}
"""What is there a moment sooner or later, as the existing client makes it while the module runs already."""


@pytest.fixture
def device(tmp_path: Path) -> Device:
    if as_root() and attempt(*as_root(), "true").returncode:
        pytest.skip("a chroot needs root, or a kernel that lets users have their own namespace")
    return Device(tmp_path / "device")


def write(device: Device, name: str, files: dict[str, bytes], **more: Any) -> None:
    items = [InputBytes(name=name, content=content) for name, content in files.items()]
    request = module_request("mod", items, name=name, device_types=["board", "other"], **more)
    write_artifact(device.root / "artifact", request, Options(codec=Codec.parse("gzip")))


@pytest.mark.parametrize("module", [MODULE, STREAMING], ids=["stored", "streamed"])
@pytest.mark.parametrize("case", CASES)
def test_a_module_finds_the_same_tree_as_with_the_existing_client(
    device: Device, tmp_path: Path, case: str, module: str
) -> None:
    write(device, "release-0", {}, extras=BEFORE)
    device.install_written()
    device.commit()
    shutil.rmtree(device.log / "tree")
    # This client looks for its group in this file only; those from 4.0 on know it from what was installed, as ours.
    (device.root / "etc/mender/artifact_info").write_text("artifact_group=group-0\n")
    more, files = CASES[case]
    write(device, "release-1", files, **more)
    device.program("usr/share/mender/modules/v3/mod", module.replace("LOG", "/log"))
    device.install_written()

    shop = Workshop(tmp_path / "ours")
    shop.place.mkdir()
    shop.program()
    shop.module.write_text(module.replace("LOG", str(shop.place)))
    with (device.root / "artifact").open("rb") as file:
        reader = ArtifactReader(file)
        incoming = Incoming(header=reader.read_head().header, running=RUNNING)
        ModulePayload(shop.module, shop.tree, incoming=incoming).download(reader.files())
    ModulePayload(shop.module, shop.tree).install()

    theirs, ours = shape(device.log / "tree"), shape(shop.place / "tree")
    late = {"streams", "stream-next"} if files else LATE
    assert without(late, ours) == without(late, theirs)
    assert not files or theirs["tmp/a" if module is STREAMING else "files/a"][2] == b"x"
    if module is MODULE:
        assert without(LATE, shape(shop.place / "download")) == without(LATE, shape(device.log / "download"))


def without(names: set[str], tree: dict[str, Any]) -> dict[str, Any]:
    return {path: entry for path, entry in tree.items() if path.split("/")[0] not in names}
