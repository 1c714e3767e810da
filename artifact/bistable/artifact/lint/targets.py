"""What a target refuses, by its profile: every finding in here is an error. FORMAT.md, Compatibility."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeAlias

from bistable.artifact.errors import Where, quoted
from bistable.artifact.limits import KIB, MIB
from bistable.artifact.lint.evidence import Evidence
from bistable.artifact.lint.profiles import GIB, EmptyPayload, Profile
from bistable.artifact.model import Compression, Finding, Severity, SignatureState

Check: TypeAlias = Callable[[Evidence, Profile], Iterable[Finding]]

_RAW_SIZE: Final = 64
_LONGEST_DER: Final = 72
_UNITS: Final = ((GIB, "GiB"), (MIB, "MiB"))


def refusal(profile: Profile, rule: str, what: str, *, member: str, hint: str | None = None) -> Finding:
    """Return an error, with what the profile remarks about the rule."""
    remark = profile.remarks.get(rule)
    return Finding(
        rule=rule,
        what=f"{what} ({remark})" if remark else what,
        severity=Severity.ERROR,
        where=Where(member=member),
        hint=hint,
    )


def check_version(evidence: Evidence, profile: Profile) -> Iterator[Finding]:
    """Format version 2 is history for most."""
    version = evidence.head.version
    if version not in profile.versions:
        yield refusal(
            profile,
            rule="lint.version",
            what=f"the artifact has format version {version}, which {profile.title} does not read",
            member="version",
            hint="make version 3 of it: `bistable artifact repack --repair`",
        )


def check_compression(evidence: Evidence, profile: Profile) -> Iterator[Finding]:
    """Header and payload may be compressed differently."""
    members: dict[Compression, list[str]] = {}
    for stem, kind in (
        ("header.tar", evidence.head.header_compression),
        ("data/0000.tar", evidence.data_compression),
    ):
        if kind is not None and kind not in profile.compressions:
            members.setdefault(kind, []).append(stem + kind.value)
    for kind, names in members.items():
        yield refusal(
            profile,
            rule="lint.compression",
            what=f"{' and '.join(names)}: compressed with {kind.label}, which {profile.title} does not read",
            member=names[0],
            hint=_recompress_hint(evidence, profile),
        )


def _recompress_hint(evidence: Evidence, profile: Profile) -> str:
    known = ", ".join(kind.label for kind in Compression if kind in profile.compressions)
    best = "gzip" if Compression.GZIP in profile.compressions else "none"
    command = f"bistable artifact repack --compression {best}"
    if evidence.head.signature is SignatureState.UNSIGNED:
        return f"it reads {known}: `{command}`"
    return f"it reads {known}: `{command} -k KEY`; the header changes, so it has to be signed again"


def check_window(evidence: Evidence, profile: Profile) -> Iterator[Finding]:
    """A decoder refuses a window that is larger than it is willing to hold."""
    window, kind = evidence.data_needs.window, evidence.data_compression
    if kind is Compression.ZSTD and profile.window is not None and window > profile.window:
        yield refusal(
            profile,
            rule="lint.window",
            what=f"decompressing needs a zstd window of {size_text(window)}, "
            f"and {profile.title} takes {size_text(profile.window)}",
            member=f"data/0000.tar{kind.value}",
            hint="compress it again with a smaller window: `bistable artifact repack --compression zstd`",
        )


def check_xz_filters(evidence: Evidence, profile: Profile) -> Iterator[Finding]:
    """Pure Go xz knows LZMA2 only."""
    names = ", ".join(evidence.data_needs.filters)
    if names and not profile.xz_filters:
        yield refusal(
            profile,
            rule="lint.xz-filter",
            what=f"the payload went through the xz filter {names}, which {profile.title} does not have",
            member="data/0000.tar.xz",
            hint="compress it again: `bistable artifact repack --compression xz`",
        )


def check_augment(evidence: Evidence, profile: Profile) -> Iterator[Finding]:
    """The unsigned part ended with the 3.x clients, and was broken for zstd before that."""
    head = evidence.head
    if head.augment is not None and head.header_compression not in profile.augmented:
        how = f" compressed with {head.header_compression.label}" if profile.augmented else ""
        yield refusal(
            profile,
            rule="lint.augment",
            what=f"the artifact is augmented, and {profile.title} does not read such artifacts{how}",
            member="manifest-augment",
            hint="write it again with all files in the signed part: `bistable artifact write module`",
        )


def check_signature(evidence: Evidence, profile: Profile) -> Iterator[Finding]:
    """ECDSA signatures come in two forms, and not every reader knows the second."""
    signature = evidence.signature
    if signature is None:
        return
    if not profile.signatures:
        yield refusal(
            profile,
            rule="lint.signature",
            what=f"the artifact is signed, and {profile.title} checks no signatures: it skips this one",
            member="manifest.sig",
            hint="take the signature away, so that nobody relies on it: `bistable artifact sign --strip`",
        )
    elif is_der(signature) and len(signature) not in profile.der_sizes:
        lengths = f" of {len(signature)} bytes" if profile.der_sizes else ""
        yield refusal(
            profile,
            rule="lint.signature-der",
            what=f"the ECDSA signature is in DER, and {profile.title} does not check such signatures{lengths}",
            member="manifest.sig",
            hint="sign it again, which writes the form that all readers take: `bistable artifact sign -k KEY`",
        )


def is_der(signature: bytes) -> bool:
    """Return whether this is an ECDSA signature in DER; RSA signatures are at least 256 bytes long."""
    return len(signature) <= _LONGEST_DER and len(signature) != _RAW_SIZE and signature.startswith(b"\x30")


def check_payload(evidence: Evidence, profile: Profile) -> Iterator[Finding]:
    """The empty payload is young, and the archive of no files needs a body for some."""
    if evidence.head.header.info.payload_type is None and profile.empty_payload is EmptyPayload.REFUSED:
        yield refusal(
            profile,
            rule="lint.empty-payload",
            what=f"the artifact has an empty payload, which {profile.title} does not take",
            member="header-info",
        )
    if evidence.head.header.info.payload_type is None and profile.empty_payload is EmptyPayload.BOOTSTRAP_FILE:
        yield Finding(
            rule="lint.empty-payload",
            what=f"{profile.title} takes an empty payload as its bootstrap file only, not as an update",
            severity=Severity.NOTE,
            where=Where(member="header-info"),
            hint="put it on new devices as /var/lib/mender/bootstrap.mender",
        )
    if evidence.data_stored == 0 and not profile.empty_data_body:
        yield refusal(
            profile,
            rule="lint.empty-data",
            what=f"the data member has no bytes at all, not even the end of an archive, which {profile.title} refuses",
            member="data/0000.tar",
            hint="write it again: `bistable artifact repack --compression none`",
        )


def check_header(evidence: Evidence, profile: Profile) -> Iterator[Finding]:
    """Lists of values, and scripts."""
    header = evidence.head.header
    for key, value in header.type_info.depends.items():
        if isinstance(value, str):
            continue
        yield Finding(
            rule="lint.depends-list",
            what=f"the artifact depends on a list of values for {quoted(key)}, which {profile.title} does not read"
            if not profile.depends_lists
            else f"the artifact depends on a list of values for {quoted(key)}, which Mender clients from 4.0 on refuse",
            severity=Severity.WARNING if profile.depends_lists else Severity.ERROR,
            where=Where(member="type-info"),
            hint="write one artifact for each value",
        )
    if header.scripts and not profile.scripts:
        yield refusal(
            profile,
            rule="lint.scripts",
            what=f"the artifact has state scripts, and {profile.title} runs none",
            member="scripts/",
        )


def check_size(evidence: Evidence, profile: Profile) -> Iterator[Finding]:
    """Servers and small devices have limits."""
    if profile.size is not None and evidence.size > profile.size:
        yield refusal(
            profile,
            rule="lint.size",
            what=f"the artifact has {size_text(evidence.size)}, and {profile.title} takes {size_text(profile.size)}",
            member="artifact",
            hint="compress it harder (`bistable artifact repack --compression zstd:19`), or put less into it"
            if Compression.ZSTD in profile.compressions
            else "put less into it",
        )


def size_text(size: int) -> str:
    """Return a size for people: in GiB, MiB or KiB, with a decimal place only where there is something in it."""
    unit, name = next(((unit, name) for unit, name in _UNITS if size >= unit), (KIB, "KiB"))
    return f"{size / unit:.1f}".removesuffix(".0") + f" {name}"


CHECKS: Final[tuple[Check, ...]] = (
    check_version,
    check_compression,
    check_window,
    check_xz_filters,
    check_augment,
    check_signature,
    check_payload,
    check_header,
    check_size,
)
