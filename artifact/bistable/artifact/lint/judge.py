"""One artifact, one target: what it refuses, and what to beware of."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from bistable.artifact.errors import Where
from bistable.artifact.lint.evidence import Evidence
from bistable.artifact.lint.profiles import Profile
from bistable.artifact.lint.targets import CHECKS
from bistable.artifact.lint.traps import TRAPS
from bistable.artifact.model import Finding, Severity

ORDER: Final = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}

NOT_INSTALLABLE: Final = frozenset({"payload.none"})
"""What readers tolerate and no device can install."""

SUPERSEDED: Final = {"augment.present": "lint.augment", "lint.old-version": "lint.version"}
"""A finding, and the more exact one that makes it superfluous."""


def judge(evidence: Evidence, profile: Profile, *, device_type: str | None = None) -> tuple[Finding, ...]:
    """Return what `profile` refuses (errors), what may go wrong (warnings) and what is good to know (notes).

    With `device_type` the artifact must be for that type of device. Errors come first.
    """
    found = [_promoted(finding, profile) for finding in evidence.findings]
    for check in (*CHECKS, *TRAPS):
        found.extend(check(evidence, profile))
    found.extend(_check_device_type(evidence, device_type))
    if not evidence.payload_read:
        found.append(
            Finding(
                rule="lint.not-read",
                what="the payload was not read, since it needs more memory than this program takes; its digests were "
                "not checked",
                where=Where(member="data/0000.tar"),
            )
        )
    return tuple(sorted(_without_repetition(found), key=lambda finding: ORDER[finding.severity]))


def _promoted(finding: Finding, profile: Profile) -> Finding:
    """Make an error of what the reader tolerates and the target does not."""
    member = finding.where.member if finding.where is not None else ""
    strict = finding.rule == "json.unknown-key" and member in profile.strict_members
    useless = profile.installs and finding.rule in NOT_INSTALLABLE
    if strict or useless or finding.rule in profile.refuses:
        remark = profile.remarks.get(finding.rule, f"{profile.title} refuses it")
        return replace(finding, severity=Severity.ERROR, what=f"{finding.what}; {remark}")
    return finding


def _check_device_type(evidence: Evidence, device_type: str | None) -> Iterator[Finding]:
    known = evidence.head.header.info.device_types
    if device_type is not None and device_type not in known:
        shown = ", ".join(known[:5]) + (f" and {len(known) - 5} more" if len(known) > 5 else "")
        yield Finding(
            rule="lint.device-type",
            what=f"the artifact is for {shown}, not for {device_type}",
            severity=Severity.ERROR,
            where=Where(member="header-info"),
            hint=f"write it with -t {device_type}; names are compared letter by letter",
        )


def _without_repetition(found: list[Finding]) -> Iterator[Finding]:
    """Leave out a finding that a graver one of the same rule and place, or a more exact one, says already."""
    rules = {finding.rule for finding in found}
    errors = {(finding.rule, finding.where) for finding in found if finding.severity is Severity.ERROR}
    for finding in found:
        milder = finding.severity is not Severity.ERROR and (finding.rule, finding.where) in errors
        if not milder and SUPERSEDED.get(finding.rule) not in rules:
            yield finding
