"""What is rendered for builds with OpenEmbedded is taken by the programs of such builds: kas, bitbake's parser, wic."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
from layer_build import Bench, bench
from layer_files import LAYER
from layer_kas import CORE, dumps_of, need_kas
from test_board_golden import BOARDS, WITH_DISKS, committed, path_of

from bistable.tools.board.catalogue import FOLDER, catalogue_folder
from bistable.tools.board.render.openembedded import unspeakable
from bistable.tools.disk.geometry import boot_plan, place
from bistable.tools.disk.layout import parse_layout

__all__ = ["bench"]

SOURCES: Final = Path(os.environ.get("OE_SOURCES", "/nonexistent"))
PARSERS: Final = sorted(SOURCES.glob("*/openembedded-core/scripts/lib/wic/ksparser.py"))
ARCHITECTURES: Final = {"amd64": "x86_64", "arm64": "aarch64", "armhf": "arm", "riscv64": "riscv64"}
RASPBERRY_PI: Final = 'MACHINEOVERRIDES =. "rpi:"\nSDIMG_KERNELIMAGE = "kernel8.img"\n'
FILES: Final = {
    f"{FOLDER}/{key}/rendered/kas/{release}.yml": (key, release)
    for key, board in BOARDS.items()
    if board.yocto is not None
    for release in board.yocto.releases
}

# Variables are those of a build, which there is not.
WIC: Final = """
import json, sys
import wic.ksparser
wic.ksparser.get_bitbake_var = lambda name, *_: None if name == "APPEND" else "/" + name
found = {}
for path in sys.argv[1:]:
    start = wic.ksparser.KickStart(path)
    found[path] = [start.bootloader.ptable, [
        [part.part_name, part.fixed_size, part.uuid, part.no_table] for part in start.partitions
    ]]
print(json.dumps(found))
"""


# --- kas


@pytest.fixture(scope="module")
def dumps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Give what kas makes of each file; it checks the form of each against its schema."""
    need_kas()
    repository = tmp_path_factory.mktemp("kas") / "repository"
    shutil.copytree(LAYER / "kas", repository / "meta-ota/kas")
    for name in FILES:
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(catalogue_folder().parent / name, repository / name)
    layers = {layer.name for board in BOARDS.values() if board.yocto is not None for layer in board.yocto.layers}
    return dumps_of(repository, FILES, repositories=[*CORE, *sorted(layers)])


@pytest.mark.parametrize("name", FILES)
def test_kas_takes_the_file(name: str, dumps: dict[str, Any]) -> None:
    key, release = FILES[name]
    board, dump = BOARDS[key], dumps[name]
    assert board.yocto is not None
    assert dump["machine"] == board.yocto.machine
    assert "meta-ota" in dump["repos"]["bistable"]["layers"]
    assert {"bitbake", "openembedded-core"} <= dump["repos"].keys()
    for layer in board.yocto.layers:
        assert dump["repos"][layer.name]["commit"] == layer.revisions[release][1]
        assert dump["repos"][layer.name].get("layers", {".": None}).keys() == set(layer.sublayers)
    assert f"/{key}/rendered/bistable.conf" in dump["local_conf_header"]["board"]


@pytest.mark.parametrize("name", FILES)
def test_local_conf_requires_a_file_that_is_there(name: str, dumps: dict[str, Any]) -> None:
    (path,) = re.findall(r"require (\S+)", dumps[name]["local_conf_header"]["board"])
    layer = str(catalogue_folder().parent / LAYER.name)
    assert os.path.normpath(path.replace("${LAYERDIR_META_OTA}", layer)) == str(
        path_of(FILES[name][0], "bistable.conf")
    )


@pytest.mark.parametrize("machine", sorted(path.stem for path in (LAYER / "kas/machine").glob("*.yml")))
def test_runqemu_starts_machines_of_qemu_as_with_the_files_of_the_layer(machine: str) -> None:
    import yaml

    said = yaml.safe_load((LAYER / f"kas/machine/{machine}.yml").read_text())
    wanted = set(re.findall(r"^QB_.*$", said["local_conf_header"]["machine"], re.MULTILINE))
    assert wanted
    assert wanted <= set(path_of(machine, "bistable.conf").read_text().splitlines())


# --- bitbake


def settings(key: str) -> str:
    """Return lines of local.conf that take the file of a board."""
    yocto = BOARDS[key].yocto
    layers = {layer.name for layer in yocto.layers} if yocto is not None else set()
    return (
        f"{RASPBERRY_PI if 'meta-raspberrypi' in layers else ''}"
        'BISTABLE_EXAMPLE_KEYS = "1"\n'
        'BBFILE_COLLECTIONS += "meta-python"\n'
        f'TARGET_ARCH:forcevariable = "{ARCHITECTURES[BOARDS[key].boot.architecture]}"\n'
        f"require {path_of(key, 'bistable.conf')}\n"
    )


@pytest.mark.parametrize("key", WITH_DISKS)
def test_variables_make_the_disk_of_the_layout(key: str, bench: Bench) -> None:
    build = bench.build(settings(key), machine="qemuarm64")
    assert build.log.text == ""
    data = build.configuration.data
    for variable in re.findall(r"^(BISTABLE_\w+) =", path_of(key, "bistable.conf").read_text(), re.MULTILINE):
        # A name that the layer does not have would do nothing.
        assert data.getVarFlag(variable, "doc"), variable
    for path in (data.getVar("BISTABLE_CONFIG_FILES") or "").split():
        assert Path(path).is_file()
    wanted = committed(key)
    if unspeakable(wanted):
        assert Path(data.getVar("BISTABLE_LAYOUT")).samefile(path_of(key, "layout.toml"))
        assert int(data.getVar("BISTABLE_SLOT_SIZE_MB")) << 20 == wanted.slots.size
        return
    assert not data.getVar("BISTABLE_LAYOUT")
    import metaota.layout

    made = parse_layout(metaota.layout.render(data.getVar).encode(), Path())
    assert place(made) == place(wanted)
    assert boot_plan(made, place(made)) == boot_plan(wanted, place(wanted))
    assert [(blob.file.name, blob.offset) for blob in made.blobs] == [
        (blob.file.name, blob.offset) for blob in wanted.blobs
    ]


@pytest.mark.parametrize("key", [key for key in BOARDS if key not in WITH_DISKS])
def test_where_the_layer_makes_no_disk_the_configuration_is_read_without_it(key: str, bench: Bench) -> None:
    build = bench.build(settings(key), machine="qemuarm64")
    assert build.log.text == ""
    assert "bistable" not in build.configuration.words("INHERIT")
    assert "bistable" in build.configuration.words("IMAGE_INSTALL")
    assert "bistable" not in build.configuration.words("DISTRO_FEATURES")
    assert not build.configuration.value("BISTABLE_BOOTLOADER")


# --- wic


@pytest.mark.skipif(not PARSERS, reason="OE_SOURCES names no folder with SERIES/openembedded-core/scripts/lib/wic")
@pytest.mark.parametrize("parser", PARSERS, ids=[path.parents[4].name for path in PARSERS])
def test_wic_reads_every_kickstart(parser: Path) -> None:
    files = {str(path_of(key, "disk.wks")): key for key in WITH_DISKS if path_of(key, "disk.wks").exists()}
    done = subprocess.run(
        ["/usr/bin/python3", "-c", WIC, *files],
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": f"{parser.parents[1]}:{parser.parents[3] / 'meta/lib'}",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for path, (table, parts) in json.loads(done.stdout).items():
        wanted = place(committed(files[path]))
        assert table == {"gpt": "gpt", "mbr": "msdos"}[wanted.table.value]
        sizes = [size for _, size, _, outside in parts if not outside]
        assert sizes == [part.size >> 10 for part in wanted.partitions]
        if table == "gpt":
            assert [(name, uuid) for name, _, uuid, outside in parts if not outside] == [
                (part.name, part.uuid) for part in wanted.partitions
            ]


@pytest.mark.parametrize("key", WITH_DISKS)
def test_a_kickstart_has_a_line_for_each_partition(key: str) -> None:
    """Wherever there is no wic to ask."""
    path = path_of(key, "disk.wks")
    lines = [line for line in path.read_text().splitlines() if line.startswith("part ")]
    partitions = place(committed(key)).partitions
    inside = [line for line in lines if "--no-table" not in line]
    assert [re.findall(r"--fixed-size (\d+)k", line) for line in inside] == [
        [str(part.size >> 10)] for part in partitions
    ]
    assert [name for line in lines for name in re.findall(r"\$\{DEPLOY_DIR_IMAGE\}/([^\"]+)", line)] == [
        blob.file.name for blob in sorted(committed(key).blobs, key=lambda blob: blob.offset)
    ]
