"""What each target refuses: by a table, and as the real readers did."""

import base64
import csv
import io
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from forge import Augment, Forge, bootstrap, header_info, module, tar, tar_header, tar_member, type_info, version_2

from bistable.artifact.errors import BistableError, RequestError
from bistable.artifact.lint import PROFILES, examine, find_profile, judge, lint_artifact
from bistable.artifact.lint.evidence import Evidence
from bistable.artifact.lint.profiles import GIB
from bistable.artifact.model import Severity

CORPUS: Final = Path(__file__).parent / "vectors" / "corpus"
REAL_READERS: Final = {
    "v39_validate": "mender-artifact-3.9",
    "v44_validate": "mender-artifact-4.4",
    "client6_verdict": "mender-client-4",
}
SIGNATURES_DECIDE: Final = {"m253", "m259", "m261", "m265", "m272"}
"""Refused for a signature that is wrong or missing, which is not a linter's question."""

DEVICES: Final = {"bistable", "mender-client-2", "mender-client-3", "mender-client-4", "mender-mcu"}
GO: Final = {"mender-client-2", "mender-client-3", "hosted-mender", "mender-artifact-3.9", "mender-artifact-4.4"}


def der(size: int) -> bytes:
    """Return something that looks like an ECDSA signature in DER of `size` bytes."""
    return encode_dss_signature((1 << 255) - 1, (1 << (8 * (size - 38) - 1)) - 1)


def signed_with(signature: bytes) -> Forge:
    return Forge(kind="", key="ec256", signature=lambda _: base64.b64encode(signature))


def without_data(forge: Forge) -> bytes:
    return tar(*forge.members()[:-1])


def wide_window() -> bytes:
    """Return a zstd frame of one raw block whose window is 2^28 bytes."""
    content = tar(("rootfs.ext4", b"x"))
    return b"\x28\xb5\x2f\xfd\x00" + bytes([18 << 3]) + (len(content) << 3 | 1).to_bytes(3, "little") + content


def header_with_directory() -> Forge:
    info, *rest = [tar_member(*member) for member in Forge().header_members()]
    return Forge(kind="", header_archive=tar(info, tar_header("scripts", flag=b"5"), *rest))


ARTIFACTS: Final[Mapping[str, Callable[[], bytes]]] = {
    "plain": Forge(kind="", key="ec256").build,
    "gzip": Forge(kind=".gz").build,
    "zstd": Forge(kind=".zst").build,
    "only the payload in zstd": Forge(kind="", data_kind=".zst").build,
    "a zstd window of 2^28": Forge(kind="", data_kind=".zst", data=wide_window(), files=[("rootfs.ext4", b"x")]).build,
    "version 2": version_2(kind="").build,
    "empty payload": bootstrap(kind="").build,
    "augmented": Forge(
        kind="", files=(), info=header_info("base"), type_info=type_info("base"), augment=Augment()
    ).build,
    "augmented in zstd": Forge(
        kind=".zst", files=(), info=header_info("base"), type_info=type_info("base"), augment=Augment()
    ).build,
    "DER of 69 bytes": signed_with(der(69)).build,
    "DER of 70 bytes": signed_with(der(70)).build,
    "a wrapped signature": Forge(kind="", key="ec256", signature=base64.encodebytes).build,
    "a list in depends": Forge(kind="", type_info=type_info(artifact_depends={"a": ["b", "c"]})).build,
    "a file name of 91 bytes": module(("n" * 91, b"x"), kind="").build,
    "a directory in the header": header_with_directory().build,
    "a state script": Forge(kind="", scripts=[("ArtifactInstall_Enter_00", b"#!/bin/sh\n")]).build,
    "an empty type": Forge(kind="", type_info=type_info("")).build,
    "an unknown key in header-info": Forge(kind="", info=header_info(more=1)).build,
    "an unknown key in type-info": Forge(kind="", type_info=type_info(more=1)).build,
    "no line end in the manifest": Forge(kind="", manifest=lambda manifest: manifest[:-1]).build,
    "no data member": lambda: without_data(module(kind="")),
    "a data member of 0 bytes": module(kind="", data=b"").build,
    "no image": Forge(kind="", files=()).build,
    "5 MiB and more": lambda: Forge(kind="", files=[("rootfs.ext4", os.urandom(5 << 20))]).build(),
}

REFUSED: Final[Mapping[str, Mapping[str, set[str]]]] = {
    "gzip": {"lint.compression": {"mender-mcu"}},
    "zstd": {"lint.compression": {"mender-mcu", "mender-client-2", "mender-client-3", "mender-artifact-3.9"}},
    "only the payload in zstd": {
        "lint.compression": {"mender-mcu", "mender-client-2", "mender-client-3", "mender-artifact-3.9"}
    },
    "a zstd window of 2^28": {
        "lint.compression": {"mender-mcu", "mender-client-2", "mender-client-3", "mender-artifact-3.9"},
        "lint.window": {"bistable", "mender-client-4"},
    },
    "version 2": {"lint.version": {"mender-client-4", "mender-mcu"}},
    "empty payload": {"lint.empty-payload": {"mender-client-2", "mender-mcu"}},
    "augmented": {"lint.augment": {"bistable", "mender-client-4", "mender-mcu"}},
    "augmented in zstd": {
        "lint.compression": {"mender-mcu", "mender-client-2", "mender-client-3", "mender-artifact-3.9"},
        "lint.augment": set(PROFILES),
    },
    "DER of 69 bytes": {
        "lint.signature-der": {"mender-client-2", "mender-client-3", "mender-artifact-3.9", "mender-artifact-4.4"},
        "lint.signature": {"mender-mcu"},
    },
    "DER of 70 bytes": {
        "lint.signature-der": {"mender-client-2", "mender-client-3", "mender-artifact-3.9"},
        "lint.signature": {"mender-mcu"},
    },
    "plain": {"lint.signature": {"mender-mcu"}},
    "a wrapped signature": {"signature.wrapped": {"mender-client-4"}, "lint.signature": {"mender-mcu"}},
    "a list in depends": {"lint.depends-list": {"mender-client-4"}},
    "a file name of 91 bytes": {"payload.long-name": {"mender-client-4"}},
    "a directory in the header": {"header.directory": {"mender-client-4"}},
    "a state script": {"lint.scripts": {"mender-mcu"}},
    "an empty type": {"type-info.empty-type": {"mender-artifact-4.4"}},
    "an unknown key in header-info": {"json.unknown-key": GO},
    "no line end in the manifest": {"manifest.unterminated": GO},
    "no data member": {"data.missing": {"mender-client-4"}},
    "a data member of 0 bytes": {"lint.empty-data": {"mender-client-4"}},
    "no image": {"payload.none": DEVICES},
    "5 MiB and more": {"lint.size": {"mender-mcu"}},
}
"""Artifact -> rule -> the targets for which it is an error; whatever is not listed is taken."""


@pytest.mark.parametrize("artifact", ARTIFACTS)
def test_a_target_refuses_what_the_table_says_and_nothing_else(artifact: str) -> None:
    evidence = examine(io.BytesIO(ARTIFACTS[artifact]()))
    found = {name: errors(evidence, name) for name in PROFILES}
    expected = {
        name: {rule for rule, targets in REFUSED.get(artifact, {}).items() if name in targets} for name in PROFILES
    }
    assert found == expected


def rows() -> list[object]:
    with (CORPUS / "MANIFEST.tsv").open() as file:
        listed = list(csv.DictReader(file, delimiter="\t"))
    return [pytest.param(row, id=Path(row["file"]).stem) for row in listed if row["expect"] not in {"reject", "limit"}]


@pytest.mark.parametrize("row", rows())
def test_a_real_reader_and_its_profile_agree(row: dict[str, str]) -> None:
    with (CORPUS / row["file"]).open("rb") as file:
        evidence = examine(file)
    taken = {name: not errors(evidence, name) for name in REAL_READERS.values()}
    assert taken == {name: row[column] == "accept" for column, name in REAL_READERS.items()}


def test_what_the_reader_rejects_is_rejected_and_not_linted() -> None:
    rejected = 0
    with (CORPUS / "MANIFEST.tsv").open() as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if row["expect"] == "reject" and row["file"].split("/")[1][:4] not in SIGNATURES_DECIDE:
                with (CORPUS / row["file"]).open("rb") as artifact, pytest.raises(BistableError):
                    lint_artifact(artifact)
                rejected += 1
    assert rejected > 80


def test_a_payload_that_needs_too_much_memory_is_judged_all_the_same() -> None:
    data = ARTIFACTS["a zstd window of 2^28"]()
    evidence = examine(io.BytesIO(data))
    assert evidence.size == len(data)
    assert evidence.data_needs.window == 1 << 28
    assert "lint.not-read" in {finding.rule for finding in judge(evidence, PROFILES["mender-artifact-4.4"])}


def test_hosted_mender_refuses_more_than_10_gib() -> None:
    evidence = examine(io.BytesIO(ARTIFACTS["plain"]()))
    profile = PROFILES["hosted-mender"]
    assert not errors(replace(evidence, size=10 * GIB), profile.name)
    assert errors(replace(evidence, size=10 * GIB + 1), profile.name) == {"lint.size"}


def test_an_old_client_takes_an_empty_payload_in_one_place_only() -> None:
    evidence = examine(io.BytesIO(ARTIFACTS["empty payload"]()))
    notes = [finding for finding in judge(evidence, PROFILES["mender-client-3"]) if finding.severity is Severity.NOTE]
    assert [finding.rule for finding in notes] == ["lint.empty-payload"]


def test_xz_filters_are_refused_by_mender_artifact_4_and_warned_of_elsewhere() -> None:
    import lzma

    archive = tar(("rootfs.ext4", b"x"))
    filters = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "preset": 6}]
    data = Forge(
        kind="",
        data_kind=".xz",
        files=[("rootfs.ext4", b"x")],
        data=lzma.compress(archive, lzma.FORMAT_XZ, filters=filters),
    ).build()
    evidence = examine(io.BytesIO(data))
    assert errors(evidence, "mender-artifact-4.4") == {"lint.xz-filter"}
    assert not errors(evidence, "mender-client-4")
    for name in ("mender-artifact-4.4", "mender-client-4"):
        assert [finding.rule for finding in judge(evidence, PROFILES[name])].count("lint.xz-filter") == 1


@pytest.mark.parametrize("name", PROFILES)
def test_an_artifact_for_another_device_type_is_refused_by_all(name: str) -> None:
    evidence = examine(io.BytesIO(ARTIFACTS["plain"]()))
    found = judge(evidence, PROFILES[name], device_type="boart")
    assert "lint.device-type" in {finding.rule for finding in found if finding.severity is Severity.ERROR}
    assert "lint.device-type" not in {finding.rule for finding in judge(evidence, PROFILES[name], device_type="board")}


def test_errors_come_first() -> None:
    found = lint_artifact(io.BytesIO(ARTIFACTS["zstd"]()), PROFILES["mender-client-3"])
    severities = [finding.severity for finding in found]
    assert severities == sorted(severities, key=list(Severity).index)
    assert severities[0] is Severity.ERROR
    assert severities[-1] is not Severity.ERROR


@pytest.mark.parametrize("artifact", ARTIFACTS)
def test_every_finding_says_where_and_an_error_says_who_refuses_it(artifact: str) -> None:
    evidence = examine(io.BytesIO(ARTIFACTS[artifact]()))
    for profile in PROFILES.values():
        for finding in judge(evidence, profile):
            assert finding.where is not None
            assert finding.what.isprintable()
            if finding.severity is Severity.ERROR:
                assert profile.title in finding.what


def test_an_unknown_target_is_refused_with_the_names_of_the_known_ones() -> None:
    with pytest.raises(RequestError, match="unknown") as caught:
        find_profile("mender")
    assert caught.value.hint is not None
    assert all(name in caught.value.hint for name in PROFILES)


def errors(evidence: Evidence, name: str) -> set[str]:
    return {finding.rule for finding in judge(evidence, PROFILES[name]) if finding.severity is Severity.ERROR}
