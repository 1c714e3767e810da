"""`bistable image`: what the commands say, to people and to programs."""

import json
from pathlib import Path
from typing import Any

import pytest
from commandline import KEYS, Outcome, call_program
from disk_samples import DISK_TOOLS, UBOOT, call, small_root
from image_samples import needs
from schemas import validated

pytestmark = DISK_TOOLS


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    small_root(tmp_path / "root")
    (tmp_path / "board.toml").write_text(UBOOT)
    return tmp_path


def image(*arguments: str | Path, code: int = 0, **environment: str) -> Outcome:
    outcome = call_program("image", *arguments, env=environment)
    assert outcome.code == code, outcome.err
    return outcome


def document(outcome: Outcome) -> Any:
    """Return what was written as JSON, once its schema has agreed."""
    return validated(outcome.document)


def built(*more: str | Path) -> Outcome:
    return image("build", "board.toml", "--rootfs", "root", "-o", "disk.img", *more)


def test_a_build_says_what_it_made_and_where() -> None:
    said = built("--slot-image", "slot.ext4").out
    assert said.startswith("wrote disk.img, 50.3 MB (50331648 bytes)")
    assert "rootfs-a" in said
    assert "disk.img.bmap" in said
    assert {path.name for path in Path().iterdir()} == {
        *("root", "board.toml", "disk.img", "disk.img.bmap", "slot.ext4")
    }


def test_a_build_is_told_to_programs_in_every_field() -> None:
    found = document(built("--json", "--no-bmap"))
    assert found["block_map"] is None
    assert [part["name"] for part in found["partitions"] if part["filled"]] == ["rootfs-a", "rootfs-b"]
    assert found["size"] == Path("disk.img").stat().st_size


def test_settings_go_before_the_layout() -> None:
    found = document(built("--json", "--set", "slots.size=24 MiB", "--set", "slots.fill=first"))
    assert [part["size"] for part in found["partitions"] if part["filled"]] == [24 << 20]


def test_client_keys_and_servers_go_in_by_options(here: Path) -> None:
    (here / "root/usr/lib/python3/dist-packages").mkdir(parents=True)
    options: list[str | Path] = [
        "--client",
        "own",
        "--start",
        "by-hand",
        "--verify-key",
        KEYS / "ec256.pub",
        "--server",
        "https://u.example",
    ]
    built(*options, "--artifact-name", "first-1")
    assert document(image("inspect", "--json", "disk.img"))["slots"][0]["artifact_name"] == "first-1"


@needs("mender-artifact")
def test_an_update_is_made_of_the_kept_image() -> None:
    built("--slot-image", "slot.ext4")
    outcome = call_program(
        "artifact", "write", "rootfs", "-f", "slot.ext4", "-n", "first-1", "-t", "test-board", "--compression", "gzip"
    )
    assert outcome.code == 0
    assert "slot.ext4" in call("mender-artifact", "read", "artifact.mender")


def test_source_date_epoch_is_the_latest_time(here: Path) -> None:
    image(
        "build", "board.toml", "--rootfs", "root", "-o", "disk.img", "--slot-image", "slot.ext4", SOURCE_DATE_EPOCH="77"
    )
    assert f"mtime: {77:#010x}" in call("debugfs", "-R", "stat /etc/os-release", here / "slot.ext4")


@pytest.mark.parametrize(
    ("arguments", "code", "what"),
    [
        (("build", "absent.toml", "--rootfs", "root", "-o", "x"), 2, "cannot read the layout absent.toml"),
        (("build", "unknown", "--rootfs", "root", "-o", "x"), 2, "cannot find the layout unknown"),
        (("build", "board.toml", "--rootfs", "absent", "-o", "x"), 2, "it does not exist"),
        (("build", "board.toml", "--rootfs", "root", "-o", "no/x"), 2, "there is no directory no"),
        (("build", "board.toml", "--rootfs", "root", "-o", "x", "--set", "slots"), 2, "TABLE.KEY=VALUE"),
        (("build", "board.toml", "--rootfs", "root", "-o", "x", "--client", "absent"), 2, "cannot take the client"),
        (("convert", "absent.img", "--layout", "board.toml", "-o", "x"), 2, "cannot read absent.img"),
        (("inspect", "absent.img"), 2, "cannot read absent.img"),
        (("files", "board.toml", "-o", "root"), 2, "it is there already"),
        (("files", "board.toml", "-o", "x", "--init", "openrc"), 2, "'openrc' is not one of"),
        (("files", "board.toml", "-o", "x", "--slot-file", "a b"), 2, "characters that wic does not hand on"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_left(arguments: tuple[str, ...], code: int, what: str) -> None:
    before = sorted(Path().iterdir())
    assert what in image(*arguments, code=code).err
    assert sorted(Path().iterdir()) == before


def test_a_failure_is_told_to_programs_too() -> None:
    found = document(image("build", "board.toml", "--rootfs", "absent", "-o", "x", "--json", code=2))
    assert found["error"]["kind"] == "request"


def test_inspect_says_which_slot_boots_and_why() -> None:
    built()
    said = image("inspect", "disk.img").out
    assert "boots        slot a" in said
    assert "- slot a is good and booted without counting" in said
    assert "must not be booted" in said
    found = document(image("inspect", "--json", "disk.img"))
    assert (found["boots"], found["environment"]["order"], found["findings"]) == ("a", ["a"], [])


def test_inspect_ends_with_1_if_something_is_wrong() -> None:
    built()
    with Path("disk.img").open("r+b") as file:
        file.write(bytes(64 * 1024))
        file.seek(-33 * 512, 2)
        file.write(bytes(33 * 512))
    outcome = image("inspect", "--json", "disk.img", code=1)
    assert document(outcome)["table"] is None
    assert "error: cannot find a partition table" in image("inspect", "disk.img", code=1).out


def test_a_conversion_is_told_like_a_build(here: Path) -> None:
    (here / "root/etc/fstab").write_text("UUID=1 /mnt/x ext4 defaults 0 2\n")
    call("mke2fs", "-q", "-t", "ext4", "-d", here / "root", here / "single.ext4", "20M")
    outcome = image("convert", "single.ext4", "--layout", "board.toml", "--client", "none", "-o", "ab.img", "--json")
    assert document(outcome)["remarks"] == ["/mnt/x is no longer mounted: it is not on the new disk"]
    assert "/mnt/x is no longer mounted" in outcome.err
    assert document(image("inspect", "--json", "ab.img"))["boots"] == "a"


def test_files_for_another_builder_are_told_to_people_and_programs() -> None:
    said = image("files", "x86-grub", "-o", "files").out
    assert said.startswith("wrote files, 10 files\n")
    assert "boot/grub/grub.cfg" in said
    assert "boot: EFI/BOOT/BOOTX64.EFI, grub" in said
    found = document(image("files", "x86-systemd-boot", "-o", "more", "--json"))
    assert {file["path"] for file in found["files"]} == {
        str(path.relative_to("more")) for path in Path("more").rglob("*") if path.is_symlink() or path.is_file()
    }
    assert [item["slot_file"] for item in found["needed"]] == [None, "/boot/vmlinuz", "/boot/initrd.img"]
    assert found["partitions"] == json.loads(Path("more/disk.json").read_text())["partitions"]


def test_options_of_files_reach_what_is_written() -> None:
    options = ["--grub-prefix", "/EFI/BOOT", "--init", "other", "--slot-file", "s.img", "--environment-file", "none"]
    options += ["--blob-dir", "${X}", "--set", 'blobs.at={"spl.bin"="32 KiB"}', "--set", "blobs.end=1 MiB"]
    image("files", "x86-grub", *options, "--data-dir", "none", "--set", "slots.size=24 MiB", "-o", "files")
    assert Path("files/boot/EFI/BOOT/grub.cfg").exists()
    assert "systemd" not in Path("files/fstab").read_text()
    kickstart = Path("files/disk.wks").read_text()
    assert kickstart.count('--fixed-size 24576k --source rawcopy --sourceparams="file=s.img"') == 2
    assert 'file=${X}/spl.bin"' in kickstart
    assert "rootfs-dir" not in kickstart
    assert "boot-env.img" not in kickstart


def test_a_kickstart_that_cannot_be_is_said(here: Path) -> None:
    (here / "board.toml").write_text(UBOOT + '[extra."my logs"]\nsize = "4 MiB"\n')
    outcome = image("files", "board.toml", "-o", "files", "--json")
    assert document(outcome)["remarks"][0].startswith("no disk.wks: the name 'my logs'")
    assert "no disk.wks" in outcome.err
    assert not Path("files/disk.wks").exists()
