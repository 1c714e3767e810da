"""The report of a run: the same for programs and for people, by itself, whatever is in it."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from schemas import validated
from suite_boards import board_of, run_on

from bistable.artifact.errors import RequestError
from bistable.tools.board.model import Flow
from bistable.tools.bringup.report import (
    HTML_NAME,
    JSON_NAME,
    SCHEMA,
    Report,
    report_document,
    report_page,
    write_report,
)
from bistable.tools.bringup.report.timeline import LANES, LEFT, RIGHT, WIDTH, duration, timeline
from bistable.tools.bringup.suite import Place, PlaceKind, SuiteResult, Verdict, Wishes
from bistable.tools.bringup.suite.result import CaseResult, Event, EventKind, Lane, Phase, Step, Trouble
from bistable.tools.bringup.suite.source import SourceFile

EVIL = "</pre><script>alert(1)</script> & \"'"


def report(result: SuiteResult, **changes: Any) -> Report:
    """Return a report of it."""
    whole = Report(
        board=board_of(Flow.UBOOT),
        place=Place(kind=PlaceKind.QEMU, what="QEMU (qemu-system-acorn)", is_new=True),
        source=SourceFile(name="disk.img", size=1000, sha256="0" * 64),
        wishes=Wishes(),
        date=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        version="0.1.0",
        program="QEMU emulator version 7.2",
        result=result,
    )
    return replace(whole, **changes)


def case(name: str, verdict: Verdict, start: float, seconds: float, **more: Any) -> CaseResult:
    """Return how a case ended."""
    return CaseResult(name=name, proves="It works.", verdict=verdict, start=start, seconds=seconds, **more)


def sample() -> SuiteResult:
    """Return a run of two minutes."""
    cases = (
        case("first-boot", Verdict.PASSED, 0.0, 60.0, remarks=("`this` is doubted",), console=("U-Boot 1",)),
        case(
            "canary",
            Verdict.FAILED,
            60.0,
            59.0,
            trouble=Trouble(what="the slot", expected="a", seen="b", hint="look at <it>"),
            console=(EVIL,),
        ),
        case("power-cuts", Verdict.SKIPPED, 119.0, 0.0, reason="there is no power"),
    )
    events = (
        Event(at=0.0, kind=EventKind.POWER_ON),
        Event(at=5.0, kind=EventKind.UP, what="a"),
        Event(at=60.0, kind=EventKind.POWER_CUT),
        Event(at=90.0, kind=EventKind.PANIC, what="Kernel panic - not syncing: VFS"),
    )
    phases = (
        Phase(lane=Lane.POWER, start=0.0, end=60.0),
        Phase(lane=Lane.SLOT_A, start=5.0, end=60.0),
    )
    return SuiteResult(cases=cases, seconds=120.0, events=events, phases=phases, client_version="0.1.0")


class Page(HTMLParser):
    """What is in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "br", "link"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of all tags of that name."""
        return [attributes for name, attributes in self.tags if name == tag]


# --- for programs


@pytest.mark.parametrize("faults", [(), ("stubborn",), ("dead",), ("panic-stays", "doubtful")])
@pytest.mark.parametrize("flow", [Flow.UBOOT, Flow.CUSTOM])
def test_the_document_is_what_its_schema_says(faults: tuple[str, ...], flow: Flow, tmp_path: Path) -> None:
    result = run_on(tmp_path, *faults, flow=flow)
    write_report(report(result, board=board_of(flow)), tmp_path / "out")
    assert validated(json.loads((tmp_path / "out" / JSON_NAME).read_text()))["schema"] == f"bistable.{SCHEMA}"


def test_the_document_has_the_schema_that_the_command_says() -> None:
    from bistable.tools.cli import board_test

    assert f'schema="{SCHEMA}"' in Path(board_test.__file__).read_text()


def test_the_document_says_all_that_happened() -> None:
    document = report_document(report(sample()))
    assert document["counts"] == {"passed": 1, "failed": 1, "skipped": 1, "blocked": 0}
    assert document["good"] is False
    assert document["date"] == "2026-01-02T03:04:05Z"
    assert document["cases"][1]["trouble"] == {"what": "the slot", "expected": "a", "seen": "b", "hint": "look at <it>"}
    assert document["events"][2] == {"at": 60.0, "kind": "power-cut", "what": None}


# --- for people


def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing() -> None:
    page = Page(report_page(report(sample())))
    assert page.open == []
    assert not {"script", "link", "img", "iframe", "object", "embed"} & {tag for tag, _ in page.tags}
    targets = {value for _, attributes in page.tags for name, value in attributes.items() if name in {"src", "href"}}
    assert {target for target in targets if not str(target).startswith("#")} == {"https://example.com/acorn"}
    style = re.search(r"<style>(.*?)</style>", report_page(report(sample())), re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)


def test_what_a_console_says_is_text_and_nothing_else() -> None:
    text = report_page(report(sample()))
    assert "<script" not in text
    assert EVIL in Page(text).words


def test_what_stands_between_backquotes_is_code_and_still_only_text() -> None:
    result = replace(sample(), cases=(replace(sample().cases[0], remarks=("`<b>` is bold", "a ` alone")),))
    text = report_page(report(result))
    assert "<code>&lt;b&gt;</code> is bold" in text
    assert "a ` alone" in text


def test_a_step_is_one_cell_beside_its_time_even_with_code_in_it() -> None:
    step = Step(at=12.0, what="ask `bistablectl doctor` of it")
    result = replace(sample(), cases=(replace(sample().cases[0], steps=(step,)),))
    cells = '<li><span class="at">12 s</span><span>ask <code>bistablectl doctor</code> of it</span></li>'
    assert cells in report_page(report(result))


def test_every_case_has_a_row_and_its_details() -> None:
    page = Page(report_page(report(sample())))
    assert [row["id"] for row in page.named("article")] == ["first-boot", "canary", "power-cuts"]
    links = [link["href"] for link in page.named("a")]
    assert [link for link in links if link != "https://example.com/acorn"] == ["#first-boot", "#canary", "#power-cuts"]
    assert "Skipped: there is no power." in page.words


def test_the_table_says_which_cells_are_heads() -> None:
    heads = Page(report_page(report(sample()))).named("th")
    assert [head["scope"] for head in heads] == ["col"] * 5 + ["row"] * 3


def test_the_first_sentence_says_how_it_went() -> None:
    assert "1 of 2 cases failed." in report_page(report(sample()))
    good = replace(sample(), cases=(sample().cases[0], sample().cases[2]))
    assert "1 case passed, none failed; 1 skipped." in report_page(report(good))
    blocked = replace(sample(), cases=(*sample().cases, case("many-updates", Verdict.BLOCKED, 119.0, 0.1)))
    assert "1 of 2 cases failed, and 1 could not run." in report_page(report(blocked))
    broken_off = replace(sample(), stopped_by=RequestError("cannot write the disk"))
    assert "The suite did not go on: cannot write the disk" in report_page(report(broken_off))


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_report(report(sample()), tmp_path / name)
    for file in (HTML_NAME, JSON_NAME):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_report_that_cannot_be_written_is_an_error_that_names_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match=r"cannot write the report to .*/file"):
        write_report(report(sample()), tmp_path / "file")


# --- the timeline


def test_a_run_fills_the_width_of_the_picture() -> None:
    found = timeline(sample())
    first, second, last = found.bands
    assert first.x == LEFT
    assert second.x == pytest.approx(LEFT + first.width, abs=0.2)
    assert last.width == 0
    assert second.x + second.width <= WIDTH - RIGHT
    assert first.width == pytest.approx((WIDTH - LEFT - RIGHT) / 2, abs=0.2)


def test_every_phase_lies_in_its_lane() -> None:
    found = timeline(sample())
    power, slot = found.bars
    lanes = dict(found.lanes)
    assert list(lanes) == list(LANES)
    assert lanes[Lane.POWER] < power.y < lanes[Lane.LOADER]
    assert lanes[Lane.SLOT_A] < slot.y < lanes[Lane.SLOT_B]


def test_power_cuts_and_panics_are_marked() -> None:
    assert [(mark.kind, mark.words) for mark in timeline(sample()).marks] == [
        ("cut", "power cut, at 1:00"),
        ("panic", "Kernel panic - not syncing: VFS, at 1:30"),
    ]


def test_the_picture_says_in_words_what_it_shows() -> None:
    words = timeline(sample()).words
    assert words == "Timeline of 2:00: 3 cases, 1 boot, 1 power cut, 0 resets, 1 kernel panic."
    assert any(svg.get("aria-label") == words for svg in Page(report_page(report(sample()))).named("svg"))


@pytest.mark.parametrize("seconds", [0.0, 3.0, 61.0, 4000.0, 90000.0])
def test_the_axis_has_a_few_times_whatever_it_took(seconds: float) -> None:
    ticks = timeline(replace(sample(), seconds=seconds, cases=(), events=(), phases=())).ticks
    assert 1 <= len(ticks) <= 15
    assert all(LEFT <= tick.x <= WIDTH - RIGHT for tick in ticks)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (9.96, "10.0 s"), (59.6, "60 s"), (99.9, "100 s"), (100.0, "1:40"), (3723.0, "1:02:03")],
)
def test_times_are_for_people(seconds: float, words: str) -> None:
    assert duration(seconds) == words
