"""The page about update control maps says what the client does."""

import json
import re
from pathlib import Path

from bistable.client.maps import parse_map
from bistable.client.maps.model import Action
from bistable.client.maps.parse import Field, StateField
from bistable.client.maps.reference import ACTIONS, MEANINGS, reference

PAGE = Path(__file__).parents[2] / "docs/reference/control-maps.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == reference()


def test_every_field_and_action_is_on_the_page() -> None:
    assert set(MEANINGS) == {*Field, *StateField}
    assert set(ACTIONS) == set(Action)


def test_the_example_on_the_page_is_a_valid_map() -> None:
    (example,) = re.findall("```json\n(.*?)```", reference(), re.DOTALL)
    assert len(parse_map(json.dumps(json.loads(example))).states) == 3
