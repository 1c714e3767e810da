"""Layouts are read strictly, and whatever they ask for is laid out without overlap, or refused."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from disk_samples import GRUB, MBR, UBOOT, layout
from hypothesis import given
from hypothesis import strategies as st

from bistable.artifact.errors import RequestError
from bistable.tools.boot.plan import Loader
from bistable.tools.disk import layout_names, load_layout, parse_layout
from bistable.tools.disk.geometry import boot_plan, environment_copies, gaps, place
from bistable.tools.disk.layout.model import ExtraPlace, ExtraWish
from bistable.tools.disk.layout.schema import EXTRA, TABLES, parse_size

MIB = 1 << 20
DOCS = Path(__file__).resolve().parents[2] / "docs" / "reference" / "layout.md"


def refusal(text: str) -> RequestError:
    with pytest.raises(RequestError) as caught:
        parse_layout(text.encode(), Path(), origin="my.toml")
    return caught.value


# --- reading


@pytest.mark.parametrize("name", layout_names())
def test_every_layout_that_is_there_from_the_start_can_be_laid_out(name: str) -> None:
    found = load_layout(name)
    assert place(found).partition("rootfs-a").size == found.slots.size


def test_a_layout_is_known_by_its_name_and_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    path.write_text(UBOOT)
    assert load_layout(path).name == load_layout(str(path)).name == "board"
    assert load_layout("x86-grub").boot.loader is Loader.GRUB


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    with pytest.raises(RequestError) as caught:
        load_layout("x68-grub")
    assert "x86-grub" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("change", "what", "hint"),
    [
        (("[slots]", "[slot]"), "line 12, [slot]: there is no such table", "did you mean slots?"),
        (('size = "16 MiB"', 'sice = "16 MiB"'), "line 13, [slots] sice: there is no such key", "did you mean size?"),
        (('size = "16 MiB"', "size = 16"), "line 13, [slots] size: it must be a size", 'write size = "1 GiB"'),
        (('size = "16 MiB"', 'size = "16 MB"'), "line 13, [slots] size: it must be a size", "1 GiB"),
        (('"uboot"', '"lilo"'), "line 5, [boot] loader: 'lilo' is not known", "write one of uboot,"),
        (('loader = "uboot"\n', ""), "line 4, [boot]: loader is missing", 'add loader = "uboot"'),
        (('[data]\nsize = "8 MiB"', ""), "the table [data] is missing", "add [data]"),
        (('type = "test-board"', 'type = ""'), "line 2, [device] type: the type is empty", ""),
        (('size = "8 MiB"', 'size = "rest"'), "line 16, [data] size: it cannot be the rest of a disk", "give [disk]"),
        (('"/boot/initrd.img"', '"boot/initrd.img"'), "line 7, [boot] initrd: it must be an absolute path", ""),
        (('"uboot"', '"grub"\nwatchdog = "wdt"'), "line 6, [boot] watchdog: U-Boot starts it", "leave it out"),
        (("[device]", "[device"), "it is not TOML", ""),
    ],
)
def test_a_mistake_is_named_with_its_line_and_what_would_be_right(
    change: tuple[str, str], what: str, hint: str
) -> None:
    assert change[0] in UBOOT
    error = refusal(UBOOT.replace(*change))
    assert error.what.startswith(f"cannot use my.toml: {what}")
    assert hint in (error.hint or "")


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ('[disk]\nerase-block = "3 MiB"\n', "[disk] erase-block: it must be a power of two"),
        ('[disk]\nerase-block = "1 KiB"\n', "[disk] erase-block: it must be a power of two"),
        ('[disk]\nseed = ""\n', "[disk] seed: it is empty"),
        ('[extra.data]\nsize = "1 MiB"\n', "[extra.data]: a partition cannot be called 'data'"),
        ('[extra.logs]\nsize = "0"\n', "[extra.logs] size: it must be more than 0"),
        ("[extra.logs]\nfilesystem = 'ext4'\n", "[extra.logs]: size is missing"),
        ("[extra]\nlogs = 1\n", "[extra]: it holds tables"),
        ('[environment]\nsize = "0"\n', "[environment] size: it must be more than 0"),
        ('[environment]\noffsets = ["0"]\n', "[environment] offsets: it must be a list of two sizes"),
        ("[blobs]\n", "[blobs]: it has neither at nor end"),
        ('[blobs]\nend = "0"\n', "[blobs] end: it must be more than 0"),
    ],
)
def test_a_value_that_cannot_be_is_refused(more: str, what: str) -> None:
    assert what in refusal(UBOOT + more).what


def test_a_setting_goes_before_the_file() -> None:
    assert layout(slots_size="32 MiB").slots.size == 32 * MIB


@pytest.mark.parametrize(("key", "value"), [("slots.sice", "1"), ("slots.size", "much"), ("slots", "1")])
def test_a_setting_that_cannot_be_is_refused(key: str, value: str) -> None:
    with pytest.raises(RequestError, match=re.escape(f"cannot set {key}")):
        parse_layout(UBOOT.encode(), Path(), settings={key: value})


def test_relative_paths_start_where_the_layout_is(tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    path.write_text(UBOOT + '[blobs]\nat = { "spl.bin" = "32 KiB" }\n')
    assert load_layout(path).blobs[0].file == tmp_path / "spl.bin"


@given(st.integers(0, 1 << 50), st.sampled_from(["", " "]))
def test_a_size_means_what_it_says(number: int, space: str) -> None:
    assert parse_size(f"{number}") == parse_size(f"{number}{space}B") == number
    assert parse_size(f"{number}{space}KiB") == number * 1024


def test_the_documentation_has_every_table_and_key() -> None:
    if not DOCS.exists():
        pytest.skip("the source distribution has no documentation")
    text = DOCS.read_text()
    for table in [*TABLES.values(), EXTRA]:
        section = text.partition(f"## `[{'extra.NAME' if table is EXTRA else table.name}]`")[2].partition("\n## ")[0]
        assert section, f"no section for {table.name}"
        for key in table.keys:
            assert f"| `{key.name}` | {key.form.value}" in section or f"| `{key.name}` | one of" in section, key.name
            assert key.meaning in section, key.name


# --- laying out

sizes = st.integers(1, 4000).map(lambda count: count * 4096)


@given(
    st.sampled_from([UBOOT, GRUB, MBR]),
    st.sampled_from([4096, 64 << 10, MIB, 4 * MIB]),
    sizes,
    sizes,
    st.lists(st.tuples(sizes, st.sampled_from(["front", "behind"])), max_size=3),
    st.booleans(),
)
def test_partitions_are_aligned_do_not_overlap_and_fit(
    text: str, block: int, slot: int, data: int, extras: list[tuple[int, str]], rest: bool
) -> None:
    more = "".join(
        f'[extra.x{number}]\nsize = "{size}"\nplace = "{where}"\n' for number, (size, where) in enumerate(extras)
    )
    settings = {"disk.erase-block": str(block), "slots.size": str(slot), "data.size": str(data)}
    if rest:
        settings |= {"disk.size": "1 GiB", "data.size": "rest"}
    found = parse_layout((text + more).encode(), Path(), settings=settings)
    geometry = place(found)
    end = 34 * 512 if geometry.table == "gpt" else 512
    for partition in geometry.partitions:
        assert partition.start % block == 0
        assert partition.start >= end
        assert partition.size > 0
        end = partition.end
    assert end + (33 * 512 if geometry.table == "gpt" else 0) <= geometry.size
    assert geometry.partition("rootfs-a").size == geometry.partition("rootfs-b").size == slot
    assert len({partition.number for partition in geometry.partitions}) == len(geometry.partitions)
    assert sum(b - a for a, b in gaps(geometry)) + sum(part.size for part in geometry.partitions) == geometry.size


@pytest.mark.parametrize("text", [UBOOT, MBR])
def test_extra_partitions_lie_in_front_of_all_others_or_behind_the_slots(text: str) -> None:
    more = "".join(
        f'[extra.{name}]\nsize = "1 MiB"\n{where}'
        for name, where in [
            ("logs", ""),
            ("fsbl", 'place = "front"\n'),
            ("spare", 'place = "behind"\n'),
            ("fip", 'place = "front"\n'),
        ]
    )
    found = layout(text + more)
    geometry = place(found)
    names = [part.name for part in geometry.partitions]
    assert names[:3] == ["fsbl", "fip", "boot"]
    assert names[-4:] == ["rootfs-b", "logs", "spare", "data"]
    assert boot_plan(found, geometry).boot_partition == geometry.partition("boot").number == 3


def test_the_firmware_of_a_raspberry_pi_starts_from_the_first_partition() -> None:
    wanted = load_layout("raspberry-pi")
    extra = ExtraWish(name="spare", size=MIB, place=ExtraPlace.FRONT)
    with pytest.raises(RequestError, match="cannot put spare in front: the firmware of a Raspberry Pi"):
        place(replace(wanted, extras=(extra,)))
    assert place(replace(wanted, extras=(replace(extra, place=ExtraPlace.BEHIND),))).partition("boot").number == 1


@given(st.sampled_from([4096, 64 << 10, MIB, 4 * MIB]), st.integers(1, 256), st.sampled_from([UBOOT, GRUB]))
def test_the_two_environments_never_share_an_erase_block(block: int, sectors: int, text: str) -> None:
    wanted = {"disk.erase-block": str(block), "environment.size": str(sectors * 512)}
    found = parse_layout(text.encode(), Path(), settings=wanted)
    size, (first, second) = environment_copies(found)
    assert first + size <= second
    assert (first + size - 1) // block < second // block
    assert place(found).partition("boot-env").size >= second + size


@pytest.mark.parametrize(
    ("offsets", "why"),
    [
        ('["0", "8 KiB"]', "they overlap"),
        ('["8 KiB", "0"]', "they overlap"),
        ('["0", "64 KiB"]', "they share an erase block of 1048576 bytes"),
        ('["0", "1000000"]', "these are no whole sectors"),
    ],
)
def test_environments_that_one_power_cut_could_take_are_refused(offsets: str, why: str) -> None:
    with pytest.raises(RequestError, match=why):
        place(layout(UBOOT + f'[environment]\nsize = "16 KiB"\noffsets = {offsets}\n'))


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"disk_size": "32 MiB"}, "it needs"),
        ({"disk_size": "38 MiB", "data_size": "rest"}, "nothing of the"),
        ({"disk_size": "1000000001"}, "no whole number of sectors"),
        ({"slots_size": "1000000"}, "not a multiple of 4096"),
        ({"slots_size": "3 TiB"}, "reaches to"),
    ],
)
def test_what_does_not_fit_is_refused(settings: dict[str, str], why: str) -> None:
    with pytest.raises(RequestError, match=why):
        place(layout(MBR, **settings))


def test_a_file_in_front_of_the_partitions_moves_them(tmp_path: Path) -> None:
    (tmp_path / "spl.bin").write_bytes(bytes(2 * MIB))
    wanted = parse_layout((UBOOT + '[blobs]\nat = { "spl.bin" = "32 KiB" }\n').encode(), tmp_path)
    assert place(wanted).partition("boot").start == 3 * MIB


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"spl.bin": "8 KiB"}, "the partition table reaches to 17408"),
        ({"spl.bin": "32 KiB", "u-boot.bin": "40 KiB"}, "spl.bin reaches to"),
        ({"spl.bin": "40000"}, "that is no whole sector"),
        ({"absent.bin": "32 KiB"}, "cannot read"),
    ],
)
def test_files_in_front_of_the_partitions_overlap_nothing(tmp_path: Path, files: dict[str, str], why: str) -> None:
    for name in ("spl.bin", "u-boot.bin"):
        (tmp_path / name).write_bytes(bytes(16 * 1024))
    places = ", ".join(f'"{name}" = "{offset}"' for name, offset in files.items())
    wanted = parse_layout((UBOOT + f"[blobs]\nat = {{ {places} }}\n").encode(), tmp_path)
    with pytest.raises(RequestError, match=why):
        place(wanted)


@pytest.mark.parametrize(("end", "start"), [("1 KiB", MIB), ("1 MiB", MIB), ("3 MiB", 3 * MIB), ("2500 KiB", 3 * MIB)])
def test_partitions_begin_behind_what_is_kept_free_in_whole_erase_blocks(end: str, start: int) -> None:
    assert place(layout(UBOOT + f'[blobs]\nend = "{end}"\n')).partition("boot").start == start


@pytest.mark.parametrize("table", ["gpt", "mbr"])
def test_where_partitions_begin_is_said_no_file_has_to_be_there(table: str) -> None:
    blobs = '[blobs]\nat = { "absent.bin" = "32 KiB", "absent-too.bin" = "8 MiB" }\nend = "16 MiB"\n'
    assert place(layout(UBOOT + blobs, disk_table=table)).partition("boot").start == 16 * MIB


@pytest.mark.parametrize(
    ("files", "table", "why"),
    [
        ({"spl.bin": "16 KiB"}, "gpt", "the partition table reaches to 17408"),
        ({"spl.bin": "0"}, "mbr", "the partition table reaches to 512"),
        ({"spl.bin": "32 KiB", "u-boot.bin": "32 KiB"}, "gpt", "spl.bin starts there, too"),
        ({"spl.bin": "40000"}, "gpt", "that is no whole sector"),
        ({"spl.bin": "1 MiB"}, "gpt", "[blobs] end is 1048576"),
        ({"spl.bin": "32 KiB", "u-boot.bin": "2 MiB"}, "gpt", "cannot put u-boot.bin at 2097152"),
    ],
)
def test_places_are_checked_without_the_files(files: dict[str, str], table: str, why: str) -> None:
    places = ", ".join(f'"{name}" = "{offset}"' for name, offset in files.items())
    wanted = layout(UBOOT + f'[blobs]\nat = {{ {places} }}\nend = "1 MiB"\n', disk_table=table)
    with pytest.raises(RequestError, match=re.escape(why)):
        place(wanted)


def test_identifiers_come_from_the_seed_alone() -> None:
    one, same, other = (place(layout(UBOOT, disk_seed=seed)) for seed in ("x", "x", "y"))
    assert one == same
    everything = {one.uuid, other.uuid, *(part.uuid for part in (*one.partitions, *other.partitions))}
    assert len(everything) == 2 + 2 * len(one.partitions)


def test_the_plan_names_partitions_as_the_kernel_does() -> None:
    found = layout(MBR)
    geometry = place(found)
    plan = boot_plan(found, geometry)
    assert [slot.partition for slot in plan.slots] == [3, 5]
    assert [slot.root for slot in plan.slots] == [f"PARTUUID={geometry.uuid}-03", f"PARTUUID={geometry.uuid}-05"]
    assert plan.environment is not None
    assert plan.environment.offsets == (0, MIB)
