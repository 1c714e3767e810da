"""A console over a wire: what it gives, what it notes, and which words end the waiting."""

import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from bistable.tools.bench.console import Console
from bistable.tools.bench.errors import DeathError, GoneError, LateError, MisuseError
from bistable.tools.bench.wires import DescriptorWire

SOON = 0.2


Line: TypeAlias = tuple[Console, Callable[[str], None], socket.socket]


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    """A console, and the machine's end of its line."""
    console = Console(tmp_path / "console.log")
    ours, theirs = socket.socketpair()
    console.attach(DescriptorWire(ours.detach()))

    def say(text: str) -> None:
        theirs.sendall(text.encode())

    yield console, say, theirs
    console.detach()
    theirs.close()


def test_a_console_gives_what_matched_and_passes_what_came_before(line: Line) -> None:
    console, say, _ = line
    say("noise\r\nbistable: booting slot a\r\nmore")
    assert console.expect("booting slot a", seconds=5)[0] == "booting slot a"
    assert console.before == "noise\r\nbistable: "


def test_a_panic_ends_the_waiting_with_an_error_that_shows_the_console(line: Line) -> None:
    console, say, _ = line
    say("starting\r\nKernel panic - not syncing: no init\r\n")
    with pytest.raises(DeathError, match="Kernel panic") as failed:
        console.expect("ready", seconds=5)
    assert "| starting" in str(failed.value)


def test_a_panic_that_is_expected_is_nothing_special(line: Line) -> None:
    console, say, _ = line
    say("Kernel panic - not syncing\r\nready\r\n")
    with console.tolerating("Kernel panic - not syncing"):
        console.expect("ready", seconds=5)


def test_only_words_that_mean_a_death_can_be_tolerated(line: Line) -> None:
    console, _, _ = line
    with pytest.raises(MisuseError, match="none of the words"), console.tolerating("hello"):
        pass


def test_what_does_not_come_in_time_and_what_ends_are_different_errors(line: Line) -> None:
    console, say, theirs = line
    say("booting\r\n")
    with pytest.raises(LateError, match="'ready'"):
        console.expect("ready", seconds=SOON)
    theirs.shutdown(socket.SHUT_RDWR)
    with pytest.raises(GoneError):
        console.expect("ready", seconds=5)


def test_lines_of_the_console_are_found_without_control_characters(line: Line) -> None:
    console, say, _ = line
    say("\x1b[2J\x1b[01;01Hbistable: booting slot b\x1b[0m\r\nother\r\n")
    assert console.lines("bistable: ") == ["bistable: booting slot b"]


def test_the_first_of_several_words_is_found_whatever_the_order_in_which_they_are_asked_for(line: Line) -> None:
    console, say, _ = line
    say("first second")
    patterns = {"b": re.compile("second"), "a": re.compile("first")}
    assert console.expect_any(patterns, seconds=5)[0] == "a"
    assert console.expect_any(patterns, seconds=5)[0] == "b"


def test_words_that_come_in_pieces_are_found(line: Line) -> None:
    console, say, theirs = line
    say("x" * 20_000 + "rea")
    console.text()
    theirs.sendall(b"dy \xe2\x82")
    console.expect("ready", seconds=5)
    theirs.sendall(b"\xac \xff")
    console.expect("\N{EURO SIGN} \N{REPLACEMENT CHARACTER}", seconds=5)


def test_reading_all_that_was_said_takes_nothing_away_from_who_waits_for_it(line: Line) -> None:
    console, say, _ = line
    say("bistable: booting slot a\r\n" + "noise\r\n" * 5000)
    assert console.lines("bistable: ") == ["bistable: booting slot a"]
    console.expect("booting slot a", seconds=5)


def test_what_was_heard_is_kept_with_the_times_and_is_the_log(line: Line) -> None:
    console, say, _ = line
    before = time.monotonic()
    for word in ("one ", "two ", "three"):
        say(word)
        console.expect(word, seconds=5)
    times = [at for at, _ in console.heard]
    assert before <= times[0] <= times[1] <= times[2] <= time.monotonic()
    assert [text for _, text in console.heard] == ["one ", "two ", "three"]
    assert console.log.read_text() == "one two three"


def test_the_last_words_before_the_power_goes_are_in_the_log_but_not_taken_for_those_of_the_next_start(
    line: Line,
) -> None:
    console, say, _ = line
    say("acorn login: ")
    console.detach()
    assert console.text() == "acorn login: "
    ours, theirs_now = socket.socketpair()
    with theirs_now:
        console.attach(DescriptorWire(ours.detach()))
        with pytest.raises(LateError):
            console.expect("login: ", seconds=SOON)


def test_a_line_that_has_ended_takes_no_more_words(line: Line) -> None:
    console, _, theirs = line
    theirs.close()
    with pytest.raises(GoneError, match="nothing can be sent"):
        console.send("hello")


def test_a_console_of_a_machine_that_is_off_is_neither_listened_nor_spoken_to(tmp_path: Path) -> None:
    console = Console(tmp_path / "console.log")
    with pytest.raises(MisuseError):
        console.expect("ready", seconds=5)
    with pytest.raises(MisuseError):
        console.send("hello")
