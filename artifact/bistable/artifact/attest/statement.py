"""The statement inside an envelope (in-toto Statement v1): which artifact is meant, and what is said about it.

An artifact is named by the digest of its manifest, which covers version, header and every payload file (FORMAT.md §3)
and stays the same when the artifact is signed anew or recompressed; and by each payload file, so that tools that know
nothing of artifacts find the statement for a file that they have.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from bistable.artifact import jsonio
from bistable.artifact.attest.dsse import LINE_SIZE
from bistable.artifact.errors import RejectedError, Where
from bistable.artifact.model import Head, JsonObject

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
EARLIER_STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v0.1"
"""Of the same layout, and still written by widely used tools; read, never written."""

_DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Something that a statement is about; `digest` is its SHA-256, None if only other digests are given."""

    name: str
    digest: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A statement as somebody made it; whether it is about a certain artifact `check_subjects` tells."""

    subjects: tuple[Subject, ...]
    predicate_type: str
    predicate: JsonObject = field(repr=False)


def subjects_of(head: Head) -> tuple[Subject, ...]:
    """Return what a statement about an artifact names: its manifest and its payload files, not the augmented ones."""
    files = head.manifest.payload_digests()
    return (
        Subject(name=_manifest_name(head), digest=head.manifest_digest),
        *(Subject(name=name, digest=digest) for name, digest in files.items()),
    )


def make_statement(head: Head, *, predicate_type: str, predicate: JsonObject) -> bytes:
    """Return the statement that says `predicate` about the artifact with this head, as compact JSON."""
    return jsonio.encode(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": item.name, "digest": {"sha256": item.digest}} for item in subjects_of(head)],
            "predicateType": predicate_type,
            "predicate": predicate,
        }
    )


def parse_statement(payload: bytes, *, member: str) -> Statement:
    """Take a statement apart, the signature of which was checked.

    Raises:
        RejectedError: it is not a statement.
    """
    document = jsonio.parse_object(payload, member=member, limit=LINE_SIZE)
    if document.get("_type") not in {STATEMENT_TYPE, EARLIER_STATEMENT_TYPE}:
        _refuse(member, f'"_type" must be "{STATEMENT_TYPE}"')
    subjects = document.get("subject")
    if not isinstance(subjects, list) or not subjects:
        _refuse(member, '"subject" must list what the statement is about')
    predicate_type = document.get("predicateType")
    if not isinstance(predicate_type, str) or not predicate_type:
        _refuse(member, '"predicateType" must be text')
    predicate = document.get("predicate", {})
    if not isinstance(predicate, dict):
        _refuse(member, '"predicate" must be an object')
    return Statement(
        subjects=tuple(_parse_subject(subject, member) for subject in subjects),
        predicate_type=predicate_type,
        predicate=predicate,
    )


def check_subjects(statement: Statement, head: Head, *, member: str) -> None:
    """Check that a statement is about the artifact with this head.

    The manifest's digest must be among the subjects, under whatever name; and a subject that bears the name of the
    manifest or of a payload file must have its digest. Other subjects are other things, and are not looked at.

    Raises:
        RejectedError: it is about something else.
    """
    if not any(subject.digest == head.manifest_digest for subject in statement.subjects):
        raise RejectedError(
            f"cannot use {member}: it is about another artifact",
            hint="the artifact was changed or replaced after it was attested; make the attestation again",
            where=Where(member=member),
            rule="attestation.subject",
        )
    expected = {item.name: item.digest for item in subjects_of(head)}
    for subject in statement.subjects:
        if subject.name in expected and subject.digest != expected[subject.name]:
            raise RejectedError(
                f"cannot use {member}: it names {subject.name} with another SHA-256 than the artifact",
                where=Where(member=member),
                rule="attestation.subject",
            )


def _manifest_name(head: Head) -> str:
    # No payload file can bear this name: theirs have no slash (FORMAT.md §3.2).
    return f"{head.header.info.artifact_name}/manifest"


def _parse_subject(subject: Any, member: str) -> Subject:
    digests = subject.get("digest") if isinstance(subject, dict) else None
    name = subject.get("name", "") if isinstance(subject, dict) else None
    if not isinstance(digests, dict) or not digests or not isinstance(name, str):
        _refuse(member, "a subject must have a digest, and its name must be text")
    digest = digests.get("sha256")
    if digest is not None and not (isinstance(digest, str) and _DIGEST.fullmatch(digest)):
        _refuse(member, "a SHA-256 must be 64 lower-case hex digits")
    return Subject(name=name, digest=digest)


def _refuse(member: str, why: str) -> NoReturn:
    raise RejectedError(f"cannot read {member}: {why}", where=Where(member=member), rule="attestation.statement")
