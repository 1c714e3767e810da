"""Every artifact of the corpus comes out as FORMAT.md says."""

import csv
from pathlib import Path

import pytest

from bistable.artifact import Artifact, BistableError, Policy, PolicyError, RejectedError, read_artifact, read_verifiers

VECTORS = Path(__file__).parent / "vectors"
CORPUS = VECTORS / "corpus"


def rows() -> list[dict[str, str]]:
    with (CORPUS / "MANIFEST.tsv").open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


def read(row: dict[str, str], *, allow_augment: bool = True) -> Artifact:
    verifiers = read_verifiers(VECTORS / "keys" / row["key"]) if row["key"] != "-" else ()
    with (CORPUS / row["file"]).open("rb") as file:
        return read_artifact(file, Policy(verifiers=verifiers, allow_augment=allow_augment))


def having(*expected: str) -> list[object]:
    return [pytest.param(row, id=Path(row["file"]).stem) for row in rows() if row["expect"] in expected]


@pytest.mark.parametrize("row", having("accept"))
def test_a_sound_artifact_is_accepted(row: dict[str, str]) -> None:
    artifact = read(row)
    assert artifact.head.header.info.artifact_name
    assert {file.name: file.digest for file in artifact.files} == artifact.head.payload_digests()


@pytest.mark.parametrize("row", having("tolerate"))
def test_an_odd_artifact_is_accepted_with_a_warning(row: dict[str, str]) -> None:
    assert read(row).findings


@pytest.mark.parametrize("row", having("reject"))
def test_a_faulty_artifact_is_refused(row: dict[str, str]) -> None:
    with pytest.raises(BistableError) as caught:
        read(row)
    error = caught.value
    assert error.exit_code in {3, 4, 5, 6}
    assert error.what.startswith("cannot ")
    assert isinstance(error, RejectedError) is (error.exit_code in {3, 4, 5})


@pytest.mark.parametrize("row", having("policy"))
def test_what_policy_decides_is_refused_by_default_and_taken_when_allowed(row: dict[str, str]) -> None:
    with pytest.raises(PolicyError):
        read(row, allow_augment=False)
    assert read(row, allow_augment=True).findings
