"""U-Boot's environment through the real programs: power cuts, damage, and programs that are not there or differ."""

import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from client_boot import MENDER_FACTORY, PAIR, SLOTS_FACTORY, A, B
from client_boot_uboot import COPY, EnvironmentFile, UBootDevice, decode

from bistable.client.boot import Bootloader, BootSettings, Canary, Rearming, detect_scheme, make_bootloader
from bistable.client.boot.uboot.environment import ToolEnvironment
from bistable.client.boot.uboot.mender import part_number
from bistable.client.errors import BootError

needs_tools = pytest.mark.skipif(
    shutil.which("fw_setenv") is None,
    reason="the program fw_setenv is not installed (Debian package libubootenv-tool)",
)
SCHEMES = pytest.mark.parametrize("scheme", ["slots", "mender"])
CUTS = pytest.mark.parametrize("cut", ["before", "after", "torn"])


def rearm(loader: Bootloader) -> None:
    assert isinstance(loader, Rearming)
    loader.rearm(A)


STEPS: Mapping[str, Callable[[Bootloader], None]] = {
    "forbid": lambda loader: loader.forbid(A),
    "activate": lambda loader: loader.activate(A),
    "boot": lambda loader: None,
    "rearm": rearm,
    "confirm": lambda loader: loader.confirm(A),
    "restore": lambda loader: loader.restore(B),
}
"""An update from slot b to slot a, and the way back."""


def program(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


def environment(folder: Path, *, printer: str = "fw_printenv", setter: str = "fw_setenv") -> ToolEnvironment:
    return ToolEnvironment(timeout=20, printers=(printer,), setters=(setter,), config=folder / "fw_env.config")


# --- power cuts


@needs_tools
@SCHEMES
@CUTS
@pytest.mark.parametrize("step", ["forbid", "activate", "rearm", "confirm", "restore"])
def test_a_power_cut_at_any_write_leaves_a_good_slot_and_an_update_that_can_be_repeated(
    scheme: str, cut: str, step: str, tmp_path: Path
) -> None:
    device = UBootDevice(tmp_path, scheme)
    device.loader.activate(B)
    assert device.power_on() == B
    device.loader.confirm(B)
    came_to_it = False
    broken: set[str] = set()
    for name, act in STEPS.items():
        if name == "boot":
            assert device.power_on(broken=broken) == A
        elif name == step:
            came_to_it = device.cut_power(cut, lambda act=act: act(device.loader))  # type: ignore[misc]
            break
        else:
            act(device.loader)
        # Between these two the slot is written.
        broken = {"a"} if name == "forbid" else set()
    # In Mender's scheme there is no mark to be written before a slot is overwritten.
    assert came_to_it or (scheme, step) == ("mender", "forbid")
    assert device.power_on(broken=broken) in {A, B} - {*broken}
    # Whatever it was, the slot that runs is good from now on, and the next update to the other one goes through.
    running = device.booted()
    other = B if running == A else A
    if device.loader.status(running).good is False:
        device.loader.confirm(running)
    device.loader.forbid(other)
    device.loader.activate(other)
    assert device.power_on(broken=set()) == other
    device.loader.confirm(other)
    assert device.power_on() == other


@needs_tools
@SCHEMES
def test_a_power_cut_after_a_reselection_is_written_counts(scheme: str, tmp_path: Path) -> None:
    device = UBootDevice(tmp_path, scheme)
    device.loader.forbid(B)
    assert device.cut_power("after", lambda: device.loader.activate(B))
    assert device.loader.primary() == B
    assert device.cut_power("before", lambda: device.loader.restore(A))
    assert device.loader.primary() == B
    assert device.cut_power("torn", lambda: device.loader.restore(A))
    assert device.loader.primary() == B


@needs_tools
@SCHEMES
def test_one_call_is_one_write_to_the_older_copy(scheme: str, tmp_path: Path) -> None:
    device = UBootDevice(tmp_path, scheme)
    device.loader.forbid(B)
    before, newest = device.memory(), device.environment.newest()
    device.loader.activate(B)
    after = device.memory()
    kept = slice(0, COPY) if newest == 0 else slice(COPY, 2 * COPY)
    assert after[kept] == before[kept]
    assert device.environment.newest() != newest


@needs_tools
@SCHEMES
def test_other_variables_stay_as_they_are(scheme: str, tmp_path: Path) -> None:
    device = UBootDevice(tmp_path, scheme)
    device.environment.save(device.environment.load() | {"bootcmd": "run this; if x=y; then run that; fi"})
    device.loader.activate(B)
    assert device.environment.load()["bootcmd"] == "run this; if x=y; then run that; fi"


@needs_tools
@SCHEMES
def test_a_damaged_newer_copy_is_made_up_for_by_the_older_one(scheme: str, tmp_path: Path) -> None:
    device = UBootDevice(tmp_path, scheme)
    device.loader.activate(B)
    device.environment.tear()
    assert device.loader.primary() == A
    assert device.power_on() == A
    device.loader.activate(B)
    assert device.power_on() == B


@needs_tools
def test_when_both_copies_are_lost_the_device_boots_and_heals(tmp_path: Path) -> None:
    device = UBootDevice(tmp_path, "slots")
    device.environment.destroy()
    assert device.power_on() == A
    with pytest.raises(BootError, match="slot a is not known to be good") as caught:
        device.loader.forbid(B)
    assert caught.value.hint == "if slot a runs and is sound, confirm it first"
    device.loader.confirm(A)
    device.loader.forbid(B)
    assert {device.power_on() for _ in range(10)} == {A}


@needs_tools
def test_when_both_copies_are_lost_in_an_update_the_origin_can_still_be_restored(tmp_path: Path) -> None:
    device = UBootDevice(tmp_path, "slots")
    device.loader.forbid(B)
    device.environment.destroy()
    assert device.power_on() == A
    device.loader.restore(A)
    assert {device.power_on() for _ in range(10)} == {A}
    assert device.loader.status(A).good


@needs_tools
def test_a_trial_may_be_tried_as_often_as_set(tmp_path: Path) -> None:
    device = UBootDevice(tmp_path, "slots", tries=9)
    device.loader.activate(B)
    assert [device.power_on() for _ in range(10)] == [B] * 9 + [A]


@pytest.mark.parametrize("tries", [0, 10, -1])
def test_a_number_of_tries_that_a_boot_script_cannot_count_is_refused(tries: int) -> None:
    with pytest.raises(BootError, match="the boot loader counts from 1 to 9"):
        make_bootloader(BootSettings(backend="uboot", tries=tries), PAIR)


# --- the file itself


@pytest.mark.skipif(
    shutil.which("mkenvimage") is None, reason="the program mkenvimage is not installed (Debian package u-boot-tools)"
)
def test_our_model_of_the_file_is_that_of_u_boot(tmp_path: Path) -> None:
    text, image = tmp_path / "text", tmp_path / "image"
    text.write_text("".join(f"{name}={value}\n" for name, value in SLOTS_FACTORY.items()))
    subprocess.run(["mkenvimage", "-r", "-s", hex(COPY), "-o", image, text], check=True, timeout=60)
    found = decode(image.read_bytes())
    assert found is not None
    assert found[1] == SLOTS_FACTORY


@needs_tools
def test_a_new_image_from_mkenvimage_has_no_canary_yet(tmp_path: Path) -> None:
    EnvironmentFile(tmp_path, SLOTS_FACTORY)
    settings = BootSettings(backend="uboot", tool_config=tmp_path / "fw_env.config")
    loader = make_bootloader(settings, PAIR)
    assert loader.primary() == A
    with pytest.raises(BootError, match="has not left bistable_seen=1") as caught:
        loader.forbid(B)
    assert "have to name the same place" in str(caught.value.hint)


@needs_tools
@SCHEMES
def test_without_the_canary_nothing_new_is_begun_but_what_is_under_way_can_end(scheme: str, tmp_path: Path) -> None:
    device = UBootDevice(tmp_path, scheme)
    device.loader.activate(B)
    assert device.power_on() == B
    canary = {"slots": "bistable_seen", "mender": "mender_saveenv_canary"}[scheme]
    device.environment.save(device.environment.load() | {canary: ""})
    for call in (device.loader.forbid, device.loader.activate):
        with pytest.raises(BootError, match="cannot rely on the boot loader's environment"):
            call(A)
    loader = device.loader
    assert isinstance(loader, Canary)
    with pytest.raises(BootError, match=canary):
        loader.check_canary()
    device.loader.confirm(B)
    assert device.power_on() == B
    loader.check_canary()


@needs_tools
def test_where_mender_does_not_ask_for_a_canary_none_is_missed(tmp_path: Path) -> None:
    EnvironmentFile(tmp_path, MENDER_FACTORY | {"mender_check_saveenv_canary": ""})
    settings = BootSettings(backend="uboot", scheme="mender", tool_config=tmp_path / "fw_env.config")
    make_bootloader(settings, PAIR).activate(B)


# --- what is not right


@needs_tools
@SCHEMES
def test_an_environment_without_a_valid_copy_is_an_error_that_says_where_to_look(scheme: str, tmp_path: Path) -> None:
    device = UBootDevice(tmp_path, scheme)
    device.environment.destroy()
    with pytest.raises(BootError, match="cannot read the boot loader's environment") as caught:
        device.loader.activate(B)
    assert "check that /etc/fw_env.config names the place" in str(caught.value.hint)


def test_defaults_that_the_boot_loader_never_saw_are_not_taken_for_its_environment(tmp_path: Path) -> None:
    printer = program(tmp_path, "p", 'echo "Cannot read environment, using default" >&2; echo bistable_order=a')
    with pytest.raises(BootError, match="neither copy is valid") as caught:
        environment(tmp_path, printer=printer).read()
    assert "saveenv" in str(caught.value.hint)


@pytest.mark.parametrize("tools", [("fw_printenv", None), (None, None)])
def test_a_missing_program_is_named_with_its_package(
    tools: tuple[str | None, str | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    settings = BootSettings(backend="uboot", print_tool=tools[0], set_tool=tools[1])
    with pytest.raises(BootError, match="cannot run fw_printenv: not found") as caught:
        make_bootloader(settings, PAIR).primary()
    assert caught.value.hint == "install the package libubootenv-tool"


def test_a_missing_setter_is_named_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BootError, match="cannot run fw_setenv: not found") as caught:
        environment(tmp_path).write({"a": "1"})
    assert caught.value.hint == "install the package libubootenv-tool"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bistable_order": ""}, "bistable_order is ''"),
        ({"bistable_order": "a c"}, "bistable_order is 'a c', not a list of a and b"),
        ({"bistable_order": "a a"}, "bistable_order is 'a a'"),
        ({"bistable_a_good": "yes"}, "bistable_a_good is 'yes', not a digit from 0 to 1"),
        ({"bistable_b_tries": "-1"}, "bistable_b_tries is '-1', not a digit from 0 to 9"),
        ({"bistable_b_tries": "\N{ARABIC-INDIC DIGIT ONE}"}, "bistable_b_tries"),
        ({"bistable_b_tries": ""}, "bistable_b_tries is ''"),
    ],
)
def test_variables_that_make_no_sense_are_refused(changes: dict[str, str], words: str, tmp_path: Path) -> None:
    listing = "".join(f"echo '{name}={value}'\n" for name, value in (SLOTS_FACTORY | changes).items())
    settings = BootSettings(backend="uboot", print_tool=program(tmp_path, "p", listing), set_tool="false")
    with pytest.raises(BootError, match=r"cannot understand the boot loader's environment") as caught:
        make_bootloader(settings, PAIR).primary()
    assert words in caught.value.what


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mender_boot_part": "4"}, "mender_boot_part is '4', neither 2 (slot a) nor 10 (slot b)"),
        ({"mender_boot_part": ""}, "mender_boot_part is ''"),
        ({"upgrade_available": "1", "bootcount": "x"}, "bootcount is 'x'"),
    ],
)
def test_variables_of_mender_that_make_no_sense_are_refused(
    changes: dict[str, str], words: str, tmp_path: Path
) -> None:
    listing = "".join(f"echo '{name}={value}'\n" for name, value in (MENDER_FACTORY | changes).items())
    settings = BootSettings(
        backend="uboot", scheme="mender", print_tool=program(tmp_path, "p", listing), set_tool="false"
    )
    with pytest.raises(BootError, match=r"cannot understand the boot loader's environment") as caught:
        make_bootloader(settings, PAIR).primary()
    assert words in caught.value.what


# --- programs that differ


def test_an_old_fw_setenv_that_wants_blanks_gets_them(tmp_path: Path) -> None:
    memory = tmp_path / "memory"
    memory.write_text("")
    setter = program(
        tmp_path,
        "setter",
        f'cat > "{tmp_path}/script"\nif grep -q = "{tmp_path}/script"; then echo "illegal character" >&2; exit 1; fi\n'
        f'sed "s/ /=/" "{tmp_path}/script" > "{memory}"\necho set >> "{tmp_path}/count"\n',
    )
    printer = program(tmp_path, "printer", f'shift 2\nfor name; do grep "^$name=" "{memory}" || exit 1; done\n')
    tools = environment(tmp_path, printer=printer, setter=setter)
    tools.write({"mender_boot_part": "3", "upgrade_available": "1"})
    assert memory.read_text() == "mender_boot_part=3\nupgrade_available=1\n"
    tools.write({"mender_boot_part": "2"})
    assert (tmp_path / "count").read_text() == "set\nset\n"


def test_a_setter_that_fails_says_why(tmp_path: Path) -> None:
    setter = program(tmp_path, "setter", 'echo "Input/output error" >&2; exit 5\n')
    with pytest.raises(BootError, match=r"cannot change the boot loader's environment: .*exit status 5") as caught:
        environment(tmp_path, setter=setter).write({"a": "1"})
    assert caught.value.hint == "Input/output error"


def test_a_setter_that_changes_nothing_is_found_out(tmp_path: Path) -> None:
    setter = program(tmp_path, "setter", "cat > /dev/null\n")
    printer = program(tmp_path, "printer", "echo a=0\n")
    with pytest.raises(BootError, match="it reads as before"):
        environment(tmp_path, printer=printer, setter=setter).write({"a": "1"})


@pytest.mark.parametrize("values", [{"a": "1\nb=2"}, {"a=b": "1"}, {"a": "\N{EURO SIGN}"}, {"": "1"}])
def test_what_would_become_other_variables_is_not_written(values: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(BootError, match="cannot set the boot loader's variable"):
        environment(tmp_path, setter="false").write(values)


def test_the_programs_of_menders_boot_loaders_are_tried_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    memory = tmp_path / "memory"
    memory.write_text("mender_boot_part=2\nupgrade_available=0\nbootcount=0\n")
    for name, text in {
        "systemd-boot-printenv": f'cat "{memory}"; [ $# = 0 ] || echo mender_boot_part_hex=A\n',
        "systemd-boot-setenv": f'grep -v _hex > "{memory}"\n',
        "fw_printenv": "exit 7\n",
    }.items():
        program(tools, name, text)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    loader = make_bootloader(BootSettings(backend="uboot", scheme="mender"), PAIR)
    loader.activate(B)
    assert memory.read_text() == "mender_boot_part=10\nupgrade_available=1\nbootcount=0\n"
    assert loader.primary() == B


@pytest.mark.parametrize(("variables", "scheme"), [(SLOTS_FACTORY, "slots"), (MENDER_FACTORY, "mender")])
def test_the_scheme_can_be_found_out(variables: dict[str, str], scheme: str, tmp_path: Path) -> None:
    listing = "".join(f"echo '{name}={value}'\n" for name, value in variables.items())
    assert detect_scheme(BootSettings(backend="uboot", print_tool=program(tmp_path, "p", listing))) == scheme


@pytest.mark.parametrize(
    ("variables", "words"),
    [({}, "neither of mender_boot_part and bistable_order is"), (SLOTS_FACTORY | MENDER_FACTORY, "both of")],
)
def test_a_scheme_that_cannot_be_found_out_is_an_error(variables: dict[str, str], words: str, tmp_path: Path) -> None:
    listing = "".join(f"echo '{name}={value}'\n" for name, value in variables.items())
    with pytest.raises(BootError, match="cannot tell how the boot loader chooses its slot") as caught:
        detect_scheme(BootSettings(backend="uboot", print_tool=program(tmp_path, "p", listing)))
    assert words in caught.value.what


# --- partition numbers


@pytest.mark.parametrize(
    ("device", "number"), [("/dev/mmcblk0p2", 2), ("/dev/sda10", 10), ("/dev/ubi0_1", 1), ("/dev/nvme0n1p3", 3)]
)
def test_the_partition_number_is_at_the_end_of_the_name(device: str, number: int) -> None:
    assert part_number(Path(device)) == number


def test_the_partition_number_is_that_of_what_a_link_leads_to(tmp_path: Path) -> None:
    (tmp_path / "rootfs-a1").symlink_to("/dev/mmcblk9p5")
    assert part_number(tmp_path / "rootfs-a1") == 5


def test_a_device_without_a_number_needs_one_in_the_settings() -> None:
    with pytest.raises(BootError, match="cannot tell the partition number of /dev/root") as caught:
        part_number(Path("/dev/root"))
    assert caught.value.hint == "give the slots' partition numbers in the configuration"


@needs_tools
def test_partition_numbers_can_be_set_and_are_written_in_both_forms(tmp_path: Path) -> None:
    file = EnvironmentFile(tmp_path, MENDER_FACTORY | {"mender_boot_part": "30", "mender_saveenv_canary": "1"})
    settings = BootSettings(backend="uboot", scheme="mender", tool_config=file.config, parts={A: 30, B: 31})
    make_bootloader(settings, PAIR).activate(B)
    assert {name: value for name, value in file.load().items() if "boot_part" in name} == {
        "mender_boot_part": "31",
        "mender_boot_part_hex": "1F",
    }


def test_two_slots_cannot_be_the_same_partition() -> None:
    with pytest.raises(BootError, match="both are partition 3"):
        make_bootloader(BootSettings(backend="uboot", scheme="mender", parts={A: 3, B: 3}), PAIR)
