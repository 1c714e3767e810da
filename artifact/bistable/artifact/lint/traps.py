"""What no target refuses and what goes wrong later all the same. FORMAT.md §5."""

import json
import re
import shlex
from collections.abc import Iterator
from typing import Final

from bistable.artifact.errors import Where, quoted
from bistable.artifact.limits import MIB
from bistable.artifact.lint.evidence import Evidence
from bistable.artifact.lint.inside import RELEASE_FILE
from bistable.artifact.lint.profiles import Profile
from bistable.artifact.lint.targets import Check, size_text
from bistable.artifact.model import DATA_PREFIX, ROOTFS_IMAGE, Compression, Finding, Severity
from bistable.artifact.patterns import crashing_key, matches
from bistable.artifact.writer.request import CHECKSUM_KEY, LEGACY_CHECKSUM_KEY

SMALL_DEVICE_WINDOW: Final = 8 * MIB
"""History that every device can be expected to hold while it decompresses."""

EXACT_INTEGERS: Final = 2**53 - 1
"""Beyond it a number changes on its way through a 64-bit float, which is what most JSON parsers make of it."""

DEFAULT_CLEARS: Final = frozenset({"artifact_group", "rootfs_image_checksum"})
"""Written by default for the sake of devices that once had them; they need not match anything."""

MOST: Final = 250
"""How many patterns and keys are looked at; real artifacts have a handful, and each is compared with each."""

_NEVER_RUN: Final = re.compile(r"Artifact(Rollback|RollbackReboot|Failure)_Error_")
_ELF: Final = b"\x7fELF"


def warning(rule: str, what: str, member: str, hint: str | None = None) -> Finding:
    """Return a finding about something that may go wrong."""
    return Finding(rule=rule, what=what, where=Where(member=member), hint=hint)


def check_unsigned(evidence: Evidence, profile: Profile) -> Iterator[Finding]:
    """A device with a key refuses an unsigned artifact; one without believes anybody. To a tool it is all the same."""
    if evidence.signature is None and profile.signatures:
        yield Finding(
            rule="lint.unsigned",
            what="the artifact is not signed: devices with a verification key refuse it, others take anybody's",
            severity=Severity.WARNING if profile.installs else Severity.NOTE,
            where=Where(member="manifest.sig"),
            hint="sign it: `bistable artifact sign -k KEY`",
        )


def check_old_version(evidence: Evidence, _profile: Profile) -> Iterator[Finding]:
    """Version 2 works until the clients are updated."""
    if evidence.head.version == 2:
        yield warning(
            rule="lint.old-version",
            what="the artifact has format version 2, which Mender clients from 4.0 on refuse",
            member="version",
            hint="make version 3 of it: `bistable artifact repack --repair`",
        )


def check_names(evidence: Evidence, _profile: Profile) -> Iterator[Finding]:
    """White space in names gets lost in shells, logs and URLs, and mender-artifact does not write it."""
    info = evidence.head.header.info
    for what, name, option in (
        ("name", info.artifact_name, "-n NAME"),
        ("group", info.artifact_group or "", "-g GROUP"),
    ):
        if any(character.isspace() for character in name):
            yield warning(
                rule="lint.white-space",
                what=f"the artifact {what} {quoted(name)} holds white space",
                member="header-info",
                hint=f"change it: `bistable artifact modify {option}`",
            )


def check_memory(evidence: Evidence, _profile: Profile) -> Iterator[Finding]:
    """A device has to hold as much history as the compressor looked back."""
    window = evidence.data_needs.window
    if window > SMALL_DEVICE_WINDOW and evidence.data_compression is not None:
        yield Finding(
            rule="lint.memory",
            what=f"a device needs {size_text(window)} of memory to decompress the payload",
            severity=Severity.NOTE,
            where=Where(member=f"data/0000.tar{evidence.data_compression.value}"),
            hint="lower levels need less: zstd up to 19 needs 8 MiB, xz up to 6 needs 8 MiB",
        )
    if evidence.data_compression is Compression.XZ and evidence.data_needs.filters:
        yield warning(
            rule="lint.xz-filter",
            what=f"the payload went through the xz filter {', '.join(evidence.data_needs.filters)}; "
            "mender-artifact from 4.0 on cannot read it",
            member="data/0000.tar.xz",
            hint="compress it again: `bistable artifact repack --compression xz`",
        )


def check_clears(evidence: Evidence, _profile: Profile) -> Iterator[Finding]:
    """Patterns that miss what they are for, and provides that nothing clears."""
    header, info = evidence.head.header, evidence.head.header.type_info
    payload_type = header.info.payload_type
    if payload_type is None or evidence.head.version == 2:
        return
    keys = [*(["artifact_group"] if header.info.artifact_group else []), *info.provides][:MOST]
    if info.clears_provides is None:
        if payload_type != ROOTFS_IMAGE:
            yield warning(
                rule="lint.clears-missing",
                what="the artifact says nothing of what it clears: clients may delete everything that is provided, "
                "the version of the root file system included",
                member="type-info",
                hint=f"name what this kind of update replaces: `--clears-provides '{ROOTFS_IMAGE}.{payload_type}.*'`",
            )
        return
    patterns = info.clears_provides[:MOST]
    for pattern in patterns:
        yield from _check_pattern(pattern, keys)
    for key in list(info.provides)[:MOST]:
        if not any(matches(pattern, key) for pattern in patterns):
            yield warning(
                rule="lint.not-cleared",
                what=f"the artifact provides {quoted(key)} and does not clear it: an update that no longer provides it "
                "will leave it behind",
                member="type-info",
                hint=f"add a pattern that matches it: `bistable artifact modify --clears-provides {shlex.quote(key)}`",
            )


def _check_pattern(pattern: str, keys: list[str]) -> Iterator[Finding]:
    if pattern not in DEFAULT_CLEARS and not any(matches(pattern, key) for key in keys):
        yield warning(
            rule="lint.clears-nothing",
            what=f"the pattern {quoted(pattern)} clears nothing that the artifact itself provides",
            member="type-info",
            hint="patterns match whole keys, * stands for any run of characters: is it spelt like the keys?",
        )
    crashing = crashing_key(pattern)
    if crashing is not None:
        yield warning(
            rule="lint.clears-crash",
            what=f"the pattern {quoted(pattern)} crashes Mender clients from 4.0 on if the device stores "
            f"a short key, such as {quoted(crashing)}",
            member="type-info",
            hint="end patterns in *",
        )


def check_checksum(evidence: Evidence, _profile: Profile) -> Iterator[Finding]:
    """The digest of a root file system lets a server choose deltas, if it is there and right."""
    head = evidence.head
    digests = list(head.payload_digests().values())
    if head.header.info.payload_type != ROOTFS_IMAGE or head.version == 2 or len(digests) != 1:
        return
    provided = [(key, head.header.type_info.provides.get(key)) for key in (CHECKSUM_KEY, LEGACY_CHECKSUM_KEY)]
    if all(value is None for _, value in provided):
        yield warning(
            rule="lint.checksum-missing",
            what=f"the artifact does not provide {CHECKSUM_KEY}: no delta update can be made for devices that run it",
            member="type-info",
            hint=f"add it: `bistable artifact modify --provides {CHECKSUM_KEY}:{digests[0]}`",
        )
    for key, value in provided:
        if value not in {None, digests[0]}:
            yield warning(
                rule="lint.checksum-wrong",
                what=f"the artifact provides {key} with a value that is not the SHA-256 of its image",
                member="type-info",
                hint=f"set it right: `bistable artifact modify --provides {key}:{digests[0]}`",
            )


def check_scripts(evidence: Evidence, _profile: Profile) -> Iterator[Finding]:
    """Scripts that will not start, and scripts that nothing starts."""
    for script in evidence.head.header.scripts:
        member = f"scripts/{script.name}"
        first_line = script.content.partition(b"\n")[0]
        if _NEVER_RUN.match(script.name):
            yield warning(
                rule="lint.script-never-runs",
                what=f"the state script {quoted(script.name)} is never run: its state has no error transition",
                member=member,
            )
        if first_line.startswith(b"#!") and first_line.endswith(b"\r"):
            yield warning(
                rule="lint.script-interpreter",
                what=f"the state script {quoted(script.name)} has DOS line ends: it will not start",
                member=member,
                hint="convert it, for example with dos2unix",
            )
        elif not first_line.startswith((b"#!", _ELF)):
            yield warning(
                rule="lint.script-interpreter",
                what=f"the state script {quoted(script.name)} names no interpreter: it will not start",
                member=member,
                hint="begin it with #!/bin/sh",
            )


def check_numbers(evidence: Evidence, _profile: Profile) -> Iterator[Finding]:
    """Integers beyond 2^53 change when a JSON parser makes floats of them."""
    content = evidence.head.header.meta_data
    if not content:
        return
    large: list[str] = []

    def note(text: str) -> int:
        number = int(text)
        if abs(number) > EXACT_INTEGERS:
            large.append(text)
        return number

    json.loads(content, parse_int=note)
    for text in dict.fromkeys(large):
        yield warning(
            rule="lint.number",
            what=f"the meta-data holds the number {text[:40]}, which many JSON parsers round",
            member="meta-data",
            hint="write it as a string",
        )


def check_files(evidence: Evidence, _profile: Profile) -> Iterator[Finding]:
    """An image without a byte, as failed builds leave it."""
    for file in evidence.files:
        if file.size == 0 and evidence.head.header.info.payload_type == ROOTFS_IMAGE:
            yield warning(
                rule="lint.empty-image",
                what=f"the image {file.name} is empty",
                member=DATA_PREFIX + file.name,
                hint="did the build that made it fail?",
            )


def check_inside(evidence: Evidence, _profile: Profile) -> Iterator[Finding]:
    """The root file system says what release it is, and clients believe it until an update tells them better."""
    inside, name = evidence.inside, evidence.head.header.info.artifact_name
    if inside is None:
        return
    member = next((DATA_PREFIX + file.name for file in evidence.files), "data")
    if inside.release not in {None, name}:
        yield warning(
            rule="lint.release-name",
            what=f"the image calls itself {quoted(inside.release)} (in {RELEASE_FILE}), the artifact is {quoted(name)}",
            member=member,
            hint="give the artifact the image's name, or build the image with the artifact's",
        )
    if inside.damage is not None:
        yield warning(rule="lint.image-damaged", what=inside.damage, member=member, hint="build the image again")
    if inside.unreadable is not None:
        yield Finding(
            rule="lint.image-kind", what=inside.unreadable, severity=Severity.NOTE, where=Where(member=member)
        )


TRAPS: Final[tuple[Check, ...]] = (
    check_unsigned,
    check_old_version,
    check_names,
    check_memory,
    check_clears,
    check_checksum,
    check_scripts,
    check_numbers,
    check_files,
    check_inside,
)
