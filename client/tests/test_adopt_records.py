"""The records of an update in progress: how far it came, and what nobody can know."""

import json
from typing import Any

import pytest
from client_legacy import ARTIFACT, INFO, standalone, state

from bistable.client.adopt.records import MANAGED_STAGES, STANDALONE_STAGES, InFlight, Stage, read_in_flight
from bistable.client.adopt.report import DUTIES
from bistable.client.errors import StoreError
from bistable.client.model import Mode, RebootNeed


def read(**values: bytes) -> InFlight | None:
    return read_in_flight({key.replace("_", "-"): value for key, value in values.items()})


def found(**values: bytes) -> InFlight:
    update = read(**values)
    assert update is not None
    return update


def test_without_a_record_there_is_no_update() -> None:
    assert read(artifact_name=b"x") is None
    assert read(state=b"", standalone_state=b"") is None


def test_what_the_daemon_installed_is_known_in_full() -> None:
    update = found(state=state())
    assert (update.mode, update.stage, update.deployment_id) == (Mode.MANAGED, Stage.INSTALLED, "deployment-1")
    assert (update.reboot_need, update.supports_rollback) == (RebootNeed.AUTOMATIC, True)
    assert update.offer is not None
    assert (update.offer.name, update.offer.payload_type, update.offer.group) == ("release-2", "rootfs-image", "stable")
    assert update.offer.clears == ("rootfs-image.*",)
    assert dict(update.offer.provides) == {
        "artifact_name": "release-2",
        "artifact_group": "stable",
        "rootfs-image.version": "release-2",
    }


def test_what_was_installed_at_the_command_line_is_known() -> None:
    update = found(standalone_state=standalone())
    assert (update.mode, update.stage, update.deployment_id) == (Mode.STANDALONE, Stage.INSTALLED, None)
    assert update.offer is not None
    assert (update.offer.name, update.offer.payload_type, update.offer.group) == ("release-2", "single-file", None)
    assert dict(update.offer.provides) == {"artifact_name": "release-2", "a": "b"}


@pytest.mark.parametrize(("name", "stage"), MANAGED_STAGES.items())
def test_every_state_of_the_daemon_is_known(name: str, stage: Stage) -> None:
    assert found(state=state(name)).stage is stage


@pytest.mark.parametrize(("name", "stage"), STANDALONE_STAGES.items())
def test_every_state_of_the_command_line_is_known(name: str, stage: Stage) -> None:
    update = found(standalone_state=standalone(InState=name, Failed=True, RolledBack=True))
    assert (update.stage, update.failed, update.rolled_back) == (stage, True, True)


def test_for_every_stage_it_is_said_what_is_to_be_done() -> None:
    assert set(DUTIES) == set(Stage)
    assert set(MANAGED_STAGES.values()) == set(Stage)


def test_the_first_version_of_the_command_lines_record_means_installed() -> None:
    record = standalone(Version=1, InState=None, Failed=None, RolledBack=None)
    assert found(standalone_state=record).stage is Stage.INSTALLED


def test_without_clears_everything_is_cleared_and_with_an_empty_list_nothing() -> None:
    without, empty = found(standalone_state=standalone()), found(standalone_state=standalone(ArtifactClearsProvides=[]))
    assert without.offer is not None
    assert without.offer.clears is None
    assert empty.offer is not None
    assert empty.offer.clears == ()


def test_an_update_whose_artifact_was_not_opened_yet_has_no_offer() -> None:
    nothing = {**ARTIFACT, "artifact_name": "", "PayloadTypes": None, "artifact_provides": None}
    update = found(state=state("update-fetch", Artifact=nothing, RebootRequested=None, SupportsRollback=""))
    assert (update.stage, update.offer, update.reboot_need) == (Stage.NOTHING, None, None)


# --- older and newer clients


def test_clients_before_2_0_could_install_root_file_systems_only() -> None:
    old = {"URI": "https://x", "Expire": ""}
    artifact = {"Source": old, "device_types_compatible": ["board"], "artifact_name": "release-2"}
    record = json.dumps({"Version": 1, "Name": "reboot", "UpdateInfo": {"Artifact": artifact, "ID": "7"}})
    update = found(state=record.encode())
    assert update.offer is not None
    assert (update.offer.payload_type, update.reboot_need, update.supports_rollback) == (
        "rootfs-image",
        RebootNeed.AUTOMATIC,
        True,
    )


def test_the_migrated_form_of_an_old_record_counts_if_it_is_of_the_same_update() -> None:
    old = state("reboot", version=1)
    assert found(state=old, state_uncommitted=state("update-commit")).state == "update-commit"
    assert found(state=old, state_uncommitted=state("update-commit", ID="another")).state == "reboot"


def test_a_newer_clients_record_counts_as_that_client_left_it_for_older_ones() -> None:
    assert found(state=state("reboot", version=3), state_uncommitted=state("after-reboot")).state == "after-reboot"
    with pytest.raises(StoreError, match="'state' cannot be used: its version is 3"):
        read(state=state(version=3))


# --- what makes no sense


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"state": b"{"}, "not valid JSON"),
        ({"state": b"[]"}, "a JSON object is required"),
        ({"state": state("dancing")}, "Name is 'dancing', which is not known"),
        ({"state": b'{"Version": 2, "Name": 7}'}, "Name is of the wrong kind"),
        ({"state": b'{"Version": true}'}, "Version is of the wrong kind"),
        ({"state": b'{"Version": 2, "Name": "reboot", "UpdateInfo": []}'}, "UpdateInfo is of the wrong kind"),
        ({"state": state(RebootRequested=["perhaps"])}, "RebootRequested is 'perhaps'"),
        ({"state": state(SupportsRollback="perhaps")}, "SupportsRollback is 'perhaps'"),
        ({"state": state(Artifact={**ARTIFACT, "PayloadTypes": ["a", "b"]})}, "2 payloads"),
        ({"state": state(Artifact={**ARTIFACT, "artifact_provides": {"a": 1}})}, "of the wrong kind"),
        ({"standalone_state": standalone(Version=3)}, "its version is 3"),
        ({"standalone_state": standalone(InState="Nowhere")}, "InState is 'Nowhere'"),
        ({"standalone_state": standalone(ArtifactName="")}, "it names no artifact"),
        ({"standalone_state": standalone(Failed="yes")}, "Failed is of the wrong kind"),
        ({"standalone_state": standalone(), "state": state()}, "two updates at once"),
    ],
)
def test_an_update_that_cannot_be_understood_is_not_taken_over(values: dict[str, bytes], why: str) -> None:
    with pytest.raises(StoreError, match=why) as caught:
        read(**values)
    assert str(caught.value).startswith("cannot take over: ")
    assert "with the client that began it" in str(caught.value.hint)


def test_a_record_of_the_daemon_that_means_nothing_is_no_second_update() -> None:
    assert found(state=state("update-fetch"), standalone_state=standalone()).mode is Mode.STANDALONE


def test_what_a_later_client_adds_to_a_record_does_no_harm() -> None:
    more: dict[str, Any] = {**INFO, "AllRollbacksSuccessful": True, "Later": {}}
    assert found(state=state(**more)).stage is Stage.INSTALLED
