"""What people read about settings is what is declared, and every declaration is sound."""

import re
import tomllib
from pathlib import Path

import pytest

from bistable.client.config.declare import Setting
from bistable.client.config.kinds import Secret, shown
from bistable.client.config.reference import mender_table, reference, sample
from bistable.client.config.settings import SETTINGS, Settings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_the_reference_is_up_to_date() -> None:
    assert (DOCS / "reference/configuration.md").read_text() == reference()


def test_the_table_in_the_guide_is_up_to_date() -> None:
    guide = (DOCS / "how-to/move-from-the-mender-client.md").read_text()
    assert "\n".join(mender_table()) in guide


def test_the_sample_file_is_up_to_date_and_has_every_setting() -> None:
    text = (ROOT / "client/dist/conf.d/all-settings.toml.sample").read_text()
    assert text == sample()
    assert tomllib.loads(text) == {}
    given = [line for line in text.splitlines() if re.match(r"#(\[|[a-z-]+ = .)", line)]
    tables = tomllib.loads("\n".join(line[1:] for line in given))
    assert {f"{table}.{key}" for table, content in tables.items() for key in content} == {
        setting.name for setting in SETTINGS if setting.default is not None
    }


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_default_is_a_value_that_could_be_written(setting: Setting) -> None:
    group, attribute = setting.attributes
    assert getattr(getattr(Settings(), group), attribute) == setting.default
    if setting.default is not None:
        (value,) = tomllib.loads(f"x = {shown(setting.default)}").values()
        assert setting.kind.read(value) == setting.default


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_says_what_it_means(setting: Setting) -> None:
    assert setting.meaning[:1].isupper()
    assert setting.meaning.endswith(".")


def test_settings_are_values() -> None:
    assert hash(Settings()) == hash(Settings())
    assert Secret("x") == Secret("x")
