"""Which scripts belong to which state."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bistable.client.errors import ScriptError
from bistable.client.scripts import names


@pytest.mark.parametrize(
    "name", ["ArtifactInstall_Enter_00", "ArtifactInstall_Enter_99_x", "ArtifactInstall_Enter_05_a-b.c"]
)
def test_a_script_belongs_to_its_state_and_action(name: str) -> None:
    assert names.scripts_of([name], "ArtifactInstall", "Enter") == [name]


@pytest.mark.parametrize(
    "name",
    [
        "ArtifactInstall_Leave_00",
        "ArtifactInstall_Leave_00_Enter",
        "ArtifactCommit_Enter_00_ArtifactInstall_Enter",
        "MyArtifactInstall_Enter_00",
        "ArtifactInstall_Enter_0",
        "ArtifactInstall_Enter_000",
        "ArtifactInstall_Enter_00_",
        "ArtifactInstall_Enter_00_a b",
        "ArtifactInstall_Enter_00.sh",
        "ArtifactInstall_Enter_00\n",
        "ArtifactInstall_Enter_\u0660\u0660",
    ],
)
def test_a_name_that_only_looks_similar_belongs_to_nothing(name: str) -> None:
    assert names.scripts_of([name], "ArtifactInstall", "Enter") == []


@pytest.mark.parametrize(
    ("state", "other"), [("ArtifactRollback", "ArtifactRollbackReboot"), ("ArtifactReboot", "ArtifactRollbackReboot")]
)
def test_states_with_similar_names_do_not_share_scripts(state: str, other: str) -> None:
    both = [f"{state}_Enter_00", f"{other}_Enter_00"]
    assert names.scripts_of(both, state, "Enter") == both[:1]
    assert names.scripts_of(both, other, "Enter") == both[1:]


def test_order_is_that_of_bytes() -> None:
    unsorted = ["Idle_Enter_10", "Idle_Enter_02_b", "Idle_Enter_02", "Idle_Enter_02_B", "Idle_Enter_02_\u00e4"]
    assert names.scripts_of(unsorted, "Idle", "Enter") == [
        "Idle_Enter_02",
        "Idle_Enter_02_B",
        "Idle_Enter_02_b",
        "Idle_Enter_02_\u00e4",
        "Idle_Enter_10",
    ]


def test_a_misspelt_name_is_noticed() -> None:
    assert names.almost(["Sync_Enter_1", "Sync_Enter_01", "Sync_Leave_1", "version"], "Sync", "Enter") == [
        "Sync_Enter_1"
    ]


@pytest.mark.parametrize(
    "name", ["../ArtifactInstall_Enter_00", "ArtifactInstall_Enter_00_/../x", "Download_Enter_00", "version", ""]
)
def test_an_artifact_cannot_bring_anything_but_its_own_scripts(name: str) -> None:
    assert not names.is_artifact_script(name)


@given(st.text())
def test_what_an_artifact_may_bring_is_one_part_of_a_path(text: str) -> None:
    for name in (text, f"ArtifactInstall_Enter_00{text}", f"ArtifactInstall_Enter_00_{text}"):
        if names.is_artifact_script(name):
            assert "/" not in name
            assert "\0" not in name


@pytest.mark.parametrize(("raw", "number"), [(b"3", 3), (b" 2\n", 2), (b"+3", 3), (b"03", 3), (b"-1", -1)])
def test_a_version_is_a_number(raw: bytes, number: int) -> None:
    assert names.parse_version(raw) == number


@pytest.mark.parametrize("raw", [b"", b"x", b"3.0", b"0_3", b"3 3", "٣".encode(), b"\xff"])
def test_a_version_that_is_not_a_number_is_refused(raw: bytes) -> None:
    with pytest.raises(ScriptError, match="not a number"):
        names.parse_version(raw)
