"""Recipes that pack files into artifacts for update modules."""

import json

import pytest
from layer_artifacts import OWN_KEYS, PUBLIC, QUICK, verified
from layer_build import Bench, Recipe, RefusedError, bench

from bistable.artifact import SignatureState

__all__ = ["bench"]

RECIPE = 'inherit bistable_artifact\nBISTABLE_MODULE = "single-file"\n'


def packed(bench: Bench, text: str, settings: str = OWN_KEYS) -> Recipe:
    """Return a recipe with this text, in a build with these settings."""
    return bench.build(QUICK + settings).written(text)


def test_files_and_what_other_recipes_deploy_are_packed(bench: Bench) -> None:
    own = bench.top / "app.conf"
    own.write_text("colour = green\n")
    meta = bench.top / "meta.json"
    meta.write_text('{"a": 1}')
    text = f'BISTABLE_MODULE_FILES = "{own}"\nBISTABLE_MODULE_DEPLOYED = "app.tar"\n'
    recipe = packed(bench, f'{RECIPE}{text}BISTABLE_MODULE_METADATA = "{meta}"\n')
    recipe.path("DEPLOY_DIR_IMAGE").mkdir(parents=True)
    (recipe.path("DEPLOY_DIR_IMAGE") / "app.tar").write_bytes(b"tar")
    recipe.run_all("do_artifact", "do_deploy")
    artifact = verified(recipe.path("DEPLOYDIR") / "demo-1.2.mender")
    header = artifact.head.header
    assert artifact.head.signature is SignatureState.VERIFIED
    assert [file.name for file in artifact.files] == ["app.conf", "app.tar"]
    assert (header.info.artifact_name, header.info.device_types) == ("demo-1.2", ("qemux86-64",))
    assert header.type_info.payload_type == "single-file"
    assert json.loads(header.meta_data or b"") == {"a": 1}


def test_the_recipe_has_no_packages_and_nothing_to_compile(bench: Bench) -> None:
    recipe = packed(bench, RECIPE)
    assert recipe.value("PACKAGES") == ""
    assert recipe.flag("do_compile", "noexec") == ["1"]
    assert "bistable-native" in recipe.words("DEPENDS")


def test_the_signing_is_that_of_images(bench: Bench) -> None:
    recipe = packed(bench, RECIPE, 'BISTABLE_EXAMPLE_KEYS = "1"\nBISTABLE_RELEASE = "1"\n')
    with pytest.raises(RefusedError, match="is the example key of meta-ota"):
        recipe.run("do_artifact")
    recipe = packed(bench, RECIPE, "")
    with pytest.raises(RefusedError, match="BISTABLE_SIGNING_KEY is not set"):
        recipe.run("do_artifact")


def test_an_artifact_may_have_a_name_of_its_own(bench: Bench) -> None:
    recipe = packed(bench, RECIPE + 'BISTABLE_ARTIFACT_NAME = "app-7"\n')
    recipe.run_all("do_artifact", "do_deploy")
    artifact = verified(recipe.path("DEPLOYDIR") / "app-7.mender", PUBLIC)
    assert artifact.head.header.info.artifact_name == "app-7"


def refusal(bench: Bench, text: str) -> str:
    """Return why a recipe cannot be used."""
    with pytest.raises(RefusedError) as refused:
        packed(bench, text)
    return str(refused.value)


def test_a_recipe_has_to_say_what_installs_the_artifact(bench: Bench) -> None:
    message = refusal(bench, "inherit bistable_artifact\n")
    assert "demo: BISTABLE_MODULE is not set" in message
    assert 'BISTABLE_MODULE = "single-file"' in message


@pytest.mark.parametrize("variable", ["BISTABLE_MODULE_FILES", "BISTABLE_MODULE_DEPLOYED"])
def test_a_name_that_artifacts_have_no_room_for_is_refused(bench: Bench, variable: str) -> None:
    message = refusal(bench, RECIPE + f'{variable} = "/short /some/{"x" * 91}"\n')
    assert f"demo: {variable} makes a file" in message
    assert "its name has 91 characters" in message


def test_a_file_that_is_not_there_stops_the_build(bench: Bench) -> None:
    recipe = packed(bench, RECIPE + 'BISTABLE_MODULE_DEPLOYED = "app.tar"\n')
    with pytest.raises(RefusedError, match="cannot write the artifact") as refused:
        recipe.run("do_artifact")
    assert f"{recipe.value('DEPLOY_DIR_IMAGE')}/app.tar" in str(refused.value)


def test_a_build_without_the_switch_does_not_have_it(bench: Bench) -> None:
    with pytest.raises(RefusedError, match="required distro feature"):
        bench.build(switch="").written(RECIPE)
