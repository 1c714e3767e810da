"""The shell of tasks is what the shell takes it for; that of scripts is looked at by `make lint`."""

import io
import shutil
import subprocess

import pytest
from layer_artifacts import OWN_KEYS
from layer_build import IMAGE, SLOTS, Bench, Recipe, bench
from layer_files import LAYER

__all__ = ["bench"]

PROGRAM = "recipes-ota/bistable/bistable_0.1.0.bb"
CONF = "recipes-ota/bistable-conf/bistable-conf_1.0.bb"
DATA = "recipes-ota/bistable-data/bistable-data_1.0.bb"
UBOOT = "tests/stub/recipes/boot/u-boot_2026.01.bb"
MODULE = 'inherit bistable_artifact\nBISTABLE_MODULE = "single-file"\n'
FUNCTIONS = [
    (PROGRAM, "do_install"),
    (SLOTS, "do_compile"),
    (SLOTS, "do_install"),
    (SLOTS, "do_deploy"),
    (CONF, "do_install"),
    (DATA, "do_install"),
    (UBOOT, "do_configure"),
    (IMAGE, "bistable_rootfs"),
    (IMAGE, "bistable_take_data"),
    (IMAGE, "do_image_mender"),
    (IMAGE, "do_image_bootstrap_artifact"),
    ("", "do_artifact"),
    ("", "do_deploy"),
]
NOISE = {
    "SC1083": "braces are for wic, which expands variables of its own",
    "SC1087": "sh has no arrays",
    "SC2043": "a loop over the words of a variable may have one",
    "SC2046": "as SC2086",
    "SC2050": "conditions are constant once variables have their values",
    "SC2086": "words of variables are meant to be split, and directories of builds have no spaces",
    "SC2157": "as SC2050",
    "SC2194": "as SC2050",
    "SC2231": "as SC2086",
}


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")


def complaints(text: str) -> str:
    """Return what shellcheck says of a script."""
    command = ["shellcheck", "--shell=sh", "--format=gcc", f"--exclude={','.join(NOISE)}", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


def written(recipe: Recipe, function: str) -> str:
    """Return a function as bitbake writes it for the shell, with all that it calls."""
    import bb.data

    script = io.StringIO()
    bb.data.emit_func(function, script, recipe.data)
    return script.getvalue()


@pytest.mark.parametrize(("path", "function"), FUNCTIONS)
def test_a_task_is_sound(bench: Bench, path: str, function: str) -> None:
    settings = OWN_KEYS + 'BBFILE_COLLECTIONS += "meta-python"\nIMAGE_FSTYPES += "bootstrap-artifact"\n'
    build = bench.build(settings, machine="acorn")
    appends = [LAYER / "recipes-bsp/u-boot/u-boot_%.bbappend"] if path == UBOOT else []
    recipe = build.recipe(path, *appends) if path else build.written(MODULE)
    text = f"#!/bin/sh\n{written(recipe, function)}\n{function}\n"
    assert f"{function}() {{" in text
    assert complaints(text) == ""
