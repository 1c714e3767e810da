"""Each mistake that is made in setting a device up is named, with what is there, what should be, and what to change."""

import re

import pytest
from board_samples import DISK, QEMU, UBI, VENDOR, board
from doctor_devices import Device, diagnosed, good_device
from doctor_mistakes import MISTAKES, MORE

from bistable.artifact.errors import MachineError
from bistable.tools.board.check import Level
from bistable.tools.board.render.disk import plan_disk
from bistable.tools.board.render.layoutfile import rendered_layout


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_what_is_there_what_should_be_and_what_to_change(name: str) -> None:
    mistake = MISTAKES[name]
    of = board(mistake.text)
    device = good_device(of)
    mistake.spoil(device)
    findings = diagnosed(of, device).findings
    matching = [finding for finding in findings if mistake.what in finding.what]
    assert matching, findings
    (finding,) = matching
    assert finding.level is mistake.level
    assert re.search(mistake.change, finding.change), finding.change
    for pattern, text in ((mistake.found, finding.found), (mistake.expected, finding.expected)):
        assert pattern is None or re.search(pattern, text or ""), text
    if name not in MORE:
        assert findings == (finding,)


def test_errors_come_first() -> None:
    of = board(DISK)
    device = good_device(of)
    for name in ("cmdline: an older boot script", "watchdog: another one", "environment: no table", "client: no type"):
        MISTAKES[name].spoil(device)
    levels = [finding.level for finding in diagnosed(of, device).findings]
    assert levels == [Level.ERROR, Level.ERROR, Level.WARNING, Level.WARNING]


def test_what_is_in_the_wrong_place_is_not_held_against_the_boot_loader() -> None:
    of = board(DISK)
    device = good_device(of)
    MISTAKES["environment: a wrong offset"].spoil(device)
    MISTAKES["environment: never written"].spoil(device)
    (finding,) = diagnosed(of, device).findings
    assert "another place" in finding.what


def test_a_device_without_the_client_is_still_compared_with_all_else() -> None:
    of = board(DISK)
    device = good_device(of)
    MISTAKES["client: not installed"].spoil(device)
    MISTAKES["environment: a wrong offset"].spoil(device)
    device.files["/data/bistable/device_type"] = "device_type=acorn-1\n"
    what = " ".join(finding.what for finding in diagnosed(of, device).findings)
    assert "another place" in what
    assert "has another type" in what
    assert "is not installed" in what


def test_without_any_tool_what_cannot_be_seen_is_not_claimed() -> None:
    of = board(QEMU)
    device = Device()
    device.files = {"/proc/cmdline": good_device(of).files["/proc/cmdline"]}
    found = {finding.what for finding in diagnosed(of, device).findings}
    assert not any("partition" in what or "mounted" in what for what in found)
    assert any("client is not installed" in what for what in found)


def test_a_mbr_disk_is_told_apart_by_numbers_where_nothing_else_tells() -> None:
    of = board(DISK, ("[disk]\n", '[disk]\ntable = "mbr"\n'))
    device = good_device(of)
    device.said["links"] = ([], 1)
    disk = plan_disk(rendered_layout(of)).geometry
    second = disk.partitions[1]
    device.swap("blocks", f"|{second.number}|{second.start // 512}|", f"|{second.number}|{second.start // 512 + 8}|")
    found = [one for one in diagnosed(of, device).findings if one.area == "storage"]
    assert [one.what for one in found] == [f"partition {second.name} lies elsewhere than board.toml says"]


def test_what_is_no_answer_at_all_is_an_error_and_not_a_finding() -> None:
    with pytest.raises(MachineError, match="did not understand the commands"):
        diagnosed(board(DISK), Device())


@pytest.mark.parametrize("junk", ["", "a|b|c|d|e|f|g", "x" * 10_000, "\x1b[0m\x00|é", "{", "-1|-1|-1|-1|-1|-1|-1"])
def test_whatever_a_device_says_the_doctor_does_not_fail(junk: str) -> None:
    for text in (DISK, UBI, VENDOR):
        of = board(text)
        for part in ("said", "files"):
            device = good_device(of)
            device.said = {name: ([junk], 0) if part == "said" else said for name, said in device.said.items()}
            device.files = {name: junk if part == "files" else shown for name, shown in device.files.items()}
            assert diagnosed(of, device).findings
