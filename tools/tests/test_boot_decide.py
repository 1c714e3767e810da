"""What would boot, told from bytes: no environment, however damaged, leaves a device that starts nothing."""

from collections.abc import Iterator

import pytest
from boot_cases import CASES, Case
from boot_machines import SECTOR, SLOT_A, SLOT_B
from boot_plans import COPY, OFFSETS, PARTITION, copy_of, environment_of, partition_of, plan_for, variables
from hypothesis import given
from hypothesis import strategies as st

from bistable.artifact.errors import RequestError
from bistable.client.boot.table import Table
from bistable.client.boot.uboot.slots import parse_table
from bistable.client.model import SlotName
from bistable.tools.boot import EnvironmentPlace, Loader, decide, prepare_boot, ubootenv
from bistable.tools.boot.mender import decide_mender, mender_variables

LOADERS = [Loader.UBOOT, Loader.UBOOT_ENVIRONMENT, Loader.GRUB]
NAMES = (SlotName("a"), SlotName("b"))
MOST_BOOTS = 21
"""Two slots with nine tries each, and those that are given again."""

states = st.fixed_dictionaries(
    {
        "order": st.sampled_from(["a b", "b a", "a", "b"]),
        "a_good": st.integers(0, 1),
        "a_tries": st.integers(0, 9),
        "b_good": st.integers(0, 1),
        "b_tries": st.integers(0, 9),
        "seen": st.integers(0, 1),
    }
)
loaders = st.sampled_from(LOADERS)


def table_of(values: dict[str, str]) -> Table:
    return parse_table(values, NAMES, where="the test")


def boots(loader: Loader, environment: bytes) -> Iterator[str | None]:
    """What starts, boot after boot, while no slot works well enough to be confirmed."""
    plan = plan_for(loader)
    while True:
        decision = decide(plan, environment)
        yield decision.slot
        environment = decision.environment_after


def first_of(loader: Loader, environment: bytes) -> str:
    return next(slot for slot, _ in zip(boots(loader, environment), range(MOST_BOOTS), strict=False) if slot)


def raw(loader: Loader, environment: bytes) -> dict[str, str]:
    """The variables of the copy that counts, as the client reads them."""
    decision = decide(plan_for(loader), environment)
    newest = next(number for number, copy in enumerate(decision.copies) if copy.newest)
    data = environment[OFFSETS[newest] : OFFSETS[newest] + COPY[loader]]
    if loader is Loader.GRUB:
        lines = data.rstrip(b"#").decode().splitlines()[1:]
        return dict(line.split("=", 1) for line in lines)
    return ubootenv.read_redundant(data).variables()


@given(loaders, states)
def test_the_slot_is_the_one_that_the_client_expects(loader: Loader, state: dict[str, object]) -> None:
    environment = environment_of(loader, variables(**state))
    table = table_of(variables(**state))
    candidates = table.candidates()
    decision = decide(plan_for(loader), environment)
    assert decision.slot == (candidates[0] if candidates else None)
    assert decision.order == table.order
    assert decision.counted == bool(candidates and candidates[0] not in table.good)


@given(loaders, states)
def test_the_client_finds_what_the_boot_script_has_saved(loader: Loader, state: dict[str, object]) -> None:
    environment = environment_of(loader, variables(**state))
    table = table_of(variables(**state))
    decision = decide(plan_for(loader), environment)
    after = raw(loader, decision.environment_after)
    candidates = table.candidates()
    expected = table.counted(candidates[0]) if candidates else None
    if expected is not None:
        assert table_of(after) == expected
    assert after["bistable_seen"] == "1"


@given(loaders, states)
def test_a_good_slot_is_booted_for_ever_without_a_write(loader: Loader, state: dict[str, object]) -> None:
    first = str(state["order"])[0]
    environment = environment_of(loader, variables(**{**state, f"{first}_good": 1, "seen": 1}))
    decision = decide(plan_for(loader), environment)
    assert (decision.slot, decision.counted) == (first, False)
    assert decision.environment_after == environment


@given(loaders, states, states, st.data())
def test_a_device_starts_something_whatever_has_been_damaged(
    loader: Loader, first: dict[str, object], second: dict[str, object], data: st.DataObject
) -> None:
    whole = partition_of(
        loader,
        copy_of(loader, variables(**first), data.draw(st.integers(0, 9))),
        copy_of(loader, variables(**second), data.draw(st.integers(0, 9))),
    )
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(0, 4))):
        copy = data.draw(st.sampled_from(OFFSETS))
        at = copy + data.draw(st.integers(0, 400))
        junk = data.draw(st.one_of(st.binary(min_size=1, max_size=40), st.just(bytes(COPY[loader]))))
        damaged[at : at + len(junk)] = junk
    assert len(damaged) == PARTITION
    assert first_of(loader, bytes(damaged)) in {"a", "b"}


@given(loaders, states)
def test_a_cut_while_the_boot_script_saves_leaves_the_old_state_or_the_new(
    loader: Loader, state: dict[str, object]
) -> None:
    before = environment_of(loader, variables(**{**state, "seen": 1}))
    decision = decide(plan_for(loader), before)
    after = decision.environment_after
    allowed = {str(decide(plan_for(loader), one).slots) for one in (before, after)}
    changed = [at for at in range(0, PARTITION, SECTOR) if before[at : at + SECTOR] != after[at : at + SECTOR]]
    # The disk may have taken any of the sectors; all of them but one are enough to see every mixture of two sectors.
    for left_out in changed:
        mixed = bytearray(after)
        mixed[left_out : left_out + SECTOR] = before[left_out : left_out + SECTOR]
        assert str(decide(plan_for(loader), bytes(mixed)).slots) in allowed


@pytest.mark.parametrize(
    ("loader", "case"),
    [
        pytest.param(loader, case, id=f"{loader}: {case.name}")
        for case in CASES
        for loader in case.loaders
        # The model does not know of broken disks and kernels.
        if not case.faults and case.kernels == "ab"
    ],
)
def test_the_model_knows_the_cases_that_real_loaders_are_tested_with(loader: Loader, case: Case) -> None:
    started = [slot for slot, _ in zip(boots(loader, case.environment(loader)), case.starts, strict=False)]
    assert tuple(started) == case.starts


def test_sentences_say_what_happens_and_why() -> None:
    plan = plan_for(Loader.UBOOT)
    environment = environment_of(Loader.UBOOT, variables(seen=0, b_tries=2))
    assert decide(plan, environment).why == (
        "copy 1 of the environment counts",
        "the boot script leaves its mark",
        "slot b is on trial and booted; 1 tries are left then",
    )
    assert decide(plan, bytes(PARTITION)).why[0] == (
        "no copy of the environment is valid, so nothing is known of the slots"
    )
    assert decide(plan, environment).fallbacks == ("a",)


def test_a_copy_that_is_not_valid_says_why() -> None:
    decision = decide(plan_for(Loader.GRUB), environment_of(Loader.GRUB, variables(a_good=3)))
    assert decision.copies[0].why == "cannot use the environment block: bistable_a_good is '3'"
    assert [copy.newest for copy in decision.copies] == [False, True]


def test_what_others_keep_in_the_environment_of_u_boot_stays_there() -> None:
    values = {**variables(), "ethaddr": "02:00:00:00:00:01", "path": "a\\b"}
    escaped = {**values, "path": "a\\\\b"}
    environment = environment_of(Loader.UBOOT_ENVIRONMENT, escaped)
    after = decide(plan_for(Loader.UBOOT_ENVIRONMENT), environment).environment_after
    assert raw(Loader.UBOOT_ENVIRONMENT, after) == {**values, "bistable_b_tries": "2"}


@pytest.mark.parametrize("loader", [Loader.SYSTEMD_BOOT, Loader.EFI, Loader.RASPBERRY_PI])
def test_a_loader_without_such_an_environment_is_refused(loader: Loader) -> None:
    with pytest.raises(RequestError, match="has no environment on a partition"):
        decide(plan_for(loader), bytes(PARTITION))


def test_a_partition_that_is_too_short_has_no_valid_copy() -> None:
    for loader in LOADERS:
        assert [copy.valid for copy in decide(plan_for(loader), b"").copies] == [False, False]


def test_a_new_disk_boots_its_first_slot() -> None:
    for loader in LOADERS:
        partition = bytearray(PARTITION)
        for offset, data in prepare_boot(plan_for(loader)).environment.items():
            partition[offset : offset + len(data)] = data
        decision = decide(plan_for(loader), bytes(partition))
        # A U-Boot that keeps its environment itself has none yet, and so tries the slot.
        unknown = loader is Loader.UBOOT_ENVIRONMENT
        assert (decision.slot, decision.counted) == ("a", unknown)
        assert decision.order == (("a", "b") if unknown else ("a",))


# Mender's scheme


def mender(**changes: str) -> bytes:
    values = {**mender_variables(plan_for(Loader.UBOOT_ENVIRONMENT)), "mender_saveenv_canary": "1", **changes}
    current = ubootenv.build_copy(values, COPY[Loader.UBOOT_ENVIRONMENT], counter=7)
    return partition_of(Loader.UBOOT, current, ubootenv.build_copy({}, COPY[Loader.UBOOT_ENVIRONMENT], counter=6))


def part(number: int) -> dict[str, str]:
    return {"mender_boot_part": str(number), "mender_boot_part_hex": f"{number:x}"}


@pytest.mark.parametrize(
    ("changes", "starts"),
    [
        ({}, ["a", "a"]),
        ({**part(SLOT_B)}, ["b", "b"]),
        ({**part(SLOT_B), "upgrade_available": "1"}, ["b", "a", "a"]),
        ({**part(SLOT_A), "upgrade_available": "1"}, ["a", "b", "b"]),
        ({**part(SLOT_B), "upgrade_available": "1", "bootlimit": "3"}, ["b", "b", "b", "a"]),
        ({**part(SLOT_B), "upgrade_available": "1", "bootcount": "1"}, ["a", "a"]),
        ({**part(SLOT_B), "upgrade_available": "0", "bootcount": "9"}, ["b", "b"]),
    ],
)
def test_the_scheme_of_mender_falls_back_when_the_limit_is_exceeded(changes: dict[str, str], starts: list[str]) -> None:
    plan, environment = plan_for(Loader.UBOOT_ENVIRONMENT), mender(**changes)
    started = []
    for _ in starts:
        decision = decide_mender(plan, environment)
        started.append(decision.slot)
        environment = decision.environment_after
    assert started == starts


def test_variables_of_mender_are_those_that_its_client_knows() -> None:
    values = mender_variables(plan_for(Loader.UBOOT_ENVIRONMENT))
    assert {name: values[name] for name in ("mender_boot_part", "upgrade_available", "bootcount", "bootlimit")} == {
        "mender_boot_part": str(SLOT_A),
        "upgrade_available": "0",
        "bootcount": "0",
        "bootlimit": "1",
    }
    with pytest.raises(RequestError, match="environment of its own"):
        mender_variables(plan_for(Loader.UBOOT))


def test_without_a_place_nobody_can_tell_what_boots() -> None:
    with pytest.raises(RequestError, match="where the environment is"):
        decide_mender(plan_for(Loader.UBOOT_ENVIRONMENT, environment=None), b"")
    place = EnvironmentPlace(partition=2, offsets=OFFSETS, size=COPY[Loader.UBOOT_ENVIRONMENT])
    assert decide_mender(plan_for(Loader.UBOOT_ENVIRONMENT, environment=place), bytes(PARTITION)).slot is None
