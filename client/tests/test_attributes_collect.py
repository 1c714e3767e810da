"""Programs tell what the device is; whatever they do, the client gets on."""

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bistable.client.attributes import identity, inventory
from bistable.client.attributes.lines import gathered, parse_lines
from bistable.client.errors import AbortedError, ProgramError


class Programs:
    """A directory of programs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()

    def add(self, name: str, body: str, *, mode: int = 0o755) -> Path:
        path = self.path / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(mode)
        return path

    def prints(self, name: str, *lines: str) -> Path:
        return self.add(name, "\n".join(f"echo '{line}'" for line in lines))


@pytest.fixture
def ours(tmp_path: Path) -> Programs:
    return Programs(tmp_path / "ours")


@pytest.fixture
def others(tmp_path: Path) -> Programs:
    return Programs(tmp_path / "others")


# --- lines


@pytest.mark.parametrize(
    ("raw", "pairs", "bad"),
    [
        (b"", [], []),
        (b"a=1\nb=2", [("a", "1"), ("b", "2")], []),
        (b"a=1=2\n\na=\r\n", [("a", "1=2"), ("a", "")], []),
        (b" a = b \n", [(" a ", " b ")], []),
        (b"word\n=value\na=1\n", [("a", "1")], ["word", "=value"]),
        (b"a=\xff\xe2\x80\xa8b\n", [("a", "\ufffd\u2028b")], []),
    ],
)
def test_lines_are_pairs(raw: bytes, pairs: list[tuple[str, str]], bad: list[str]) -> None:
    assert parse_lines(raw) == (pairs, bad)


@given(
    st.lists(st.tuples(st.text("abc.", min_size=1), st.text(st.characters(exclude_characters="\r\n", codec="utf-8"))))
)
def test_what_is_printed_is_what_is_read(pairs: list[tuple[str, str]]) -> None:
    raw = "".join(f"{key}={value}\n" for key, value in pairs).encode()
    assert parse_lines(raw) == (pairs, [])


def test_a_key_that_comes_again_has_all_its_values() -> None:
    assert gathered([("a", "1"), ("b", "2"), ("a", "1"), ("a", "0")]) == {"a": ("1", "1", "0"), "b": "2"}


# --- identity


def test_the_first_program_there_is_says_who_the_device_is(ours: Programs, others: Programs) -> None:
    mine, theirs = ours.prints("identity", "mac=1", "serial=x", "serial=y"), others.prints("identity", "mac=2")
    assert identity([ours.path / "absent", mine, theirs]) == {"mac": "1", "serial": ("x", "y")}


def test_no_program_is_an_error_that_says_what_was_tried(ours: Programs) -> None:
    with pytest.raises(ProgramError, match="no program") as raised:
        identity([ours.path / "absent"])
    assert str(ours.path / "absent") in (raised.value.hint or "")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("exit 0", "printed nothing"),
        ("echo mac=1; echo oops", "printed 'oops'"),
        ("echo mac=1; exit 1", "exit status 1"),
        ("head -c 70000 /dev/zero", "more than 65536 bytes"),
    ],
)
def test_an_identity_is_whole_or_an_error(ours: Programs, body: str, why: str) -> None:
    with pytest.raises(ProgramError, match=why):
        identity([ours.add("identity", body)])


def test_a_failing_program_is_not_replaced_by_the_next_one(ours: Programs, others: Programs) -> None:
    failing, working = ours.add("identity", "exit 1"), others.prints("identity", "mac=2")
    with pytest.raises(ProgramError):
        identity([failing, working])


# --- inventory


def test_all_programs_of_all_directories_tell_something(ours: Programs, others: Programs) -> None:
    ours.prints("bistable-inventory-a", "a=1", "both=x")
    others.prints("mender-inventory-b", "b=2", "both=y")
    found = inventory([ours.path, others.path, ours.path / "absent"], {"device_type": "acorn"})
    assert found == {"a": "1", "both": ("x", "y"), "b": "2", "device_type": "acorn"}


def test_of_two_programs_for_the_same_the_first_directory_wins(ours: Programs, others: Programs) -> None:
    ours.prints("bistable-inventory-os", "os=ours")
    others.prints("mender-inventory-os", "os=theirs")
    assert inventory([ours.path, others.path], {}) == {"os": "ours"}
    assert inventory([others.path, ours.path], {}) == {"os": "theirs"}


def test_what_is_no_program_is_not_run(ours: Programs) -> None:
    ours.prints("helper", "a=1")
    ours.add("mender-inventory-off", "echo b=1", mode=0o644)
    (ours.path / "mender-inventory-folder").mkdir()
    (ours.path / "mender-inventory-link").symlink_to("/nowhere")
    assert inventory([ours.path], {}) == {}


def test_a_program_that_is_switched_off_leaves_the_place_to_the_next(ours: Programs, others: Programs) -> None:
    ours.add("bistable-inventory-os", "echo os=ours", mode=0o644)
    others.prints("mender-inventory-os", "os=theirs")
    assert inventory([ours.path, others.path], {}) == {"os": "theirs"}


def test_what_the_client_knows_counts_more(ours: Programs) -> None:
    ours.prints("mender-inventory-x", "artifact_name=lie", "artifact_name=lie again")
    assert inventory([ours.path], {"artifact_name": "release-1"}) == {"artifact_name": "release-1"}


def test_the_client_is_not_asked_by_way_of_a_program(others: Programs, tmp_path: Path) -> None:
    others.add("mender-inventory-provides", f"touch '{tmp_path}/ran'")
    inventory([others.path], {})
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "body", ["echo a=1; exit 1", "echo a=1; kill -9 $$", "echo a=1; sleep 600", "echo a=1; head -c 70000 /dev/zero"]
)
def test_a_program_that_fails_costs_its_own_values_only(
    ours: Programs, body: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    ours.add("bistable-inventory-bad", body)
    ours.prints("bistable-inventory-good", "good=1")
    assert inventory([ours.path], {}, timeout=0.5) == {"good": "1"}
    assert "bistable-inventory-bad" in caplog.text


def test_a_line_that_is_none_is_logged_and_left_out(ours: Programs, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ours.prints("bistable-inventory-x", "a=1", "no line", "b=2")
    assert inventory([ours.path], {}) == {"a": "1", "b": "2"}
    assert "'no line'" in caplog.text


def test_a_directory_that_cannot_be_read_is_passed_over(ours: Programs, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ours.prints("bistable-inventory-x", "a=1")
    assert inventory([tmp_path / "file", ours.path], {}) == {"a": "1"}


def test_collecting_can_be_aborted(ours: Programs) -> None:
    def check() -> None:
        raise AbortedError("enough")

    ours.prints("bistable-inventory-x", "a=1")
    with pytest.raises(AbortedError):
        inventory([ours.path], {}, check=check)
