"""A short, repeatable run of the fuzzer; the long one is `make fuzz`. docs/explanation/fuzzing.md."""

import random
from pathlib import Path

import pytest
from fuzz.anatomy import dissect
from fuzz.fuzz_reader import Campaign, run_alone
from fuzz.mutate import mutate
from fuzz.oracle import judge
from fuzz.seeds import FOUND, hand_made

INPUTS = 1500


@pytest.mark.parametrize("seed", range(4))
def test_no_input_breaks_a_promise_of_the_reader(seed: int, tmp_path: Path) -> None:
    campaign = Campaign(tmp_path / "crashes", seed, peer=False)
    run_alone(campaign, seed, lambda: campaign.tried >= INPUTS)
    assert [path.name for path in tmp_path.glob("crashes/*")] == []
    # The fuzzer gets past the outer sums: it is no use if it does not.
    rules = {word.split("|")[0] for word in campaign.words}
    assert {"json.syntax", "header.order", "payload.unlisted", "compression.corrupt", "tar.extension"} <= rules
    assert campaign.accepted > INPUTS // 50


@pytest.mark.parametrize("path", [pytest.param(path, id=path.name) for path in sorted(FOUND.glob("*.mender"))])
def test_what_was_found_once_stays_mended(path: Path) -> None:
    judge(path.read_bytes())


def test_what_is_taken_apart_and_put_together_again_is_the_same() -> None:
    for data in hand_made():
        anatomy = dissect(data)
        assert anatomy is not None
        before, after = judge(data)[1], judge(anatomy.render())[1]
        if before is not None:
            assert after is not None
            assert (after.head.header, after.files) == (before.head.header, before.files)


def test_a_seed_gives_the_same_input_every_time() -> None:
    data = hand_made()[0]
    assert mutate(data, random.Random(7)) == mutate(data, random.Random(7))
