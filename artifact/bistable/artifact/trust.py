"""What may be believed of an artifact, and when: an ordered object that gets bytes and knows more, or raises.

The order is fixed: version, manifest, signature over the manifest's raw bytes; only then the manifest's lines; the
header only after its digest stood in the manifest; payload bytes only after their file's digest matched at the file's
end. There is no file, clock or network in here. FORMAT.md §11.
"""

import hashlib
import hmac
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from bistable.artifact import documents
from bistable.artifact.errors import LimitError, PolicyError, RejectedError, SignatureError, Where, quoted
from bistable.artifact.header import parse_augment, parse_header
from bistable.artifact.keys import decode_signature
from bistable.artifact.keys.ports import Verifier
from bistable.artifact.limits import (
    HEADER_STORED_SIZE,
    MANIFEST_SIZE,
    PAYLOAD_FILES,
    SIGNATURE_SIZE,
    VERSION_SIZE,
)
from bistable.artifact.model import (
    DATA_PREFIX,
    ROOTFS_IMAGE,
    Augment,
    Compression,
    Finding,
    Head,
    Header,
    Manifest,
    PayloadFile,
    SignatureState,
)
from bistable.artifact.streams import open_decompressor

HEADER_STEM: Final = "header.tar"
AUGMENT_STEM: Final = "header-augment.tar"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the reader insists on.

    With `verifiers`, an unsigned artifact and a signature by none of them are refused. Without, a signature is only
    noted; `allow_unchecked` False then refuses a signed artifact, so that nobody takes it for verified. `allow_augment`
    takes artifacts with the unsigned, legacy part of FORMAT.md §5.7.
    """

    verifiers: Sequence[Verifier] = ()
    allow_unchecked: bool = True
    allow_augment: bool = False


class Intake:
    """Takes the members that stand before the payload, in order, and gives a Head; then checks payload files."""

    def __init__(self, policy: Policy) -> None:
        self.findings: list[Finding] = []
        """What was tolerated so far."""
        self._policy = policy
        self._version = 0
        self._version_raw: bytes | None = None
        self._manifest_raw: bytes | None = None
        self._manifest: Manifest | None = None
        self._signature = SignatureState.UNSIGNED
        self._key: str | None = None
        self._augment_manifest: Manifest | None = None
        self._augment: Augment | None = None
        self._header: Header | None = None
        self._compression = Compression.NONE
        self._due: tuple[str, ...] = ("version",)
        self._pending: dict[str, str] = {}
        self._last_file: FileCheck | None = None

    # --- members before the payload

    def limit(self, name: str) -> int:
        """Return how many bytes the member `name` may have, if it is due now.

        Raises:
            RejectedError: no such member may stand here.
        """
        for stem in (HEADER_STEM, AUGMENT_STEM):
            if stem in self._due and Compression.of_member(name, stem) is not None:
                return HEADER_STORED_SIZE
        limits = {
            "version": VERSION_SIZE,
            "manifest": MANIFEST_SIZE,
            "manifest.sig": SIGNATURE_SIZE,
            "manifest-augment": MANIFEST_SIZE,
        }
        if name not in self._due or name not in limits:
            due = " or ".join(self._due) or "data/0000.tar"
            _refuse("artifact", f"the member {quoted(name)} stands where {due} is due", "structure.order")
        return limits[name]

    def accept(self, name: str, body: bytes) -> None:
        """Take the whole body of the member `name`, which must be due.

        Raises:
            RejectedError: it breaks a rule; SignatureError, PolicyError, UnsupportedError, LimitError as they say.
        """
        if len(body) > self.limit(name):
            raise LimitError(f"cannot read {name}: too large", where=Where(member=name), rule="limit.member")
        if name == "version":
            self._accept_version(body)
        elif name == "manifest":
            self._manifest_raw = body
            self._due = ("manifest.sig", "manifest-augment", HEADER_STEM)
        elif name == "manifest.sig":
            self._accept_signature(body)
        elif name == "manifest-augment":
            self._accept_augment_manifest(body)
        elif name.startswith(AUGMENT_STEM):
            self._accept_augment_header(name, body)
        else:
            self._accept_header(name, body)

    def head(self) -> Head:
        """Return what is now known; to be called when the payload's member (or the end) is reached.

        Raises:
            RejectedError: something is still missing.
        """
        if self._header is None or self._manifest is None or AUGMENT_STEM in self._due:
            _refuse("artifact", f"{' or '.join(self._due)} is missing", "structure.missing")
        self._check_payload_names()
        head = Head(
            version=self._version,
            manifest=self._manifest,
            manifest_digest=hashlib.sha256(self._manifest_raw or b"").hexdigest(),
            header=self._header,
            header_compression=self._compression,
            signature=self._signature,
            key=self._key,
            augment=self._augment,
            findings=tuple(self.findings),
        )
        self._pending = head.payload_digests()
        self._due = ()
        return head

    # --- payload files

    def begin_file(self, name: str) -> "FileCheck":
        """Return the check for the payload file `name`, which must be listed and must not have come before.

        Raises:
            RejectedError: not listed, or there twice.
        """
        digest = self._pending.pop(name, None)
        if digest is None:
            _refuse(
                "data", f"the file {quoted(name)} is not listed in the manifest, or is there twice", "payload.unlisted"
            )
        self._last_file = FileCheck(name, digest)
        return self._last_file

    def finish(self, *, data_present: bool) -> None:
        """Check that every listed file has come, and that the last one was not left with a wrong digest.

        Raises:
            RejectedError: a listed file is missing.
        """
        if self._last_file is not None:
            self._last_file.finish()
        if self._pending:
            name = next(iter(self._pending))
            _refuse("data", f"the file {quoted(name)} is listed in the manifest but not there", "payload.missing")
        if not data_present:
            self._tolerate("data.missing", "the artifact has no data member", "device clients from 4.0 on refuse it")

    # --- one member each

    def _accept_version(self, body: bytes) -> None:
        self._version = documents.parse_version(body, self.findings)
        self._version_raw = body
        self._due = ("manifest",)

    def _accept_signature(self, body: bytes) -> None:
        signature, wrapped = decode_signature(body)
        if wrapped:
            self._tolerate(
                "signature.wrapped",
                "manifest.sig holds line ends",
                "device clients from 4.0 on refuse it",
                "manifest.sig",
            )
        self._signature = SignatureState.NOT_CHECKED
        if self._policy.verifiers:
            self._key = self._verify(signature)
            self._signature = SignatureState.VERIFIED
        elif not self._policy.allow_unchecked:
            raise SignatureError(
                "cannot verify this artifact: it is signed, and no key was given to check the signature with",
                hint="give the public key with -k",
                where=Where(member="manifest.sig"),
                rule="signature.no-key",
            )
        self._due = ("manifest-augment", HEADER_STEM)

    def _verify(self, signature: bytes) -> str:
        message = self._manifest_raw or b""
        for verifier in self._policy.verifiers:
            if verifier.verify(message, signature):
                return verifier.name
        names = ", ".join(verifier.name for verifier in self._policy.verifiers)
        raise SignatureError(
            f"cannot trust this artifact: its signature is by none of the keys given ({names})",
            hint="either it was changed after it was signed, or it was signed with another key",
            where=Where(member="manifest.sig"),
            rule="signature.wrong",
        )

    def _settled_manifest(self) -> Manifest:
        """Parse the manifest, now that its signature was checked or is known to be absent."""
        if self._manifest is not None:
            return self._manifest
        if self._policy.verifiers and self._signature is not SignatureState.VERIFIED:
            raise SignatureError(
                "cannot trust this artifact: it is not signed, and a key was given",
                hint="sign it (`bistable artifact sign -k KEY ARTIFACT`), or leave the key out to read it unchecked",
                where=Where(member="manifest"),
                rule="signature.missing",
            )
        manifest = documents.parse_manifest(self._manifest_raw or b"", member="manifest", found=self.findings)
        self._check_digest(manifest, "version", self._version_raw or b"")
        self._manifest = manifest
        return manifest

    def _accept_augment_manifest(self, body: bytes) -> None:
        signed = self._settled_manifest()
        if self._version != 3:
            _refuse("artifact", "format version 2 cannot be augmented", "structure.order")
        if not self._policy.allow_augment:
            raise PolicyError(
                "cannot take this artifact: it is augmented, its manifest-augment part can be added without a key",
                hint="device clients from 4.0 on refuse it too; --allow-augment takes it",
                where=Where(member="manifest-augment"),
                rule="augment.refused",
            )
        manifest = documents.parse_manifest(body, member="manifest-augment", found=self.findings)
        signed_names = {line.name for line in signed.lines}
        headers = [line.name for line in manifest.lines if Compression.of_member(line.name, AUGMENT_STEM) is not None]
        for line in manifest.lines:
            is_header = line.name in headers[:1]
            if line.name in signed_names or not (line.name.startswith(DATA_PREFIX) or is_header):
                _refuse("manifest-augment", f"{quoted(line.name)} must not be listed here", "augment.manifest")
        self._tolerate("augment.present", "the artifact is augmented: part of it is not covered by any signature")
        self._augment_manifest = manifest
        self._due = (HEADER_STEM,)

    def _accept_header(self, name: str, body: bytes) -> None:
        manifest = self._settled_manifest()
        self._check_digest(manifest, name, body)
        self._compression = Compression(name.removeprefix(HEADER_STEM))
        source = open_decompressor(io.BytesIO(body), self._compression, member=name)
        self._header = parse_header(source, archive=name, version=self._version, manifest=manifest, found=self.findings)
        known = {"version", name}
        for line in manifest.lines:
            if line.name not in known and not line.name.startswith(DATA_PREFIX):
                _refuse("manifest", f"{quoted(line.name)} is listed but cannot be in an artifact", "manifest.unknown")
        self._due = () if self._augment_manifest is None else (AUGMENT_STEM,)

    def _accept_augment_header(self, name: str, body: bytes) -> None:
        manifest = self._augment_manifest
        if (
            self._header is None
            or manifest is None
            or Compression(name.removeprefix(AUGMENT_STEM)) is not self._compression
        ):
            _refuse("artifact", f"{name} is not compressed like the header", "augment.compression")
        self._check_digest(manifest, name, body)
        source = open_decompressor(io.BytesIO(body), self._compression, member=name)
        self._augment = parse_augment(
            source, archive=name, manifest=manifest, signed=self._header.info, found=self.findings
        )
        self._due = ()

    # --- checks

    def _check_digest(self, manifest: Manifest, name: str, body: bytes) -> None:
        listed = manifest.digest_of(name)
        if listed is None:
            _refuse("manifest", f"{name} is not listed", "manifest.missing")
        if not hmac.compare_digest(listed, hashlib.sha256(body).hexdigest()):
            _refuse(name, "its SHA-256 is not the one in the manifest", "digest.mismatch")

    def _check_payload_names(self) -> None:
        """Check the count and the names of the files, before the first payload byte is looked at."""
        signed = list(self._manifest.payload_digests()) if self._manifest else []
        added = list(self._augment_manifest.payload_digests()) if self._augment_manifest else []
        for name in signed + added:
            documents.check_file_name(name, member="manifest", found=self.findings)
        if len(signed) + len(added) > PAYLOAD_FILES:
            raise LimitError(
                f"cannot read the artifact: more than {PAYLOAD_FILES} payload files",
                where=Where(member="manifest"),
                rule="limit.files",
            )
        kind = self._header.info.payload_type if self._header else None
        if kind is None and signed + added:
            _refuse("manifest", "an empty payload must not have files", "payload.count")
        if ROOTFS_IMAGE in {kind, self._augment.payload_type if self._augment else kind}:
            self._check_rootfs_count(len(signed) + len(added))

    def _check_rootfs_count(self, count: int) -> None:
        if count > 1:
            _refuse("manifest", f"a {ROOTFS_IMAGE} has exactly one file, not {count}", "payload.count")
        if count == 0:
            self._tolerate("payload.none", f"a {ROOTFS_IMAGE} without any file", "no device can install it")

    def _tolerate(self, rule: str, what: str, hint: str | None = None, member: str = "artifact") -> None:
        self.findings.append(Finding(rule=rule, what=what, hint=hint, where=Where(member=member)))


class FileCheck:
    """Hashes one payload file as it goes by; nothing of it may be used before `finish` returned."""

    def __init__(self, name: str, digest: str) -> None:
        self.name = name
        self._digest = digest
        self._hash = hashlib.sha256()
        self._size = 0
        self._checked: PayloadFile | None = None

    def update(self, data: bytes) -> None:
        """Take the next bytes of the file."""
        self._hash.update(data)
        self._size += len(data)

    def finish(self) -> PayloadFile:
        """Return the checked file.

        Raises:
            RejectedError: its SHA-256 is not the one in the manifest.
        """
        return self._checked or self.finish_as(self._hash.hexdigest(), self._size)

    def finish_as(self, digest: str, size: int) -> PayloadFile:
        """Return the checked file, of whose `size` bytes somebody else has computed the digest, in hexadecimal.

        Raises:
            RejectedError: it is not the one in the manifest.
        """
        if not hmac.compare_digest(digest, self._digest):
            raise RejectedError(
                f"cannot use the file {self.name}: its SHA-256 is not the one in the manifest",
                hint="the artifact was damaged or changed on its way; get it again",
                where=Where(member=DATA_PREFIX + self.name),
                rule="digest.mismatch",
            )
        self._checked = PayloadFile(name=self.name, size=size, digest=self._digest)
        return self._checked


def _refuse(member: str, why: str, rule: str) -> NoReturn:
    raise RejectedError(f"cannot read {member}: {why}", where=Where(member=member), rule=rule)
