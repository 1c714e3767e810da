"""Our environment for GRUB: its bytes, what a power cut makes of them, and GRUB's own tools as judges."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from client_boot import PAIR, SLOTS_FACTORY, A, B, SlotsScript
from client_boot_grub import GRUB_BLOCK, GRUB_OFFSETS, GrubDevice, GrubFile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bistable.client.boot import BootSettings, Canary, make_bootloader
from bistable.client.boot.grub.block import BadBlockError, decode_block, encode_block
from bistable.client.boot.grub.copies import ALLOWED, LOST, Copy, current, next_write, parse_copy, render_copy
from bistable.client.boot.grub.environment import GrubEnvironment, RawBlocks
from bistable.client.boot.places import Place, find_place
from bistable.client.boot.ports import Probing
from bistable.client.boot.table import Table
from bistable.client.boot.uboot.slots import SlotsBootloader, parse_table, render_table
from bistable.client.errors import BootError, ClientError, ConfigError
from bistable.client.model import SlotName

SECTOR = 512
needs_editenv = pytest.mark.skipif(
    shutil.which("grub-editenv") is None,
    reason="the program grub-editenv is not installed (Debian package grub-common)",
)
VARIABLES = st.fixed_dictionaries({name: st.sampled_from(sorted(ALLOWED[name])) for name in LOST})
COPIES = st.builds(
    lambda sequence, variables: Copy(sequence=sequence, variables=variables), st.integers(0, 9), VARIABLES
)
BAD = b"\xff" * GRUB_BLOCK


class PowerCutError(Exception):
    """The power failed."""


class MemoryBlocks:
    """Two copies in memory, of which a write may be cut off."""

    def __init__(self, first: bytes, second: bytes) -> None:
        self.copies = [first, second]
        self.writes: list[tuple[int, bytes]] = []
        self.sectors: tuple[bytes | None, bytes | None] | None = None
        """What the next write leaves of each sector before the power goes: bytes, or None for the new ones."""

    def read(self) -> tuple[bytes, bytes]:
        return self.copies[0], self.copies[1]

    def write(self, number: int, data: bytes) -> None:
        self.writes.append((number, data))
        if self.sectors is None:
            self.copies[number] = data
            return
        pieces = [data[:SECTOR], data[SECTOR:]]
        self.copies[number] = b"".join(
            piece if left is None else left for piece, left in zip(pieces, self.sectors, strict=True)
        )
        raise PowerCutError

    def alone(self) -> bool:
        return True

    @contextmanager
    def locked(self) -> Iterator[None]:
        yield


def copy_of(sequence: int, **changes: str) -> bytes:
    values = {"bistable_seen": "1", **SLOTS_FACTORY, **{f"bistable_{name}": value for name, value in changes.items()}}
    return render_copy(Copy(sequence=sequence, variables=values))


def loader_on(blocks: MemoryBlocks, *, booted: SlotName = A) -> SlotsBootloader:
    return SlotsBootloader(GrubEnvironment(blocks), (A, B), tries=3, booted=lambda: booted)


# --- the bytes


def test_a_copy_is_made_of_these_bytes() -> None:
    assert copy_of(4).rstrip(b"#") == (
        b"# GRUB Environment Block\nbistable_seq=4\nbistable_order=a\nbistable_a_good=1\nbistable_a_tries=0\n"
        b"bistable_b_good=0\nbistable_b_tries=0\nbistable_seen=1\nbistable_end=1\n"
    )
    assert len(copy_of(4)) == GRUB_BLOCK


@given(copy=COPIES)
def test_what_is_written_reads_the_same_and_leaves_the_second_sector_alone(copy: Copy) -> None:
    data = render_copy(copy)
    assert parse_copy(data) == copy
    assert data[SECTOR:] == b"#" * SECTOR


@given(data=st.binary(max_size=GRUB_BLOCK), copy=COPIES, place=st.integers(0, GRUB_BLOCK))
def test_no_bytes_do_harm(data: bytes, copy: Copy, place: int) -> None:
    good = render_copy(copy)
    for damaged in (data, (good[:place] + data + good)[:GRUB_BLOCK]):
        try:
            found = parse_copy(damaged)
        except BadBlockError:
            continue
        assert all(value in ALLOWED[name] for name, value in found.variables.items())


@given(values=st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), st.text(max_size=20), max_size=6))
def test_any_variables_come_back_from_a_block(values: Mapping[str, str]) -> None:
    try:
        values = {name: value.encode("utf-8").decode("utf-8") for name, value in values.items()}
        data = encode_block(values)
    except (BadBlockError, UnicodeEncodeError):
        return
    assert decode_block(data) == values


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        (b"# GRUB", b"# GRAB", "no header"),
        (b"bistable_seen=1\n", b"", "bistable_seen is not in it"),
        (b"bistable_seen=1\n", b"bistable_seen=2\n", "bistable_seen is '2'"),
        (b"bistable_order=a\n", b"bistable_order=b a b\n", "bistable_order is 'b a b'"),
        (b"bistable_seq=4\n", b"bistable_seq=10\n", "bistable_seq is '10'"),
        (b"bistable_seq=4\n", b"bistable_seq=\n", "bistable_seq is ''"),
        (b"bistable_seen=1\n", b"bistable_seen=1\nbistable_seen=1\n", "bistable_seen is in it twice"),
        (b"bistable_end=1\n", b"bistable_end=1\nmore=1\n", "not its last line"),
        (b"bistable_end=1\n", b"bistable_end=1", "not name=value"),
        (b"bistable_end=1\n", b"", "bistable_end is not in it"),
        (b"bistable_end=1\n", b"bistable_end=0\n", "bistable_end is '0'"),
    ],
)
def test_a_copy_that_is_not_as_it_should_be_is_not_valid(before: bytes, after: bytes, why: str) -> None:
    damaged = copy_of(4).replace(before, after).ljust(GRUB_BLOCK, b"#")[:GRUB_BLOCK]
    with pytest.raises(BadBlockError, match=why):
        parse_copy(damaged)


@pytest.mark.parametrize(
    ("first", "second", "newest"),
    [(4, 5, 1), (5, 4, 0), (9, 0, 1), (0, 9, 0), (3, 3, 0), (3, 5, 0), (5, 3, 0), (None, 3, 1), (3, None, 0)],
)
def test_the_copy_with_the_next_number_counts(first: int | None, second: int | None, newest: int) -> None:
    copies = [None if number is None else parse_copy(copy_of(number)) for number in (first, second)]
    assert current(copies[0], copies[1]) == newest
    number, data = next_write(copies[0], copies[1], {"bistable_order": "b"})
    assert number == 1 - newest
    after = [data if place == number else None for place in (0, 1)]
    found = [parse_copy(data) if data else old for data, old in zip(after, copies, strict=True)]
    assert current(found[0], found[1]) == number


def test_a_variable_that_the_boot_script_does_not_know_cannot_be_set() -> None:
    environment = GrubEnvironment(MemoryBlocks(copy_of(0), copy_of(1)))
    for values in ({"bistable_order": "c"}, {"bootcount": "1"}, {"bistable_seq": "11"}):
        with pytest.raises(BootError, match="cannot change the boot loader's environment"):
            environment.write(values)


# --- power cuts


CALLS: Mapping[str, Callable[[SlotsBootloader], None]] = {
    "forbid": lambda loader: loader.forbid(B),
    "activate": lambda loader: loader.activate(B),
    "restore": lambda loader: loader.restore(A),
    "confirm": lambda loader: loader.confirm(A),
    "probe": lambda loader: loader.probe(),
}
STARTS = {
    "both copies": (copy_of(3, order="b a", b_tries="2"), copy_of(4, order="a b", b_tries="1")),
    "the first one newer": (copy_of(0, order="a b", b_tries="2"), copy_of(9)),
    "only the first": (copy_of(3, order="a b", b_tries="2"), BAD),
    "only the second": (BAD, copy_of(3, order="a b", b_tries="2")),
}
LEFT: Mapping[str, Callable[[bytes], bytes | None]] = {
    "old": lambda old: old,
    "new": lambda _old: None,
    "lost": lambda old: b"\0" * len(old),
    "noise": lambda old: os.urandom(len(old)),
}


@pytest.mark.parametrize("start", sorted(STARTS))
@pytest.mark.parametrize("call", sorted(CALLS))
@pytest.mark.parametrize("first", sorted(LEFT))
@pytest.mark.parametrize("second", sorted(LEFT))
def test_a_power_cut_leaves_the_old_state_or_the_new_one(start: str, call: str, first: str, second: str) -> None:
    whole = MemoryBlocks(*STARTS[start])
    old = GrubEnvironment(whole).read()
    CALLS[call](loader_on(whole))
    new = GrubEnvironment(whole).read()
    cut = MemoryBlocks(*STARTS[start])
    if whole.writes:
        place = cut.copies[whole.writes[0][0]]
        cut.sectors = (LEFT[first](place[:SECTOR]), LEFT[second](place[SECTOR:]))
        with pytest.raises(PowerCutError):
            CALLS[call](loader_on(cut))
        cut.sectors = None
    assert GrubEnvironment(cut).read() in (old, new)
    # It can be done again, and is then as if nothing had been.
    CALLS[call](loader_on(cut))
    assert GrubEnvironment(cut).read() == new


@pytest.mark.parametrize("call", sorted(CALLS))
def test_a_change_is_one_write_to_the_copy_that_does_not_count(call: str) -> None:
    blocks = MemoryBlocks(copy_of(4, order="a b", b_tries="1"), copy_of(3))
    kept = blocks.copies[0]
    CALLS[call](loader_on(blocks))
    assert [number for number, _ in blocks.writes] in ([1], [])
    assert blocks.copies[0] == kept


class Against(RuleBasedStateMachine):
    """Any calls, boots and damages, on the copies and on a table that needs none."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = MemoryBlocks(copy_of(0), copy_of(1))
        self.table = Table(names=(A, B), order=(A,), good=frozenset({A}), tries={A: 0, B: 0})
        self.booted = A

    @rule(verb=st.sampled_from(["forbid", "activate", "confirm", "restore", "rearm"]), slot=st.sampled_from([A, B]))
    def call(self, verb: str, slot: SlotName) -> None:
        loader = loader_on(self.blocks, booted=self.booted)
        tries = {"tries": 3} if verb in {"activate", "rearm"} else {}
        try:
            self.table = getattr(self.table, verb)(slot, booted=self.booted, **tries)
        except BootError:
            with pytest.raises(BootError):
                getattr(loader, verb)(slot)
        else:
            getattr(loader, verb)(slot)

    @rule()
    def boot(self) -> None:
        candidates = self.table.candidates()
        if candidates:
            self.booted = candidates[0]
            counted = self.table.counted(self.booted)
            if counted != self.table:
                GrubEnvironment(self.blocks).write(render_table(counted))
            self.table = counted

    @rule()
    def damage_the_old_copy(self) -> None:
        copies = [None if data == BAD else parse_copy(data) for data in self.blocks.copies]
        newest = current(copies[0], copies[1])
        assert newest is not None
        self.blocks.copies[1 - newest] = BAD

    @rule()
    def probe(self) -> None:
        loader_on(self.blocks).probe()

    @invariant()
    def they_agree(self) -> None:
        found = parse_table(GrubEnvironment(self.blocks).read(), (A, B), where="")
        assert found == self.table


TestAgainstTheTable = Against.TestCase


# --- on files and devices


def test_probing_leaves_everything_as_it_is_but_the_number(tmp_path: Path) -> None:
    device = GrubDevice(tmp_path)
    device.loader.activate(B)
    before = device.environment.load()
    loader = device.loader
    assert isinstance(loader, Probing)
    loader.probe()
    after = device.environment.load()
    assert after.pop("bistable_seq") != before.pop("bistable_seq")
    assert after == before


def test_a_write_changes_only_its_block_and_not_the_size(tmp_path: Path) -> None:
    device = GrubDevice(tmp_path)
    before = device.memory()
    device.loader.activate(B)
    after = device.memory()
    assert len(after) == len(before)
    changed = [place for place in range(0, len(after), SECTOR) if after[place:][:SECTOR] != before[place:][:SECTOR]]
    assert len(changed) == 1
    assert changed[0] in GRUB_OFFSETS


def test_the_copies_can_be_two_files(tmp_path: Path) -> None:
    files = [tmp_path / "env1", tmp_path / "env2"]
    for number, file in enumerate(files):
        file.write_bytes(copy_of(number))
    loader = make_bootloader(BootSettings(backend="grub", grub_copies=[str(file) for file in files]), PAIR)
    loader.activate(B)
    assert loader.primary() == B
    assert [file.stat().st_size for file in files] == [GRUB_BLOCK, GRUB_BLOCK]


def test_a_file_that_is_too_short_does_not_grow(tmp_path: Path) -> None:
    (tmp_path / "env1").write_bytes(copy_of(1))
    (tmp_path / "env2").write_bytes(b"")
    settings = BootSettings(backend="grub", grub_copies=[str(tmp_path / "env1"), str(tmp_path / "env2")])
    with pytest.raises(BootError, match=r"cannot write .*env2 at 0: it ends before that"):
        make_bootloader(settings, PAIR).activate(B)
    assert (tmp_path / "env2").read_bytes() == b""


def test_when_both_copies_are_lost_the_running_slot_can_be_confirmed_and_all_is_well_again(tmp_path: Path) -> None:
    device = GrubDevice(tmp_path)
    device.environment.path.write_bytes(b"\xff" * len(device.memory()))
    assert device.power_on() == A
    assert not device.loader.status(A).good
    device.loader.confirm(A)
    assert device.loader.status(A).good
    loader = device.loader
    assert isinstance(loader, Canary)
    with pytest.raises(BootError, match="has not left bistable_seen=1") as caught:
        loader.check_canary()
    assert "the setting boot.grub-copies" in str(caught.value.hint)
    assert device.power_on() == A
    loader.check_canary()
    device.loader.forbid(B)
    device.loader.activate(B)
    assert device.power_on() == B


def test_a_partition_with_something_else_in_it_is_not_touched(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"\0" * 1080 + b"\x53\xef" + b"\0" * 200_000)
    settings = BootSettings(backend="grub", grub_copies=[f"{other}@0", f"{other}@65536"])
    before = other.read_bytes()
    loader = make_bootloader(settings, PAIR)
    for call in (loader.primary, lambda: loader.confirm(A), lambda: loader.restore(A)):
        with pytest.raises(BootError, match="neither copy is valid, and something else is there") as caught:
            call()
        assert "boot.grub-copies" in str(caught.value.hint)
    assert other.read_bytes() == before


def test_one_damaged_copy_is_made_up_for_and_named(tmp_path: Path) -> None:
    file = GrubFile(tmp_path, SLOTS_FACTORY)
    file.put(1, BAD)
    places = [Place(path=file.path, offset=offset) for offset in GRUB_OFFSETS]
    environment = GrubEnvironment(RawBlocks(*places, timeout=1))
    assert environment.faults() == ("copy 2 is not valid: it has no header",)
    assert environment.read()["bistable_order"] == "a"
    environment.probe()
    assert environment.faults() == ()


def test_a_lock_that_is_held_for_long_is_an_error(tmp_path: Path) -> None:
    import fcntl

    file = GrubFile(tmp_path, SLOTS_FACTORY)
    SlotsScript(file).power_on(lambda _slot: True)
    copies = [f"{file.path}@{offset}" for offset in GRUB_OFFSETS]
    loader = make_bootloader(BootSettings(backend="grub", grub_copies=copies, timeout=0), PAIR)
    with file.path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(BootError, match="another process holds"):
            loader.activate(B)
    loader.activate(B)


# --- settings


@pytest.mark.parametrize(
    ("copies", "error", "words"),
    [
        (["/dev/x@0"], ConfigError, "it names 1 places"),
        (["/dev/x@0", "/dev/x@1023"], BootError, "they overlap"),
        (["boot-env@0", "/dev/x@0"], BootError, "neither an absolute path nor PARTUUID"),
        (["PARTLABEL=no-such-partition@0", "/dev/x@0"], BootError, "cannot find the partition PARTLABEL=no-such"),
        (["/no/such@0", "/no/such@65536"], BootError, "/no/such: No such file or directory"),
    ],
)
def test_places_that_cannot_be_are_refused(copies: list[str], error: type[ClientError], words: str) -> None:
    with pytest.raises(error, match=words):
        make_bootloader(BootSettings(backend="grub", grub_copies=copies), PAIR).primary()


def test_a_partition_is_found_by_its_name_with_udev_and_without(tmp_path: Path) -> None:
    devices, sysfs = tmp_path / "dev", tmp_path / "sys"
    (devices / "disk" / "by-partlabel").mkdir(parents=True)
    (devices / "disk" / "by-partlabel" / "boot-env").write_bytes(b"")
    (sysfs / "vda7").mkdir(parents=True)
    (sysfs / "vda7" / "uevent").write_text("MAJOR=254\nDEVNAME=vda7\nPARTNAME=other\nPARTUUID=ab-01\n")

    def found(text: str) -> Place:
        return find_place(text, devices=devices, block_class=sysfs)

    by_link = devices / "disk" / "by-partlabel" / "boot-env"
    assert found("PARTLABEL=boot-env@0x10000") == Place(path=by_link, offset=65536)
    assert found("PARTLABEL=other") == Place(path=devices / "vda7")
    assert found("PARTUUID=AB-01@010") == Place(path=devices / "vda7", offset=10)


# --- GRUB's own tools


@needs_editenv
def test_grubs_tools_read_what_we_write(tmp_path: Path) -> None:
    device = GrubDevice(tmp_path)
    device.loader.activate(B)
    newest = device.environment.newest()
    assert newest is not None
    block = tmp_path / "block"
    block.write_bytes(device.memory()[GRUB_OFFSETS[newest] :][:GRUB_BLOCK])
    listed = subprocess.run(["grub-editenv", block, "list"], check=True, capture_output=True, text=True, timeout=60)
    assert "bistable_order=b a\nbistable_a_good=1\n" in listed.stdout
    assert listed.stdout.endswith("bistable_seen=1\nbistable_end=1\n")


@needs_editenv
def test_we_read_what_grubs_tools_write(tmp_path: Path) -> None:
    block = tmp_path / "block"
    values = {**SLOTS_FACTORY, "bistable_seen": "1"}
    words = [f"{name}={value}" for name, value in {"bistable_seq": "7", **values, "bistable_end": "1"}.items()]
    subprocess.run(["grub-editenv", block, "create"], check=True, timeout=60)
    subprocess.run(["grub-editenv", block, "set", *words], check=True, timeout=60)
    found = parse_copy(block.read_bytes())
    assert found == Copy(sequence=7, variables=values)
    subprocess.run(["grub-editenv", block, "set", "bistable_b_tries=2"], check=True, timeout=60)
    assert parse_copy(block.read_bytes()).variables["bistable_b_tries"] == "2"
