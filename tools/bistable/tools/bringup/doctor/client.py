"""What the client on the device says of itself."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from bistable.tools.bringup.doctor.expected import RENDERED, Expected
from bistable.tools.bringup.doctor.facts import Facts, json_of
from bistable.tools.bringup.doctor.finding import CLIENT, Finding, error, warning
from bistable.tools.bringup.doctor.script import Section
from bistable.tools.bringup.doctor.starting import running_slot

_PROGRAM: Final = "bistablectl"
_NOT_FOUND: Final = 127
_IMAGE: Final = "the image of the root file system"
_GRADES: Final = {"bad": error, "doubt": warning}
"""The client's own words for how bad it is; others are no finding."""


def check_client(expected: Expected, facts: Facts) -> Iterator[Finding]:
    """Yield what the client says is wrong, and what it says that does not fit the board."""
    status = json_of(facts.status)
    yield from _type(expected, facts, status)
    if status is None:
        yield _silent(facts.status)
        return
    running, told = (status.get("slots") or {}).get("running"), running_slot(facts)
    if running is not None and told is not None and running != told:
        yield error(
            CLIENT,
            "client and boot loader do not mean the same slot",
            f"/etc/bistable/conf.d/40-boot.toml in the root file system: the one in {RENDERED}/conf.d is right",
            found=f"the client says {running}, the boot script {told}",
            expected=told,
        )
    yield from _doctor(facts)


def _type(expected: Expected, facts: Facts, status: Mapping[str, Any] | None) -> Iterator[Finding]:
    wanted, path = expected.board.device_type, expected.device_type_file
    if status is not None:
        found = status.get("device_type")
    elif path is not None:
        # Without the client: what it would read.
        found = facts.kept.get(path, "").strip().partition("=")[2] or None
    else:
        return
    if found == wanted:
        return
    yield error(
        CLIENT,
        "the device has another type than board.toml gives it: artifacts for the board are refused",
        f"{path} on the data partition" if path is not None else "/etc/bistable/conf.d/15-device.toml, [device] type",
        found="none" if found is None else str(found),
        expected=wanted,
    )


def _silent(said: Section) -> Finding:
    words = next((line for line in reversed(said.lines) if line.strip()), "")
    if said.status == _NOT_FOUND:
        return error(
            CLIENT,
            f"the client is not installed: there is no {_PROGRAM}",
            f"{_IMAGE}: add bistable-client",
            found=words,
        )
    python = "python" in words.lower()
    return error(
        CLIENT,
        f"{_PROGRAM} does not run" + (", since Python or a part of it is missing" if python else ""),
        f"{_IMAGE}: add what the client needs; `{_PROGRAM} status` on the device says more",
        found=words or f"exit status {said.status}",
    )


def _doctor(facts: Facts) -> Iterator[Finding]:
    document = json_of(facts.doctor)
    findings = document.get("findings") if document is not None else None
    if not isinstance(findings, list):
        yield warning(
            CLIENT,
            f"`{_PROGRAM} doctor` did not look at the device",
            f"run `{_PROGRAM} doctor` on the device",
            found="\n".join(facts.doctor.lines[-2:]) or None,
        )
        return
    for finding in findings:
        make = _GRADES.get(str(finding.get("grade"))) if isinstance(finding, dict) else None
        if make is not None:
            yield make(
                CLIENT,
                f"{finding.get('area')}: {finding.get('what')}",
                str(finding.get("hint") or f"`{_PROGRAM} doctor` on the device says more"),
            )
