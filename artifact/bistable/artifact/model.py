"""The values an artifact is made of: frozen, typed, without any I/O. FORMAT.md §2 to §5."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, TypeAlias

from bistable.artifact.errors import Where

FORMAT_NAME: Final = "mender"
ROOTFS_IMAGE: Final = "rootfs-image"
DATA_PREFIX: Final = "data/0000/"

JsonObject: TypeAlias = Mapping[str, Any]
Depends: TypeAlias = Mapping[str, str | tuple[str, ...]]


class Compression(Enum):
    """How a member is compressed; the value is its file name suffix."""

    NONE = ""
    GZIP = ".gz"
    XZ = ".xz"
    ZSTD = ".zst"

    @property
    def label(self) -> str:
        """Return the name people use: `none`, `gzip`, `xz` or `zstd`."""
        return self.name.lower()

    @classmethod
    def of_member(cls, name: str, stem: str) -> "Compression | None":
        """Return the compression that makes `stem` the member name `name`, or None if none does."""
        return next((c for c in cls if name == stem + c.value), None)


class Severity(Enum):
    """How much a finding matters."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something odd that was tolerated, or that a linter reports; `rule` is listed in docs/reference/rules.md."""

    rule: str
    what: str
    severity: Severity = Severity.WARNING
    where: Where | None = None
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestLine:
    """One line of a manifest: SHA-256 (64 lower-case hex digits) and the name it covers."""

    digest: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The list of digests that a signature covers. FORMAT.md §3."""

    lines: tuple[ManifestLine, ...]

    def digest_of(self, name: str) -> str | None:
        """Return the digest listed for `name`, or None."""
        return next((line.digest for line in self.lines if line.name == name), None)

    def payload_digests(self) -> dict[str, str]:
        """Return file name -> digest of the payload files, in manifest order."""
        return {
            line.name.removeprefix(DATA_PREFIX): line.digest for line in self.lines if line.name.startswith(DATA_PREFIX)
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderInfo:
    """Who the artifact is and for whom. FORMAT.md §5.1 (and §9 for version 2)."""

    payload_type: str | None
    artifact_name: str
    device_types: tuple[str, ...]
    artifact_group: str | None = None
    depends_names: tuple[str, ...] = ()
    depends_groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeInfo:
    """What the payload provides, needs and clears. FORMAT.md §5.2; `clears_provides` None means not given."""

    payload_type: str | None
    provides: Mapping[str, str] = field(default_factory=dict)
    depends: Depends = field(default_factory=dict)
    clears_provides: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A state script carried in the header. FORMAT.md §5.3."""

    name: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The content of `header.tar`. `meta_data` None: no member; empty bytes: an empty member, as rootfs images have."""

    info: HeaderInfo
    type_info: TypeInfo
    scripts: tuple[Script, ...] = ()
    meta_data: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Augment:
    """The unsigned, legacy part that names another payload type and more files. FORMAT.md §5.7."""

    manifest: Manifest
    payload_type: str | None
    type_info: TypeInfo
    meta_data: bytes | None = None


class SignatureState(Enum):
    """What is known of the signature."""

    VERIFIED = "verified"
    UNSIGNED = "unsigned"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """All that stands before the payload, checked against the manifest (and the manifest against the keys, if any)."""

    version: int
    manifest: Manifest
    manifest_digest: str
    header: Header
    header_compression: Compression
    signature: SignatureState
    key: str | None = None
    augment: Augment | None = None
    findings: tuple[Finding, ...] = ()

    def payload_digests(self) -> dict[str, str]:
        """Return file name -> digest of all payload files, the augmented ones last."""
        found = self.manifest.payload_digests()
        if self.augment is not None:
            found.update(self.augment.manifest.payload_digests())
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadFile:
    """A payload file that was read to its end and matched its digest; `size` in bytes."""

    name: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """An artifact that was read to its end: the head, the payload files, and what was tolerated on the way."""

    head: Head
    files: Sequence[PayloadFile]
    data_compression: Compression | None
    size: int
    findings: tuple[Finding, ...] = ()
