"""Every combination of release, machine and feature is one that kas takes, and the layer, too."""

import re
import shutil
from collections.abc import Sequence
from typing import Any

import pytest
from layer_build import Bench, bench
from layer_files import LAYER, SERIES
from layer_kas import CORE, dumps_of, need_kas

__all__ = ["bench"]

KAS = LAYER / "kas"
MACHINES = sorted(path.stem for path in (KAS / "machine").glob("*.yml"))
FEATURES = sorted(path.stem for path in (KAS / "feature").glob("*.yml"))
TOGETHER = [feature for feature in FEATURES if feature != "example-keys"]
"""A release and the keys that everybody has exclude each other."""

IMPOSSIBLE = {("qemuarm", "systemd-boot")}
"""There is no firmware with EFI for this machine."""

HERE = "meta-ota/kas"


def possible(machine: str, features: Sequence[str]) -> tuple[str, ...]:
    """Return those that the machine can have."""
    return tuple(feature for feature in features if (machine, feature) not in IMPOSSIBLE)


def combination(series: str, machine: str, *features: str) -> str:
    """Return what is given to kas."""
    files = [f"{HERE}/machine/{machine}.yml", f"{HERE}/include/{series}.yml"]
    return ":".join([*files, *(f"{HERE}/feature/{feature}.yml" for feature in features)])


CASES = {
    (series, machine, features): combination(series, machine, *features)
    for series in SERIES
    for machine in MACHINES
    for features in [
        (),
        *((feature,) for feature in possible(machine, FEATURES)),
        ("example-keys", "release"),
        possible(machine, TOGETHER),
    ]
}


@pytest.fixture(scope="module")
def dumps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Give what kas makes of each combination."""
    need_kas()
    repository = tmp_path_factory.mktemp("kas") / "repository"
    shutil.copytree(KAS, repository / HERE)
    return dumps_of(repository, CASES.values())


def lines(dump: dict[str, Any]) -> str:
    """Return what a configuration puts into local.conf."""
    return "\n".join(dump["local_conf_header"].values()) + "\n"


def test_there_is_a_file_for_each_release_and_for_the_machines_of_the_defaults() -> None:
    assert {path.stem for path in (KAS / "include").glob("*.yml")} >= {"base", *SERIES}
    assert {"qemux86-64", "qemuarm64", "qemuarm"} <= set(MACHINES)


@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("machine", MACHINES)
def test_repositories_have_fixed_commits_and_the_layer_is_in(dumps: dict[str, Any], series: str, machine: str) -> None:
    dump = dumps[combination(series, machine)]
    assert dump["machine"] == machine
    assert dump["repos"].keys() == {"bistable", *CORE}
    assert dump["repos"]["bistable"]["layers"].keys() == {"meta-ota"}
    for name in CORE:
        assert re.fullmatch("[0-9a-f]{40}", dump["overrides"]["repos"][name]["commit"])


def test_the_releases_have_commits_of_their_own(dumps: dict[str, Any]) -> None:
    commits = [
        {name: dumps[combination(series, MACHINES[0])]["overrides"]["repos"][name]["commit"] for name in CORE}
        for series in SERIES
    ]
    assert all(commits[0][name] != commits[1][name] for name in CORE)


@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("machine", MACHINES)
def test_no_feature_takes_away_what_another_file_says(dumps: dict[str, Any], series: str, machine: str) -> None:
    together = set(lines(dumps[combination(series, machine, *possible(machine, TOGETHER))]).splitlines())
    for features in [(), *((feature,) for feature in possible(machine, TOGETHER))]:
        assert set(lines(dumps[combination(series, machine, *features)]).splitlines()) <= together


def test_a_release_takes_away_the_keys_that_everybody_has(dumps: dict[str, Any]) -> None:
    assert "EXAMPLE_KEYS" in lines(dumps[combination(SERIES[0], MACHINES[0], "example-keys")])
    both = lines(dumps[combination(SERIES[0], MACHINES[0], "example-keys", "release")])
    assert "EXAMPLE_KEYS" not in both
    assert 'BISTABLE_RELEASE = "1"' in both


@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("machine", MACHINES)
def test_the_layer_takes_it(bench: Bench, dumps: dict[str, Any], series: str, machine: str) -> None:
    for case, name in CASES.items():
        if case[:2] != (series, machine):
            continue
        text = lines(dumps[name])
        build = bench.build(text + 'BBFILE_COLLECTIONS += "meta-python"\n', machine=machine, series=series, switch="")
        assert "bistable" in build.configuration.words("DISTRO_FEATURES")
        assert build.log.text == "", case
        # A name that the layer does not have would do nothing.
        for variable in re.findall(r"\b(BISTABLE_\w+)", text):
            assert build.configuration.data.getVarFlag(variable, "doc"), variable
