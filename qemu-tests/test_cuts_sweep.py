"""A sweep says what it found, boots what is worth it, and fails when something is wrong."""

from dataclasses import replace
from pathlib import Path

import pytest

from bistable.qemu import sweep
from bistable.qemu.crash import Prefix
from bistable.qemu.survey import Judged, choose
from bistable.qemu.sweep import Swept, as_text, summary

MAKEFILE = Path(__file__).parents[1] / "Makefile"
GOOD = Swept(
    machine="arm64-uboot",
    scenario="commit",
    requests=600,
    flushes=200,
    cuts=800,
    seconds=100.0,
    findings={},
    boots=8,
    recovered=2,
    repeated=1,
    bad_boots={},
)
BAD = replace(
    GOOD,
    scenario="broken",
    findings={"slot: slot b would boot, and holds no whole image": 3},
    bad_boots={"prefix 17": ["slot that runs: b, foretold was a"]},
)


class OneWrite:
    """A film in which the environment is written by the second request."""

    def around_environment(self) -> list[Prefix]:
        return [Prefix(count=1), Prefix(count=1, torn=512), Prefix(count=2)]


def judged(cut: str, path: str = "a") -> Judged:
    return Judged(cut=cut, content="0", path=path, running="a", artifact="x", update=None, findings=())


def test_numbers_of_all_recordings_are_added_up() -> None:
    result = summary([GOOD, BAD])
    assert [result[name] for name in ("cuts", "cuts_with_findings", "boots", "bad_boots")] == [1600, 3, 16, 1]


def test_what_was_found_is_told_with_the_name_of_the_cut() -> None:
    text = as_text(summary([GOOD, BAD]))
    assert "3 x slot: slot b would boot, and holds no whole image" in text
    assert "prefix 17: slot that runs: b, foretold was a" in text


def test_cuts_around_the_environment_are_booted_first_and_then_one_of_each_kind() -> None:
    known = [judged(f"prefix {count}") for count in range(20)] + [judged("prefix 1 torn 512"), judged("flush 1 seed 1")]
    rare = judged("prefix 90", path="bbba")
    chosen = choose(OneWrite(), [*known, rare], 6, seed=1)  # type: ignore[arg-type]
    assert chosen[:3] == ["prefix 1", "prefix 1 torn 512", "prefix 2"]
    assert {"prefix 90", "flush 1 seed 1"} <= set(chosen)
    assert len(set(chosen)) == 6


def test_a_seed_chooses_the_same_cuts_again() -> None:
    known = [judged(f"prefix {count}") for count in range(50)]
    assert choose(OneWrite(), known, 9, seed=4) == choose(OneWrite(), known, 9, seed=4)  # type: ignore[arg-type]
    assert choose(OneWrite(), known, 9, seed=4) != choose(OneWrite(), known, 9, seed=5)  # type: ignore[arg-type]


def test_the_sweep_of_make_needs_no_more_words_than_it_is_given() -> None:
    (recipe,) = [line for line in MAKEFILE.read_text("utf-8").splitlines() if "bistable.qemu.sweep" in line]
    words = recipe.partition("bistable.qemu.sweep")[2].split()
    assert sweep._arguments(words).output == Path("build", "cuts")


@pytest.mark.parametrize("words", [["--output", "x", "--machines", "toaster"], ["--output", "x", "--seed", "a"]])
def test_a_command_line_that_makes_no_sense_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        sweep.main(words)
    assert "usage: python -m bistable.qemu.sweep" in capsys.readouterr().err


def test_what_was_booted_before_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "booted.json"
    assert sweep._known(file) == {}
    file.write_text('{"cut": "prefix 1", "depth": 1}\n{"cut": "prefix 2", "depth": 3}\n')
    assert sweep._known(file)["prefix 2"]["depth"] == 3
