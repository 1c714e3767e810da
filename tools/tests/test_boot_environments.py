"""Environments of U-Boot and GRUB as bytes, judged by the programs of both."""

import shutil
import string
import subprocess
from pathlib import Path

import pytest
from boot_plans import OFFSETS, copy_of, environment_of, plan_for, variables
from boot_programs import PLACES, needs
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bistable.artifact.errors import RejectedError, RequestError
from bistable.tools.boot import Loader, envfiles, grubenv, prepare_boot, ubootenv
from bistable.tools.boot.plan import EnvironmentPlace
from bistable.tools.boot.render import names_for_grub

SIZE = 0x4000
FRESH = {
    "bistable_order": "a",
    "bistable_a_good": "1",
    "bistable_a_tries": "0",
    "bistable_b_good": "0",
    "bistable_b_tries": "0",
}

names = st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=20)
values = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="\\"), min_size=1, max_size=40
)
some = st.dictionaries(names, values, max_size=12)


def run(*words: str | Path, stdin: str | None = None) -> str:
    program = shutil.which(str(words[0]), path=PLACES)
    assert program is not None
    done = subprocess.run([program, *map(str, words[1:])], input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


# U-Boot


@pytest.mark.parametrize(("counter", "options"), [(None, ()), (1, ("-r",))])
@pytest.mark.parametrize("variables", [{}, FRESH, {"bootcmd": "run a; run b", "x": "=a=b "}])
def test_an_environment_has_the_bytes_of_mkenvimage(
    variables: dict[str, str], counter: int | None, options: tuple[str, ...], tmp_path: Path
) -> None:
    needs("mkenvimage")
    (tmp_path / "text").write_text("".join(f"{name}={value}\n" for name, value in variables.items()) or "\n")
    run("mkenvimage", *options, "-s", hex(SIZE), "-o", tmp_path / "image", tmp_path / "text")
    assert ubootenv.build_copy(variables, SIZE, counter=counter) == (tmp_path / "image").read_bytes()


def printed(directory: Path, environment: bytes) -> dict[str, str]:
    """What fw_printenv reads."""
    image, config = directory / "environment", directory / "config"
    image.write_bytes(environment)
    config.write_text("".join(f"{image} {offset:#x} {SIZE:#x}\n" for offset in OFFSETS))
    lines = run("fw_printenv", "-c", config).splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_fw_printenv_reads_the_environment_of_a_new_disk(tmp_path: Path) -> None:
    needs("fw_printenv")
    place = EnvironmentPlace(partition=2, offsets=OFFSETS, size=SIZE)
    files = prepare_boot(plan_for(Loader.UBOOT, environment=place))
    raw = bytearray(OFFSETS[1] + SIZE)
    for offset, data in files.environment.items():
        raw[offset : offset + len(data)] = data
    assert printed(tmp_path, bytes(raw)) == FRESH


def test_a_u_boot_that_keeps_its_environment_itself_gets_none_and_so_keeps_its_own_variables() -> None:
    assert prepare_boot(plan_for(Loader.UBOOT_ENVIRONMENT)).environment == {}


@pytest.mark.parametrize(
    ("first", "second"), [(1, 0), (0, 1), (5, 5), (255, 0), (0, 255), (255, 254), (254, 255), (1, 200), (128, 127)]
)
def test_of_two_copies_fw_printenv_takes_the_same_as_we(first: int, second: int, tmp_path: Path) -> None:
    needs("fw_printenv")
    raw = bytearray(OFFSETS[1] + SIZE)
    for offset, counter, word in zip(OFFSETS, (first, second), ("first", "second"), strict=True):
        raw[offset : offset + SIZE] = ubootenv.build_copy({"copy": word}, SIZE, counter=counter)
    newer = "second" if ubootenv.second_is_newer(first, second) else "first"
    assert printed(tmp_path, bytes(raw)) == {"copy": newer}


@given(some, st.integers(0, 255))
def test_what_is_built_is_read_back(variables: dict[str, str], counter: int) -> None:
    copy = ubootenv.read_redundant(ubootenv.build_copy(variables, SIZE, counter=counter))
    assert copy.counter == counter
    assert copy.variables() == variables


@given(some, st.integers(0, SIZE - 1), st.integers(0, 7))
def test_a_flipped_bit_is_noticed_anywhere_but_in_the_counter(variables: dict[str, str], at: int, bit: int) -> None:
    raw = bytearray(ubootenv.build_copy(variables, SIZE, counter=7))
    raw[at] ^= 1 << bit
    if at == 4:
        assert (
            ubootenv.read_redundant(bytes(raw)).variables() == ubootenv.Copy(counter=7, data=bytes(raw[5:])).variables()
        )
        return
    with pytest.raises(RejectedError, match="CRC"):
        ubootenv.read_redundant(bytes(raw))


@given(st.binary(max_size=300))
def test_any_bytes_are_an_environment_or_refused(raw: bytes) -> None:
    for read in (ubootenv.read_redundant, ubootenv.read_plain):
        try:
            read(raw).variables()
        except RejectedError:
            continue


@given(st.binary(max_size=300))
def test_any_data_with_a_right_crc_is_understood_or_refused(data: bytes) -> None:
    copy = ubootenv.Copy(counter=0, data=data)
    for only in (None, ("bistable_order",)):
        try:
            copy.variables(only)
        except RejectedError:
            continue


def test_rules_of_env_import_are_followed() -> None:
    data = b"a=1\0a=2\0#b=3\0 c=4\0d=5\0d\0e=x\\\\y\\z\0f=\0\0g=7\0"
    copy = ubootenv.Copy(counter=0, data=data)
    assert copy.variables() == {"a": "2", "c": "4", "e": "x\\yz"}
    assert copy.variables(["a", "c", "g"]) == {"a": "1", "c": "4"}


@pytest.mark.parametrize("size", [0, 4, 63, 2**20 + 1])
def test_an_environment_of_impossible_size_is_refused(size: int) -> None:
    with pytest.raises(RejectedError):
        ubootenv.read_redundant(bytes(size))
    with pytest.raises(RequestError):
        ubootenv.build_copy({}, size, counter=None)


@pytest.mark.parametrize("variables", [{"a=b": "1"}, {"": "1"}, {"a": ""}, {"a": "x\ny"}, {"a": "ä"}, {"a": "b\\c"}])
def test_what_cannot_be_in_an_environment_is_refused(variables: dict[str, str]) -> None:
    with pytest.raises(RequestError, match="cannot put"):
        ubootenv.build_copy(variables, SIZE, counter=None)


def test_too_many_variables_are_refused() -> None:
    with pytest.raises(RequestError, match="do not fit"):
        ubootenv.build_copy({"a": "x" * 60}, 64, counter=1)


# GRUB


def test_grub_editenv_lists_the_blocks_of_a_new_disk(tmp_path: Path) -> None:
    needs("grub-editenv")
    files = prepare_boot(plan_for(Loader.GRUB))
    for number, offset in enumerate(OFFSETS):
        (tmp_path / "block").write_bytes(files.environment[offset])
        expected = {"bistable_seq": str(1 - number), **FRESH, "bistable_seen": "0", "bistable_end": "1"}
        lines = run("grub-editenv", tmp_path / "block", "list").splitlines()
        assert lines == [f"{name}={value}" for name, value in expected.items()]


@given(
    before=st.lists(
        st.tuples(st.sampled_from(names_for_grub()), st.sampled_from(["0", "1", "a", "b a", "a b", "x\\", "x\\\\"])),
        max_size=10,
    ),
    changes=st.lists(
        st.tuples(st.sampled_from(names_for_grub()), st.sampled_from(["", "7", "b a", "#", "a b c"])), max_size=4
    ),
)
@example(before=[("bistable_seq", "x\\"), ("bistable_end", "1")], changes=[("bistable_seq", "7")])
@settings(max_examples=30)
def test_a_change_gives_the_bytes_of_grub_editenv(
    tmp_path_factory: pytest.TempPathFactory, before: list[tuple[str, str]], changes: list[tuple[str, str]]
) -> None:
    needs("grub-editenv")
    path = tmp_path_factory.mktemp("block") / "block"
    lines = "".join(f"{name}={value}\n" for name, value in before).encode()
    path.write_bytes((grubenv.HEADER + lines).ljust(grubenv.SIZE, b"#"))
    block = path.read_bytes()
    for name, value in changes:
        run("grub-editenv", path, "set", f"{name}={value}")
        block = grubenv.change_block(block, {name: value})
    assert block == path.read_bytes()


@given(st.binary(max_size=600))
def test_any_block_is_read_or_refused(tail: bytes) -> None:
    raw = (grubenv.HEADER + tail).ljust(grubenv.SIZE, b"#")[: grubenv.SIZE]
    assert set(grubenv.read_block(raw, ["a", "b"])) <= {"a", "b"}
    with pytest.raises(RejectedError):
        grubenv.read_block(raw[1:], ["a"])


@pytest.mark.parametrize(
    ("block", "why"),
    [
        pytest.param((grubenv.HEADER + b"x=1\n").ljust(grubenv.SIZE - 1, b"y") + b"\n", "no room", id="full"),
        pytest.param((grubenv.HEADER + b"a=1\n").ljust(grubenv.SIZE, b"\0"), "no end", id="no free space"),
        pytest.param((grubenv.HEADER + b"a=1\nx=1").ljust(grubenv.SIZE, b"#"), "no end", id="last line has no end"),
        pytest.param(grubenv.HEADER.lower().ljust(grubenv.SIZE, b"#"), "header", id="no header"),
    ],
)
def test_a_damaged_block_is_left_alone_as_by_grub_editenv(tmp_path: Path, block: bytes, why: str) -> None:
    needs("grub-editenv")
    with pytest.raises(RejectedError, match=why):
        grubenv.change_block(block, {"a": "2"})
    (tmp_path / "block").write_bytes(block)
    with pytest.raises(AssertionError, match="environment block"):
        run("grub-editenv", tmp_path / "block", "set", "a=2")
    assert (tmp_path / "block").read_bytes() == block


def test_variables_beyond_the_first_sector_are_refused() -> None:
    with pytest.raises(RequestError, match="first 512"):
        grubenv.build_block({"a": "x" * 500})


def test_all_that_grub_saves_stays_in_the_first_sector() -> None:
    block = copy_of(Loader.GRUB, variables(order="a b"), 0)
    assert set(block[grubenv.SECTOR :]) == {ord("#")}


# The partition of GRUB's environment


def test_grub_itself_finds_both_blocks_in_the_partition(tmp_path: Path) -> None:
    needs("grub-fstest")
    environment = environment_of(Loader.GRUB, variables(), variables(order="a"))
    image = tmp_path / "partition"
    image.write_bytes(environment)
    assert run("grub-fstest", image, "ls", "(loop0)/").split() == [name.lower() for name in envfiles.FILES]
    for name, offset in zip(envfiles.FILES, OFFSETS, strict=True):
        run("grub-fstest", image, "cp", f"(loop0)/{name}", tmp_path / name)
        assert (tmp_path / name).read_bytes() == environment[offset : offset + grubenv.SIZE]


def test_the_partition_is_known_as_one_that_nobody_writes(tmp_path: Path) -> None:
    needs("blkid")
    (tmp_path / "partition").write_bytes(environment_of(Loader.GRUB, variables()))
    assert run("blkid", "-p", "-o", "value", "-s", "TYPE", tmp_path / "partition").strip() == "iso9660"


def test_the_directory_lies_where_it_says() -> None:
    directory = envfiles.directory(OFFSETS, grubenv.SIZE)
    assert len(directory) == envfiles.END - envfiles.START
