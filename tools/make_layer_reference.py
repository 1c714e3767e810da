#!/usr/bin/env python3
"""Write the table of the Yocto layer's variables into meta-ota/README.md, and the list of them for oelint-adv.

Both come from where the variables are: the classes and recipes, and the forms that values are checked by.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LAYER: Final = Path(__file__).parents[1] / "meta-ota"
README: Final = LAYER / "README.md"
CONSTANTS: Final = LAYER / "tests" / "oelint" / "constants.json"

SWITCH: Final = LAYER / "classes-global" / "bistable.bbclass"
PLACES: Final = (
    (LAYER / "classes-recipe" / "bistable_artifact.bbclass", "In recipes with `inherit bistable_artifact`"),
    (LAYER / "recipes-ota" / "bistable" / "bistable_0.1.0.bb", "In the recipe `bistable`"),
)
BEGIN: Final = "<!-- Variables: written by tools/make_layer_reference.py -->"
END: Final = "<!-- End of the variables -->"

FOREIGN: Final = (
    "BB_SIGNATURE_LOCAL_DIRS_EXCLUDE",
    "GRUB_BUILDIN",
    "IMAGE_ROOTFS_MAXSIZE",
    "IMAGE_TYPEDEP",
    "LAYERDIR_META_OTA",
    "PREFERRED_RPROVIDER_virtual-bistable-conf",
    "PSEUDO_INCLUDE_PATHS",
    "SSTATE_SKIP_CREATION",
    "UNPACKDIR",
    "do_image_bootstrap_artifact",
    "do_image_mender",
    "do_image_wic",
)
"""Names that oelint-adv does not know in one release or in both."""

PUBLIC: Final = re.compile(r'^(BISTABLE_[A-Z0-9_]+)\[doc\] = "(.*)"$', re.MULTILINE)
DEFAULT: Final = re.compile(r'^(BISTABLE_[A-Z0-9_]+) \??= "(.*)"$', re.MULTILINE)
GROUP: Final = re.compile(r"^# --- (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A variable that users of the layer set: its name, its default as it is written, and what it means."""

    name: str
    default: str
    meaning: str
    group: str


def variables(path: Path, group: str = "") -> list[Variable]:
    """Return the documented variables of a file, in groups by its headings unless one is given."""
    text = path.read_text()
    defaults = dict(DEFAULT.findall(text))
    headings = [(match.start(), match[1]) for match in GROUP.finditer(text)]
    return [
        Variable(
            name=match[1],
            default=defaults[match[1]],
            meaning=match[2],
            group=group or [title for start, title in headings if start < match.start()][-1],
        )
        for match in PUBLIC.finditer(text)
    ]


def every_variable() -> list[Variable]:
    """Return all documented variables of the layer."""
    return [*variables(SWITCH), *(each for path, group in PLACES for each in variables(path, group))]


def examples() -> dict[str, str]:
    """Return variable -> a value that it can have."""
    sys.path.insert(0, str(LAYER / "lib"))
    from metaota.checks import FORMS

    return {f"BISTABLE_{name}": form.example for name, form in FORMS.items()}


def table() -> Iterator[str]:
    """Yield the lines of the table."""
    written, group = examples(), ""
    for variable in every_variable():
        if variable.group != group:
            group = variable.group
            yield from (
                "",
                f"### {group[0].upper()}{group[1:]}",
                "",
                "| Variable | Default | Example | Meaning |",
                "|---|---|---|---|",
            )
        default = "" if "${@" in variable.default or not variable.default else f"`{variable.default}`"
        example = f"`{written[variable.name]}`" if variable.name in written else ""
        yield f"| `{variable.name}` | {default} | {example} | {variable.meaning} |"
    yield ""


def readme() -> str:
    """Return README.md with the table as it has to be."""
    before, _, rest = README.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + "\n".join([BEGIN, *table(), END]) + after


def constants() -> str:
    """Return the variables that oelint-adv has to know, so that it finds those that are misspelt."""
    ours = {
        name
        for path in LAYER.rglob("*.bb*")
        if LAYER / "tests" not in path.parents
        for name in re.findall(r"^(BISTABLE_[A-Z0-9_]+)\b", path.read_text(), re.MULTILINE)
    }
    return json.dumps({"variables": {"known": sorted({*ours, *FOREIGN})}}, indent=2) + "\n"


if __name__ == "__main__":
    README.write_text(readme())
    CONSTANTS.parent.mkdir(exist_ok=True)
    CONSTANTS.write_text(constants())
