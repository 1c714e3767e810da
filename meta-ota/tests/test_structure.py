"""The form of the layer: what bitbake does not insist on, and reviewers of layers do."""

import hashlib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from layer_build import Bench, bench
from layer_files import CHECKOUT, LAYER, PROJECT, SERIES, assignment, metadata, name
from metaota.checks import FORMS

__all__ = ["bench"]

RECIPES = metadata(".bb")
APACHE = "89aea4e17d99a7cacdbeed46a0096b10"
"""The text that OpenEmbedded keeps as Apache-2.0."""

CHECKED_ELSEWHERE = {
    "BISTABLE_SIGNING_KEY": "its forms are checked where something is signed: nobody needs a key to build a program",
    "BISTABLE_INITRD_DEPLOYED": "a file in DEPLOY_DIR_IMAGE, which wic misses by its name",
    "BISTABLE_DEPENDS_NAMES": "any names; what artifacts cannot express, `bistable artifact write` refuses",
    "BISTABLE_DEPENDS_GROUPS": "any names, likewise",
    "BISTABLE_STATE_SCRIPTS": "paths, which `bistable artifact write` reads",
    "BISTABLE_ARTIFACT_ARGS": "options of `bistable artifact write`, which knows them",
}


def generator() -> ModuleType:
    """Return the script that writes the table of variables."""
    path = CHECKOUT / "tools" / "make_layer_reference.py"
    spec = importlib.util.spec_from_file_location("make_layer_reference", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # A dataclass looks for its module there.
    sys.modules["make_layer_reference"] = module
    spec.loader.exec_module(module)
    return module


# --- recipes


@pytest.mark.parametrize("path", RECIPES, ids=name)
def test_a_recipe_says_what_it_is_and_under_which_license(path: Path) -> None:
    summary = assignment(path, "SUMMARY")
    assert summary
    assert len(summary) <= 80
    assert not summary.endswith(".")
    assert assignment(path, "DESCRIPTION")
    assert assignment(path, "SECTION")
    assert assignment(path, "LICENSE") in {"Apache-2.0", "MIT", "BSD-3-Clause"}


@pytest.mark.parametrize("path", [path for path in RECIPES if "packagegroup" not in path.name], ids=name)
def test_the_text_of_a_license_is_the_one_that_was_read(path: Path) -> None:
    found = re.fullmatch(r"file://(.*);md5=([0-9a-f]{32})", assignment(path, "LIC_FILES_CHKSUM") or "")
    assert found is not None
    if found[1] == "${COMMON_LICENSE_DIR}/Apache-2.0":
        assert found[2] == APACHE
    elif "pypi" not in (path.read_text()):
        assert hashlib.md5((CHECKOUT / found[1]).read_bytes(), usedforsecurity=False).hexdigest() == found[2]


@pytest.mark.parametrize("path", [path for path in RECIPES if "inherit pypi" in path.read_text()], ids=name)
def test_what_is_downloaded_has_a_checksum(path: Path) -> None:
    assert re.search(r'^SRC_URI\[sha256sum\] = "[0-9a-f]{64}"$', path.read_text(), re.MULTILINE)


@pytest.mark.parametrize("path", [*RECIPES, *metadata(".bbappend", ".inc")], ids=name)
def test_files_that_a_recipe_names_are_there(path: Path) -> None:
    own = path.parent
    for word in re.findall(r"file://([^\s;\"\\]+)", re.sub(r"LIC_FILES_CHKSUM.*", "", path.read_text())):
        assert any((folder / word).exists() for folder in (own / "files", own, CHECKOUT)), word


@pytest.mark.parametrize("path", metadata(".bbappend"), ids=name)
def test_recipes_of_others_are_left_alone_without_the_switch(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    assert len(lines) == 1
    found = re.fullmatch(
        r"require \$\{@bb\.utils\.contains\('DISTRO_FEATURES', 'bistable', '(.*)', '', d\)\}", lines[0]
    )
    assert found is not None
    assert found[1] == f"{path.stem.partition('_')[0]}_bistable.inc"
    assert (path.parent / found[1]).is_file()


def test_the_version_of_the_program_is_that_of_the_project() -> None:
    names = [path.name for path in RECIPES if path.parent.name == "bistable"]
    assert names == [f"bistable_{PROJECT['project']['version']}.bb"]


def test_the_program_is_made_of_all_its_sources(bench: Bench) -> None:
    recipe = bench.build().recipe(f"recipes-ota/bistable/bistable_{PROJECT['project']['version']}.bb")
    words = {word.removeprefix("file://").partition(";")[0] for word in recipe.words("SRC_URI")}
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert {*wheel["only-include"], *wheel["shared-data"], "pyproject.toml", PROJECT["project"]["readme"]} <= words
    assert recipe.value("FILESEXTRAPATHS").startswith(f"{CHECKOUT}:")


@pytest.mark.parametrize("path", metadata(), ids=name)
def test_form(path: Path) -> None:
    text = path.read_text()
    assert "\t" not in text
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    for line in text.splitlines():
        assert line == line.rstrip()
        # bitbake of newer releases warns of assignments without spaces.
        assert not re.match(r"[A-Z][\w:${}-]*(\[[\w-]+\])?(\?\?|[?:+.])?=[+.]?[\"']", line)


@pytest.mark.parametrize("path", metadata(".bb", ".inc", ".bbclass"), ids=name)
def test_sources_are_where_newer_releases_unpack_them(path: Path) -> None:
    text = path.read_text()
    assert re.findall(r'^S = "\$\{WORKDIR\}.*', text, re.MULTILINE) == []
    for word in re.findall(r"file://([^\s;\"\\]+)", text):
        assert f"${{WORKDIR}}/{word}" not in text


# --- the layer


@pytest.mark.parametrize("path", [*metadata(".bbclass"), *(LAYER / "lib").rglob("*.py")], ids=name)
def test_names_of_classes_and_modules_can_be_names_in_python(path: Path) -> None:
    assert path.stem.isidentifier()


def test_every_recipe_and_append_is_found_by_bitbake_and_every_pattern_finds_one(bench: Bench) -> None:
    settings = "".join(f'BBFILE_COLLECTIONS += "{layer}"\n' for layer in ("meta-python", "raspberrypi"))
    found = set()
    for series in SERIES:
        configuration = bench.build(settings, series=series).configuration
        patterns = [
            *configuration.words("BBFILES"),
            *(word.partition(":")[2] for word in configuration.words("BBFILES_DYNAMIC")),
        ]
        for pattern in patterns:
            if pattern.startswith(f"{LAYER}/") and not pattern.startswith(f"{LAYER}/tests/"):
                paths = set(LAYER.glob(pattern.removeprefix(f"{LAYER}/")))
                assert paths, pattern
                found |= paths
    assert found == {*RECIPES, *metadata(".bbappend")}


def test_the_kickstart_is_made_and_not_kept_where_wrynose_would_refuse_it() -> None:
    assert not (LAYER / "wic").exists()
    assert list(LAYER.rglob("*.wks*")) == []


def test_people_know_whom_to_ask_and_where_to_send_a_patch() -> None:
    # As yocto-check-layer asks; a README that names another one need not say it again.
    text = (LAYER / "README.md").read_text()
    named = all(word in text.lower() for word in ("maintainer", "patch")) and re.search(r"[^@\s]+@[^@\s]+", text)
    assert named or "README" in text
    assert (LAYER / "SECURITY.md").is_file()


def test_the_example_keys_belong_together() -> None:
    folder = LAYER / "files" / "example-keys"
    made = subprocess.run(
        ["openssl", "pkey", "-in", folder / "private.pem", "-pubout"], capture_output=True, check=True, text=True
    )
    assert made.stdout == (folder / "public.pem").read_text()


@pytest.mark.skipif("OE_SOURCES" not in os.environ, reason="OE_SOURCES names no folder with openembedded-core")
@pytest.mark.parametrize("series", SERIES)
def test_the_license_is_the_one_of_openembedded(series: str) -> None:
    path = Path(os.environ["OE_SOURCES"]) / series / "openembedded-core/meta/files/common-licenses/Apache-2.0"
    assert hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() == APACHE


# --- variables


def test_every_variable_that_has_a_default_has_a_text() -> None:
    for path in metadata(".bbclass"):
        text = path.read_text()
        defaults = re.findall(r"^(BISTABLE_\w+) \?\?*= ", text, re.MULTILINE)
        documented = re.findall(r'^(BISTABLE_\w+)\[doc\] = ".*\."$', text, re.MULTILINE)
        assert defaults == documented


def test_every_variable_of_the_switch_is_checked_or_it_is_said_why_not() -> None:
    names = {variable.name for variable in generator().variables(generator().SWITCH)}
    assert names == {f"BISTABLE_{form}" for form in FORMS} | set(CHECKED_ELSEWHERE)
    assert {f"BISTABLE_{form}" for form in FORMS} & set(CHECKED_ELSEWHERE) == set()


def test_every_variable_that_is_read_is_set_somewhere() -> None:
    both = "\n".join(path.read_text() for path in [*metadata(), *(LAYER / "lib").rglob("*.py")])
    used = set(re.findall(r"\bBISTABLE_[A-Z0-9_]*", both))
    setting = r"^(BISTABLE_[A-Z0-9_]+)(?:\[export\])?(?::\S+)? (?:\?\??|:|\+|\.)?=[+.]? "
    known = set(re.findall(setting, both, re.MULTILINE))
    # These come from the environment and are written nowhere.
    known |= {"BISTABLE_KEY_PASSPHRASE", "BISTABLE_PKCS11_PIN"}
    # The beginning of a name that a message goes on with.
    assert used - known == {"BISTABLE_"}


def test_the_table_in_the_readme_is_what_the_layer_has() -> None:
    module = generator()
    assert module.readme() == (LAYER / "README.md").read_text(), "run `make docs`"
    for variable in module.every_variable():
        assert f"| `{variable.name}` |" in module.readme()


def test_what_the_linter_knows_is_what_the_layer_has() -> None:
    module = generator()
    assert module.constants() == module.CONSTANTS.read_text(), "run `make docs`"
