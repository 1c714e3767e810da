"""Everything that follows from a board is rendered from it, by templates that may name nothing that nobody gives."""

import re
import subprocess
import tomllib
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import board_samples as samples
import pytest
import yaml
from board_samples import board
from image_samples import needs

from bistable.artifact.errors import RequestError
from bistable.tools.board.model import Board, Flow
from bistable.tools.board.render import render_board, render_catalogue
from bistable.tools.board.render.layoutfile import layout_text, rendered_layout
from bistable.tools.board.render.openembedded import unspeakable
from bistable.tools.board.render.page import size
from bistable.tools.board.render.prose import reflowed
from bistable.tools.board.render.templates import HEADER, environment, rendered
from bistable.tools.boot.plan import Loader
from bistable.tools.disk.geometry import place
from bistable.tools.disk.layout import Layout, parse_layout

WITHOUT_COMMENTS = {"cmdline.txt", "options"}
DISK_FLOWS = [flow for flow in Flow if flow.loader is not None]


def of_flow(flow: Flow) -> Board:
    """Return a board whose slot is chosen in this way."""
    if flow is Flow.UBOOT_UBI:
        return board(samples.UBI)
    if flow is Flow.CUSTOM:
        return board(samples.VENDOR)
    changes = [('loader = "uboot"', f'loader = "{flow.value}"')]
    if flow not in {Flow.UBOOT, Flow.UBOOT_ENVIRONMENT}:
        changes.append(('uboot = "watchdog@30280000"\n', ""))
    return board(samples.DISK, *changes)


def texts(of: Board) -> dict[str, str]:
    """Return path -> text of all that is rendered."""
    return {str(path): content.decode() for path, content in render_board(of).items()}


def variables(of: Board) -> dict[str, str]:
    """Return what bistable.conf sets."""
    return dict(re.findall(r'^(\S+) = ["\'](.*)["\']$', texts(of)["rendered/bistable.conf"], re.MULTILINE))


def at_home(layout: Layout) -> Any:
    """Return a layout with the shortest paths, and what is written there left out: it says only how they were found."""
    blobs = tuple((str(blob.file.resolve()), blob.offset) for blob in layout.blobs)
    files = {inside: path.resolve() for inside, path in layout.boot_files.items()}
    extras = tuple(
        replace(extra, content=None if extra.content is None else extra.content.resolve()) for extra in layout.extras
    )
    return replace(layout, blobs=(), boot_files=files, extras=extras), blobs


# --- what is rendered


@pytest.mark.parametrize("flow", list(Flow))
def test_every_way_to_choose_a_slot_is_rendered(flow: Flow) -> None:
    found = texts(of_flow(flow))
    names = {path.removeprefix("rendered/") for path in found}
    assert {"README.md", "bistable.conf", "fstab", "labgrid.yaml", "conf.d/40-boot.toml"} <= names
    assert {
        Flow.UBOOT: {"layout.toml", "disk.wks", "boot/boot.cmd", "fw_env.config", "uboot.config"},
        Flow.UBOOT_ENVIRONMENT: {"layout.toml", "disk.wks", "boot/boot.cmd", "fw_env.config", "uboot.config"},
        Flow.GRUB: {"layout.toml", "disk.wks", "boot/grub/grub.cfg"},
        Flow.SYSTEMD_BOOT: {"layout.toml", "disk.wks", "boot/loader/entries/bistable-a.conf"},
        Flow.EFI: {"layout.toml", "disk.wks", "boot/grub/grub.cfg", "boot/EFI/bistable/b/options"},
        Flow.RASPBERRY_PI: {"layout.toml", "disk.wks", "boot/autoboot.txt", "boot-a/cmdline.txt"},
        Flow.UBOOT_UBI: {"boot.cmd", "ubinize.cfg", "fw_env.config", "uboot.config"},
        Flow.CUSTOM: {"nvbootctrl"},
    }[flow] <= names


@pytest.mark.parametrize("flow", list(Flow))
def test_every_file_says_what_it_is_rendered_from(flow: Flow) -> None:
    for path, text in texts(of_flow(flow)).items():
        if PurePosixPath(path).name not in WITHOUT_COMMENTS:
            first, second = [*text.splitlines(), ""][:2]
            assert HEADER in (second if first.startswith("#!") else first), path


@pytest.mark.parametrize("flow", list(Flow))
def test_the_same_board_gives_the_same_bytes(flow: Flow) -> None:
    assert render_board(of_flow(flow)) == render_board(of_flow(flow))


@pytest.mark.parametrize("text", samples.SAMPLES.values(), ids=samples.SAMPLES)
def test_no_file_names_the_folder_that_the_board_lies_in(text: str) -> None:
    for path, content in texts(board(text)).items():
        assert "/boards/" not in content, path


@pytest.mark.parametrize("flow", list(Flow))
def test_what_is_meant_for_programs_can_be_read_by_them(flow: Flow) -> None:
    for path, text in texts(of_flow(flow)).items():
        if path.endswith(".toml"):
            tomllib.loads(text)
        if path.endswith((".yml", ".yaml")):
            assert isinstance(yaml.safe_load(text), dict), path


def test_a_board_without_a_build_gets_no_files_for_kas() -> None:
    assert not [path for path in texts(board(samples.VENDOR)) if "/kas/" in path]


def test_a_board_that_does_not_fit_is_refused() -> None:
    with pytest.raises(RequestError, match="cannot lay out"):
        render_board(board(samples.DISK, ('size = "7456 MiB"', 'size = "1 GiB"')))


def test_a_vendors_boot_loader_that_nobody_knows_is_refused_by_its_name() -> None:
    with pytest.raises(RequestError, match="nvbotctrl") as refused:
        render_board(board(samples.VENDOR, ('handler = "nvbootctrl"', 'handler = "nvbotctrl"')))
    assert refused.value.hint is not None
    assert "nvbootctrl" in refused.value.hint


def test_what_a_boot_loader_wants_at_each_start_calls_the_handler_where_it_is_installed() -> None:
    made = texts(board(samples.VENDOR))
    unit, handler = made["rendered/nvbootctrl.service"], made["rendered/nvbootctrl"]
    started = re.search(r"^ExecStart=(\S+) (\S+)$", unit, re.MULTILINE)
    assert started is not None
    program, verb = started.groups()
    assert f'handler = "{program}"' in made["rendered/conf.d/40-boot.toml"]
    assert re.search(rf"^ *\S*\b{verb}[^)\n]*\)", handler, re.MULTILINE)


def test_a_unit_is_no_handler() -> None:
    with pytest.raises(RequestError, match=r"nvbootctrl\.service"):
        render_board(board(samples.VENDOR, ('handler = "nvbootctrl"', 'handler = "nvbootctrl.service"')))


def test_no_handler_is_taken_from_outside_of_its_folder() -> None:
    with pytest.raises(RequestError):
        render_board(board(samples.VENDOR, ('handler = "nvbootctrl"', 'handler = "../qemu.sh"')))


# --- templates


def test_a_template_that_names_what_nobody_gives_is_an_error() -> None:
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError, match="'kernal' is undefined"):
        environment().from_string("{{ kernal }}").render()
    with pytest.raises(UndefinedError):
        rendered("watchdog.toml", {})
    with pytest.raises(UndefinedError):
        environment().from_string("{% if kernal %}{% endif %}").render()


# --- the layout


@pytest.mark.parametrize("flow", DISK_FLOWS)
def test_the_rendered_layout_is_that_of_the_board(flow: Flow) -> None:
    of = of_flow(flow)
    assert of.layout is not None
    found = parse_layout(layout_text(of).encode(), of.folder / "rendered", name=of.key)
    watchdog = None if of.watchdog is None else of.watchdog.uboot
    assert at_home(found) == at_home(replace(of.layout, boot=replace(of.layout.boot, watchdog=watchdog)))


def test_files_of_the_board_are_found_from_the_layout_too() -> None:
    of = board(
        samples.DISK,
        ('size = "64 MiB"\n\n[blobs]', 'size = "64 MiB"\nfiles = { "config.txt" = "own/config.txt" }\n\n[blobs]'),
        ('size = "4 MiB"', 'size = "4 MiB"\ncontent = "/srv/calibration.bin"'),
    )
    found = rendered_layout(of)
    assert found.boot_files[PurePosixPath("config.txt")].resolve() == of.folder / "own/config.txt"
    assert found.blobs[0].file.resolve() == of.folder / "imx-boot"
    assert found.extras[0].content == Path("/srv/calibration.bin")
    assert '"config.txt" = "../own/config.txt"' in layout_text(of)


def test_wic_takes_first_stages_from_where_builds_deploy_them() -> None:
    lines = texts(board())["rendered/disk.wks"].splitlines()
    assert [line for line in lines if "imx-boot" in line] == [
        'part --no-table --offset 64s --source rawcopy --sourceparams="file=${DEPLOY_DIR_IMAGE}/imx-boot" --fstype none'
    ]


def test_the_watchdog_that_u_boot_knows_is_started_by_the_script_and_kept_going_by_the_client() -> None:
    found = texts(board())
    assert "setenv bistable_watchdog watchdog@30280000" in found["rendered/boot/boot.cmd"]
    assert "setenv bistable_watchdog watchdog@20bc000" in texts(board(samples.UBI))["rendered/boot.cmd"]
    assert tomllib.loads(found["rendered/conf.d/45-watchdog.toml"]) == {
        "watchdog": {"device": "/dev/watchdog0", "limit": 60}
    }
    assert not [path for path in texts(board(samples.DISK, _without("watchdog"))) if "watchdog" in path]


def _without(table: str) -> tuple[str, str]:
    match = re.search(rf"^\[{table}\]\n(.+\n)*\n", samples.DISK, re.MULTILINE)
    assert match is not None
    return match[0], ""


# --- OpenEmbedded


def test_variables_say_all_of_the_disk() -> None:
    of = board(
        samples.DISK,
        ('disk = "mmc 2"', 'disk = "mmc 2"\naddresses = { kernel_addr_r = "0x40480000", scriptaddr = "0x43000000" }'),
    )
    found = {name: value for name, value in variables(of).items() if name.startswith("BISTABLE_")}
    assert found == {
        "BISTABLE_DEVICE_TYPE": "acorn-2",
        "BISTABLE_BOOTLOADER": "uboot",
        "BISTABLE_ROOTFS_FSTYPE": "ext4",
        "BISTABLE_TRIES": "3",
        "BISTABLE_KERNEL": "/boot/Image",
        "BISTABLE_DEVICETREE": "/boot/acorn-2.dtb",
        "BISTABLE_KERNEL_ARGS": "console=ttymxc1,115200 rootwait panic=10",
        "BISTABLE_UBOOT_DISK": "mmc 2",
        "BISTABLE_UBOOT_WATCHDOG": "watchdog@30280000",
        "BISTABLE_UBOOT_ADDRESSES": "kernel_addr_r=0x40480000 scriptaddr=0x43000000",
        "BISTABLE_PARTITION_TABLE": "gpt",
        "BISTABLE_DISK_SEED": "acorn-2",
        "BISTABLE_STORAGE_SIZE_MB": "7456",
        "BISTABLE_ERASE_BLOCK_MB": "4",
        "BISTABLE_BLOBS_END_MB": "8",
        "BISTABLE_BLOBS": "imx-boot:32",
        "BISTABLE_BOOT_SIZE_MB": "64",
        "BISTABLE_SLOT_SIZE_MB": "2048",
        "BISTABLE_EXTRA_PARTITIONS": "calibration:4:none",
        "BISTABLE_CONFIG_FILES": "${BISTABLE_BOARD_FOLDER}/conf.d/45-watchdog.toml",
    }


@pytest.mark.parametrize(
    "change",
    [
        ('size = "2 GiB"', 'size = "2 GiB"\nfill = "first"'),
        ('erase-block = "4 MiB"', 'erase-block = "512 KiB"'),
        ('size = "4 MiB"', 'size = "4100 KiB"'),
        ('size = "4 MiB"', 'size = "4 MiB"\ncontent = "calibration.bin"'),
        ('size = "rest"', 'size = "1 GiB"'),
        ('[slots]', '[environment]\nsize = "1 KiB"\n\n[slots]'),
        ('"imx-boot" = "32 KiB"', '"imx-boot" = "32256"'),
    ],
)  # fmt: skip
def test_what_no_variable_says_is_said_by_the_layout(change: tuple[str, str]) -> None:
    of = board(samples.DISK, change)
    assert of.layout is not None
    assert unspeakable(of.layout)
    found = variables(of)
    assert found["BISTABLE_LAYOUT"] == "${BISTABLE_BOARD_FOLDER}/layout.toml"
    assert found["BISTABLE_SLOT_SIZE_MB"] == "2048"
    assert "BISTABLE_STORAGE_SIZE_MB" not in found


def test_where_the_layer_makes_no_disk_it_is_not_switched_on() -> None:
    for of in (board(samples.UBI), board(samples.VENDOR)):
        found = texts(of)["rendered/bistable.conf"]
        assert 'INHERIT:remove = "bistable"' in found
        assert "BISTABLE_" not in found


def test_the_image_of_a_slot_in_ubi_is_made_for_the_flash() -> None:
    found = variables(board(samples.UBI))
    assert found["MKUBIFS_ARGS"].startswith("-m 2048 -e 126976 ")
    assert found["UBINIZE_ARGS"] == "-m 2048 -p 131072 -s 2048"


def test_kas_gets_the_layers_of_the_board_at_their_commits() -> None:
    found = texts(board())
    for series, commit in (("scarthgap", "0123456789abcdef" * 2), ("wrynose", "123456789abcdef0" * 2)):
        said = yaml.safe_load(found[f"rendered/kas/{series}.yml"])
        assert said["header"] == {"version": 18, "includes": [f"meta-ota/kas/include/{series}.yml"]}
        assert said["machine"] == "acorn-2"
        assert "/board-integrations/acorn-2/rendered/bistable.conf" in said["local_conf_header"]["board"]
        assert said["repos"] == {
            "meta-acorn": {
                "url": "https://git.example.com/meta-acorn",
                "branch": series,
                "commit": commit + commit[:8],
                "layers": {"meta-acorn-bsp": None},
            }
        }


def test_a_repository_that_is_a_layer_itself_has_no_list_of_layers() -> None:
    of = board(samples.DISK, ('layers = ["meta-acorn-bsp"]\n', ""))
    assert "layers" not in yaml.safe_load(texts(of)["rendered/kas/wrynose.yml"])["repos"]["meta-acorn"]


def test_a_commit_is_no_number_for_kas() -> None:
    digits = "1234567890" * 4
    of = board(samples.DISK, ("123456789abcdef0123456789abcdef012345678", digits))
    assert yaml.safe_load(texts(of)["rendered/kas/wrynose.yml"])["repos"]["meta-acorn"]["commit"] == digits


# --- machines


@needs("shellcheck")
@pytest.mark.parametrize("firmware", ["code", "bios"])
def test_the_script_for_qemu_is_a_good_one(firmware: str, tmp_path: Path) -> None:
    of = board(samples.QEMU)
    if firmware == "bios":
        assert of.qemu is not None
        of = replace(of, qemu=replace(of.qemu, firmware={"bios": Path("/usr/share/it's/u-boot.bin")}))
    script = tmp_path / "qemu.sh"
    script.write_text(texts(of)["rendered/qemu.sh"])
    done = subprocess.run(["shellcheck", script], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_script_for_qemu_gives_it_all_that_the_board_says(tmp_path: Path) -> None:
    of = board(samples.QEMU)
    assert of.qemu is not None
    firmware = {role: tmp_path / role for role in of.qemu.firmware}
    for path in firmware.values():
        path.write_text(path.name)
    program = tmp_path / "qemu"
    program.write_text('#!/bin/sh\nfor word; do echo "$word"; done\n')
    program.chmod(0o755)
    of = replace(of, qemu=replace(of.qemu, firmware=firmware, program=str(program)))
    script, disk = tmp_path / "qemu.sh", tmp_path / "my disk.img"
    script.write_text(texts(of)["rendered/qemu.sh"])
    said = subprocess.run(["sh", script, disk, "-snapshot"], check=True, capture_output=True, text=True).stdout
    words = said.splitlines()
    assert words[:4] == ["-M", "q35", "-m", "512"]
    assert f"if=none,id=disk,format=raw,file={disk}" in words
    assert f"if=pflash,unit=1,format=raw,file={disk}.firmware" in words
    assert (tmp_path / "my disk.img.firmware").read_text() == "variables"
    assert {"virtio-blk-pci,drive=disk,bootindex=1", "i6300esb"} <= set(words)
    assert words[-1] == "-snapshot"


def test_the_script_for_qemu_says_which_package_is_missing(tmp_path: Path) -> None:
    of = board(samples.QEMU)
    assert of.qemu is not None
    script = tmp_path / "qemu.sh"
    script.write_text(
        texts(replace(of, qemu=replace(of.qemu, firmware={"bios": tmp_path / "none"})))["rendered/qemu.sh"]
    )
    done = subprocess.run(["sh", script, "disk.img"], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "install the package ovmf" in done.stderr
    assert subprocess.run(["sh", script], check=False, capture_output=True).returncode == 2


@pytest.mark.parametrize("text", samples.SAMPLES.values(), ids=samples.SAMPLES)
def test_labgrid_takes_the_board(text: str, tmp_path: Path) -> None:
    labgrid = pytest.importorskip("labgrid", reason="labgrid is not installed: the dependency group 'labgrid'")
    (tmp_path / "labgrid.yaml").write_text(texts(board(text))["rendered/labgrid.yaml"])
    target = labgrid.Environment(str(tmp_path / "labgrid.yaml")).get_target("main")
    assert target.get_driver("ConsoleProtocol", activate=False) is not None
    assert target.get_driver("PowerProtocol", activate=False) is not None


def test_labgrid_is_told_by_capitals_what_it_cannot_know() -> None:
    main = yaml.safe_load(texts(board())["rendered/labgrid.yaml"])["targets"]["main"]
    assert main["resources"]["NetworkSerialPort"]["host"].startswith("CHANGE")
    assert main["resources"]["NetworkSerialPort"]["speed"] == 115200
    assert main["resources"]["NetworkPowerPort"]["host"].startswith("CHANGE")


def test_a_board_that_qemu_has_too_can_be_led_in_either_way() -> None:
    both = texts(replace(board(samples.QEMU), steps=("Write the image to it: `dd if=IMAGE of=/dev/sdX`.",)))
    bench, machine = (yaml.safe_load(both[f"rendered/{name}"]) for name in ("labgrid.yaml", "labgrid-qemu.yaml"))
    assert "NetworkPowerDriver" in bench["targets"]["main"]["drivers"]
    assert "QEMUDriver" in machine["targets"]["main"]["drivers"]
    assert "--image disk.img --report report" in both["README.md"]
    assert "--image disk.img --serial /dev/ttyUSB0" in both["README.md"]
    only = texts(board(samples.QEMU))
    assert "rendered/labgrid-qemu.yaml" not in only
    assert "--serial" not in only["README.md"]


def test_labgrid_gets_the_machine_without_its_properties_which_come_besides() -> None:
    of = board(samples.QEMU)
    assert of.qemu is not None
    of = replace(of, qemu=replace(of.qemu, arguments=("-M", "virt,highmem=off", "-cpu", "cortex-a15"), bus="device"))
    driver = yaml.safe_load(texts(of)["rendered/labgrid.yaml"])["targets"]["main"]["drivers"]["QEMUDriver"]
    assert (driver["machine"], driver["cpu"], driver["memory"]) == ("virt", "cortex-a15", "512M")
    assert driver["extra_args"].startswith("-machine highmem=off -drive if=pflash,unit=0,")
    assert "-device virtio-blk-device,drive=disk,bootindex=1" in driver["extra_args"]


# --- the page


def test_the_page_says_where_every_partition_lies() -> None:
    of = board()
    page = texts(of)["README.md"]
    for part in place(rendered_layout(of)).partitions:
        row = next(line for line in page.splitlines() if line.startswith(f"| {part.number} `{part.name}` "))
        wanted = size(part.size) if part.name != "data" else f"the rest, {part.size >> 20} MiB"
        assert [cell.strip() for cell in row.split("|")[2:4]] == [size(part.start), wanted]


def test_sizes_are_exact() -> None:
    assert [size(number) for number in (8 << 20, 4032 << 10, 512)] == ["8 MiB", "4032 KiB", "512 bytes"]


def test_the_page_says_what_is_in_front_of_the_partitions() -> None:
    page = " ".join(texts(board())["README.md"].split())
    assert "| `imx-boot` | 32 KiB |" in page
    assert "64 KiB from 4032 KiB on" in page
    assert "512 bytes each, start at 72 MiB and 76 MiB of the disk" in page


@pytest.mark.parametrize("flow", list(Flow))
def test_every_file_that_is_rendered_is_on_the_page(flow: Flow) -> None:
    found = texts(of_flow(flow))
    links = set(re.findall(r"\]\((rendered/[^)]*)\)", found["README.md"]))
    for path in found:
        if path != "README.md":
            assert any(path == link or path.startswith(f"{link}/") for link in links), path
    for link in links:
        assert any(path == link or path.startswith(f"{link}/") for path in found), link


@pytest.mark.parametrize("flow", list(Flow))
def test_a_page_is_good_markdown(flow: Flow) -> None:
    page = texts(of_flow(flow))["README.md"]
    assert "\n\n\n" not in page
    assert page.endswith("\n")
    assert not [line for line in page.splitlines() if line != line.rstrip()]
    headings = [line for line in page.splitlines() if line.startswith("#")]
    assert headings[0].startswith("# Acorn")
    for heading in headings:
        before, _, after = page.partition(f"\n{heading}\n")
        assert before.endswith(("\n", "-->")), heading
        assert after.startswith("\n"), heading


def test_the_steps_of_flashing_the_limits_and_the_sources_are_on_the_page() -> None:
    page = texts(board())["README.md"]
    assert "1. Set the switch to SDP.\n2. `uuu -b emmc_all imx-boot IMAGE`\n" in page
    assert "- It was not tried on a real board." in page
    assert "- [u-boot](https://docs.u-boot.org/en/latest/)\n" in page


def test_the_table_of_boards_has_a_row_for_each() -> None:
    (text,) = (content.decode() for content in render_catalogue([board(), board(samples.UBI)]).values())
    rows = [line for line in text.splitlines() if line.startswith("| [")]
    assert [row.split("|")[1].strip() for row in rows] == ["[Acorn 2](acorn-2)", "[Acorn 1](acorn-2)"]
    assert "| NXP i.MX 8M Plus | `uboot` | eMMC | arm64 | scarthgap, wrynose | checked |" in rows[0]


def test_paragraphs_and_items_are_filled_and_tables_and_code_are_left_alone() -> None:
    long = " ".join(["word"] * 60)
    text = f"# A\n\n\n{long}\n{long}\n\n- {long}\n- b\n\n| {long} |\n\n    {long}\n"
    lines = reflowed(text).splitlines()
    assert [line for line in lines if len(line) > 120] == [f"| {long} |", f"    {long}"]
    assert reflowed(reflowed(text)) == reflowed(text)
    assert "- b" in lines
    assert all(line.startswith(("- ", "  ")) for line in lines[lines.index("- b") - 2 : lines.index("- b")])


def test_what_is_copied_stays_in_one_line() -> None:
    code = f"`{' '.join(['word'] * 40)}`"
    address = f"[name](https://example.com/{'x' * 120})"
    assert reflowed(f"- Type {code} and read {address}.\n") == f"- Type\n  {code}\n  and read\n  {address}.\n"
    assert reflowed(f"1. {address}\n") == f"1. {address}\n"


def test_all_loaders_of_layouts_have_a_flow() -> None:
    assert {flow.loader for flow in DISK_FLOWS} == set(Loader)
