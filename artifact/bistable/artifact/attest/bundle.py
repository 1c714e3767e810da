"""The file of attestations beside an artifact: one signed envelope a line, each checked on its own."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bistable.artifact.attest.dsse import LINE_SIZE, parse_envelope, verify_envelope
from bistable.artifact.attest.predicates import PredicateKind, ProvenanceSummary, Summary, summarize
from bistable.artifact.attest.statement import Subject, check_subjects, parse_statement
from bistable.artifact.errors import LimitError, PolicyError, RejectedError, RequestError, Where, quoted
from bistable.artifact.files import replacing, write_all
from bistable.artifact.keys.ports import Verifier
from bistable.artifact.limits import KIB, MIB
from bistable.artifact.model import Head, JsonObject
from bistable.artifact.source import HttpSettings, SourceNotFoundError, open_source
from bistable.artifact.streams.source import Source

BUNDLE_SIZE: Final = 128 * MIB
ATTESTATIONS: Final = 1000
"""Most lines in a bundle; a few are usual."""

_CHUNK: Final = 256 * KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedAttestation:
    """A statement by the holder of `key` about the artifact that it was checked against.

    `summary` is None if the type is not known. What the predicate says is as true as its signer is honest.
    """

    kind: PredicateKind
    predicate_type: str
    key: str
    subjects: tuple[Subject, ...]
    summary: Summary
    predicate: JsonObject = field(repr=False)


def read_bundle(source: Source) -> tuple[bytes, ...]:
    """Read a bundle to its end and return its lines, none of which is checked.

    Raises:
        LimitError: larger than any bundle should be.
        RejectedError: a line is empty.
    """
    data = bytearray()
    while chunk := source.read(_CHUNK):
        data += chunk
        if len(data) > BUNDLE_SIZE:
            raise LimitError(
                f"cannot read the attestations: more than {BUNDLE_SIZE // MIB} MiB",
                where=Where(member="attestations"),
                rule="attestation.size",
            )
    lines = bytes(data).split(b"\n")
    if not lines[-1]:
        lines.pop()
    return _checked_lines(lines)


def load_bundle(name: str, settings: HttpSettings | None = None) -> tuple[bytes, ...]:
    """Read the bundle with this path or address.

    Raises:
        PolicyError: there is none.
        LimitError, RejectedError: as `read_bundle`.
        MachineError: it cannot be read.
    """
    try:
        with open_source(name, settings=settings) as source:
            return read_bundle(source)
    except SourceNotFoundError as e:
        raise PolicyError(
            # The source's own words: an address may hold a password, which they leave out.
            f"cannot show what is attested: {e.what.removeprefix('cannot read ')}",
            hint="attestations travel in a file of their own beside the artifact; copy it along, or make it",
            rule="attestation.missing",
        ) from e


def write_bundle(path: Path, lines: Sequence[bytes]) -> None:
    """Write a bundle that holds `lines` (of `sign_statement`) only; the file appears whole or not at all.

    Raises:
        LimitError, RejectedError: the lines cannot be those of a bundle.
        MachineError: the file cannot be written.
    """
    content = b"".join(line + b"\n" for line in _checked_lines(lines))
    if len(content) > BUNDLE_SIZE:
        raise LimitError(
            f"cannot write {path}: more than {BUNDLE_SIZE // MIB} MiB of attestations", rule="attestation.size"
        )
    for number, line in enumerate(lines, start=1):
        parse_envelope(line, member=_member(number))
    with replacing(path) as file:
        write_all(file, content)


def append_to_bundle(path: Path, lines: Sequence[bytes]) -> None:
    """Add `lines` to the bundle at `path`, which may be missing; what is there already is kept as it is.

    Raises:
        LimitError, RejectedError: what is there is no bundle, or the lines cannot be added.
        MachineError: the file cannot be read or written.
    """
    try:
        with open_source(str(path)) as source:
            present = read_bundle(source)
    except SourceNotFoundError:
        present = ()
    write_bundle(path, [*present, *(line for line in lines if line not in present)])


def verify_bundle(
    lines: Sequence[bytes], *, head: Head, verifiers: Sequence[Verifier]
) -> tuple[VerifiedAttestation, ...]:
    """Check every line of a bundle against the keys and against an artifact's head; return what they say.

    Every line must be good: a line that proves nothing is either damaged or does not belong there. For each, the
    signature is checked first, over bytes; only then is the statement read.

    Raises:
        SignatureError: a line is signed by none of the keys.
        RejectedError: a line is malformed, or about another artifact.
        RequestError: no key is given.
    """
    if not verifiers:
        raise RequestError("cannot check attestations without a key", hint="give the public key of who made them")
    return tuple(
        _verify_line(line, head, verifiers, _member(number))
        for number, line in enumerate(_checked_lines(lines), start=1)
    )


def require_attestations(
    found: Sequence[VerifiedAttestation], *, kinds: Collection[PredicateKind] = (), builder: str | None = None
) -> None:
    """Check that there is an attestation at all, one of each of `kinds`, and a provenance by `builder` (its id).

    Raises:
        PolicyError: there is not.
    """
    present = {attestation.kind for attestation in found}
    missing = [kind.value for kind in PredicateKind if kind in kinds and kind not in present]
    if missing or not found:
        what = f"no attestation of the kind {' or '.join(missing)}" if missing else "no attestation"
        raise PolicyError(f"cannot take this artifact: {what} is there", rule="attestation.missing")
    summaries = (attestation.summary for attestation in found)
    builders = {summary.builder for summary in summaries if isinstance(summary, ProvenanceSummary)}
    if builder is not None and builders != {builder}:
        raise PolicyError(
            f"cannot take this artifact: it was built by {', '.join(map(quoted, sorted(builders))) or 'nobody known'}, "
            f"not by {builder}",
            rule="attestation.builder",
        )


def _verify_line(line: bytes, head: Head, verifiers: Sequence[Verifier], member: str) -> VerifiedAttestation:
    envelope = parse_envelope(line, member=member)
    payload, verifier = verify_envelope(envelope, verifiers, member=member)
    statement = parse_statement(payload, member=member)
    check_subjects(statement, head, member=member)
    kind = PredicateKind.of(statement.predicate_type)
    return VerifiedAttestation(
        kind=kind,
        predicate_type=statement.predicate_type,
        key=verifier.name,
        subjects=statement.subjects,
        summary=summarize(kind, statement.predicate, member=member),
        predicate=statement.predicate,
    )


def _checked_lines(lines: Sequence[bytes]) -> tuple[bytes, ...]:
    """Refuse what no line may be before any of them is parsed."""
    if len(lines) > ATTESTATIONS:
        raise LimitError(
            f"cannot read the attestations: more than {ATTESTATIONS} lines",
            where=Where(member="attestations"),
            rule="attestation.size",
        )
    for number, line in enumerate(lines, start=1):
        where = Where(member="attestations", line=number)
        if len(line) > LINE_SIZE:
            raise LimitError(
                f"cannot read {_member(number)}: longer than {LINE_SIZE // MIB} MiB",
                where=where,
                rule="attestation.size",
            )
        if not line.strip() or b"\n" in line:
            raise RejectedError(
                f"cannot read {_member(number)}: its line is empty", where=where, rule="attestation.envelope"
            )
    return tuple(lines)


def _member(number: int) -> str:
    return f"attestation {number}"
