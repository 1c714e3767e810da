"""Bills of materials are attested beside the artifact, by the key that signed it."""

import json
import subprocess

import pytest
from layer_artifacts import OWN_KEYS, PUBLIC, QUICK, filled
from layer_build import TOOLS, Bench, Recipe, RefusedError, bench
from layer_values import values
from metaota import signing

__all__ = ["bench"]

TASK = "do_bistable_attest"
SPDX = {
    "spdxVersion": "SPDX-2.3",
    "SPDXID": "SPDXRef-DOCUMENT",
    "name": "image",
    "dataLicense": "CC0-1.0",
    "documentNamespace": "https://bistable.example/image",
    "creationInfo": {"created": "2026-01-01T00:00:00Z", "creators": ["Tool: test"]},
    "packages": [],
}


@pytest.mark.parametrize(
    ("said", "made", "files"),
    [
        ("auto", "", ""),
        ("auto", "/spdx", "/spdx/image-7.spdx.json"),
        ("none", "/spdx", ""),
        ("/a.json /b.json", "/spdx", "/a.json /b.json"),
    ],
)
def test_the_build_s_own_is_taken_unless_others_are_named(said: str, made: str, files: str) -> None:
    get = values(SBOM=said, SBOM_MADE=made)
    assert signing.sboms(lambda name: "image-7" if name == "IMAGE_NAME" else get(name)) == files


def image(bench: Bench, settings: str = "") -> Recipe:
    """Return an image whose artifact is deployed, in a build that names a bill of materials."""
    (bench.top / "image.spdx.json").write_text(json.dumps(SPDX))
    recipe = filled(bench.build(f'{QUICK}{OWN_KEYS}BISTABLE_SBOM = "{bench.top}/image.spdx.json"\n{settings}').image())
    recipe.run("do_image_mender")
    made = recipe.path("IMGDEPLOYDIR") / f"{recipe.value('IMAGE_NAME')}.mender"
    made.rename(recipe.path("DEPLOY_DIR_IMAGE") / made.name)
    return recipe


def tasks(recipe: Recipe) -> list[str]:
    """Return the names of all tasks."""
    return list(recipe.data.getVar("__BBTASKS", False))


def test_what_is_attested_is_verified_with_the_key_of_the_artifact(bench: Bench) -> None:
    recipe = image(bench)
    recipe.run(TASK)
    name = f"{recipe.value('IMAGE_NAME')}.mender"
    made = recipe.path("BISTABLE_ATTESTED") / f"{name}.intoto.jsonl"
    assert made.is_file()
    artifact = recipe.path("DEPLOY_DIR_IMAGE") / name
    wanted = ["--attestation-file", str(made), "--require", "spdx", "--key", str(PUBLIC)]
    command = [str(TOOLS / "bistable"), "artifact", "verify", "--no-progress", *wanted, str(artifact)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_a_bill_that_cannot_be_attested_stops_the_build(bench: Bench) -> None:
    recipe = image(bench)
    (bench.top / "image.spdx.json").write_text("{}")
    with pytest.raises(RefusedError, match="cannot attest the bill of materials") as refused:
        recipe.run(TASK)
    assert 'BISTABLE_SBOM = "none" leaves it out' in str(refused.value)


@pytest.mark.parametrize(
    "settings",
    [
        'BISTABLE_SBOM = "none"\n',
        # No class of this build makes one.
        'BISTABLE_SBOM = "auto"\n',
        # Nobody vouches for what nobody signed.
        'BISTABLE_SIGNING_KEY = "none"\nBISTABLE_SBOM = "/a.json"\n',
        'IMAGE_FSTYPES = "ext4"\nIMAGE_FSTYPES:forcevariable = "ext4 wic"\nBISTABLE_SBOM = "/a.json"\n',
    ],
)
def test_where_there_is_nothing_to_attest_there_is_no_task_for_it(bench: Bench, settings: str) -> None:
    assert TASK not in tasks(bench.build(OWN_KEYS + settings).image())


def test_where_there_is_something_the_task_runs_with_the_build(bench: Bench) -> None:
    recipe = bench.build(OWN_KEYS + 'BISTABLE_SBOM = "/a.json"\n').image()
    assert TASK in tasks(recipe)
    assert TASK in recipe.data.getVarFlag("do_build", "deps")


def test_it_is_found_under_the_name_of_the_link_too(bench: Bench) -> None:
    recipe = image(bench, 'IMAGE_NAME:forcevariable = "${IMAGE_LINK_NAME}-20261126"\n')
    recipe.run(TASK)
    made = recipe.path("BISTABLE_ATTESTED")
    link = made / f"{recipe.value('IMAGE_LINK_NAME')}.mender.intoto.jsonl"
    assert link.readlink().name == f"{recipe.value('IMAGE_NAME')}.mender.intoto.jsonl"
