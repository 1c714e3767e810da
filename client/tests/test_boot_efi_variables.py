"""Variables of the firmware are read and written as UEFI and efivarfs have them, and what is none is refused."""

import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from client_boot import A, B
from client_boot_efi import load_option
from hypothesis import given
from hypothesis import strategies as st

from bistable.client.boot import BootSettings, detect_backend
from bistable.client.boot.efi.efivars import FS_IMMUTABLE_FL, FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, GLOBAL, EfiVariables
from bistable.client.boot.efi.make import find_boot_partition, has_entries
from bistable.client.boot.efi.options import BadOptionError, LoadOption, parse_numbers, parse_option, with_active
from bistable.client.errors import BootError


@given(
    text=st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
)
def test_descriptions_are_read(text: str) -> None:
    assert parse_option(load_option(text, arguments="root=x")) == LoadOption(description=text, active=True)


@given(data=st.binary(max_size=100))
def test_no_bytes_do_harm(data: bytes) -> None:
    for parse in (parse_option, parse_numbers):
        try:
            parse(data)
        except BadOptionError:
            continue


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "a load option of 0 bytes"),
        (b"\1\0\0\0\0\0" + b"a\0" * 600, "too long"),
        (struct.pack("<IH", 1, 9) + b"a\0\0\0" + b"\0" * 8, "a device path that is longer"),
        (struct.pack("<IH", 1, 0) + b"a\0b\0", "a device path that is longer"),
        (b"\0" * 70_000, "a load option of 70000 bytes"),
    ],
)
def test_a_load_option_that_is_not_one_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(BadOptionError, match=why):
        parse_option(data)


@given(text=st.sampled_from(["bistable a", ""]), active=st.booleans(), wanted=st.booleans())
def test_only_the_mark_changes(text: str, active: bool, wanted: bool) -> None:
    data = load_option(text, active=active, arguments="root=x")
    changed = with_active(data, active=wanted)
    assert parse_option(changed) == LoadOption(description=text, active=wanted)
    assert changed[4:] == data[4:]


# --- efivarfs


@pytest.fixture
def efivars(tmp_path: Path) -> Path:
    """A directory in the place of efivarfs."""
    (tmp_path / "vars").mkdir()
    for name, data in {
        "Boot0001": load_option("bistable a"),
        "Boot0002": load_option("bistable b"),
        "BootOrder": b"\1\0\2\0",
    }.items():
        (tmp_path / "vars" / f"{name}-{GLOBAL}").write_bytes(b"\7\0\0\0" + data)
    (tmp_path / "vars/Boot0009-00000000-0000-0000-0000-000000000000").write_bytes(b"x")
    return tmp_path / "vars"


def test_a_variable_has_its_attributes_in_front(efivars: Path) -> None:
    variables = EfiVariables(efivars)
    assert variables.read("BootOrder", GLOBAL) == b"\1\0\2\0"
    variables.write("BootNext", GLOBAL, b"\2\0")
    assert (efivars / f"BootNext-{GLOBAL}").read_bytes() == b"\7\0\0\0\2\0"
    variables.write("BootOrder", GLOBAL, b"\2\0")
    assert (efivars / f"BootOrder-{GLOBAL}").read_bytes() == b"\7\0\0\0\2\0"
    variables.remove("BootNext", GLOBAL)
    variables.remove("BootNext", GLOBAL)
    assert variables.read("BootNext", GLOBAL) is None
    assert variables.names(GLOBAL) == ["Boot0001", "Boot0002", "BootOrder"]


def test_texts_end_with_their_zero(efivars: Path) -> None:
    (efivars / f"LoaderInfo-{GLOBAL}").write_bytes(b"\6\0\0\0" + "systemd-boot 252\0".encode("utf-16-le"))
    assert EfiVariables(efivars).text("LoaderInfo", GLOBAL) == "systemd-boot 252"
    assert EfiVariables(efivars).text("Other", GLOBAL) is None


def test_a_variable_that_is_too_long_is_an_error(efivars: Path) -> None:
    (efivars / f"BootNext-{GLOBAL}").write_bytes(b"x" * 70_000)
    with pytest.raises(BootError, match="cannot read the firmware's variable BootNext"):
        EfiVariables(efivars).read("BootNext", GLOBAL)


def test_without_efivarfs_the_error_says_what_to_mount(tmp_path: Path) -> None:
    with pytest.raises(BootError, match="cannot read the firmware's variables") as caught:
        EfiVariables(tmp_path / "none").names(GLOBAL)
    assert "mount efivarfs" in str(caught.value.hint)
    with pytest.raises(BootError, match="cannot change the firmware's variable BootNext"):
        EfiVariables(tmp_path / "none").write("BootNext", GLOBAL, b"")


@pytest.fixture
def immutable(efivars: Path) -> Iterator[Path]:
    """A variable with the immutable flag."""
    path = efivars / f"BootOrder-{GLOBAL}"
    with path.open("rb") as file:
        try:
            flags = int.from_bytes(fcntl.ioctl(file, FS_IOC_GETFLAGS, b"\0" * 8)[:4], "little")
            fcntl.ioctl(file, FS_IOC_SETFLAGS, struct.pack("=iI", flags | FS_IMMUTABLE_FL, 0))
        except OSError as e:
            pytest.skip(f"the immutable flag cannot be set here: {e.strerror}")
        yield path
        fcntl.ioctl(file, FS_IOC_SETFLAGS, struct.pack("=iI", flags, 0))


def test_the_immutable_flag_is_taken_away_for_the_change_and_set_again(immutable: Path) -> None:
    EfiVariables(immutable.parent).write("BootOrder", GLOBAL, b"\2\0")
    assert immutable.read_bytes() == b"\7\0\0\0\2\0"
    with pytest.raises(PermissionError):
        os.open(immutable, os.O_WRONLY)


# --- settings


def test_the_firmwares_entries_are_a_sign(efivars: Path, tmp_path: Path) -> None:
    assert has_entries(efivars)
    for name in ("Boot0001", "Boot0002"):
        (efivars / f"{name}-{GLOBAL}").unlink()
    (efivars / f"Boot0003-{GLOBAL}").write_bytes(b"\7\0\0\0x")
    assert not has_entries(efivars)
    assert not has_entries(tmp_path / "none")
    assert detect_backend(BootSettings(backend="auto", efi_entries={A: "0001", B: "0002"})) == "efi"


def test_the_boot_partition_is_looked_for_at_the_usual_places(tmp_path: Path) -> None:
    usual = (tmp_path / "none", tmp_path / "efi")
    with pytest.raises(BootError, match="cannot find the boot partition"):
        find_boot_partition(None, usual)
    (tmp_path / "efi/EFI").mkdir(parents=True)
    assert find_boot_partition(None, usual) == tmp_path / "efi"
