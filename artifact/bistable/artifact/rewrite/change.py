"""Changing an artifact by writing its few kilobytes of head anew; the payload moves as it is, unread. FORMAT.md §12."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from bistable.artifact.errors import RequestError, SignatureError, Where
from bistable.artifact.files import replacing
from bistable.artifact.keys import encode_signature, parse_signature
from bistable.artifact.keys.ports import Signer, Verifier
from bistable.artifact.model import ROOTFS_IMAGE, Compression, Head, Header, SignatureState
from bistable.artifact.rewrite.edit import HeadEdit, apply_edit
from bistable.artifact.rewrite.existing import Existing, open_existing, write_with_data
from bistable.artifact.writer.defaults import SoftwareVersion
from bistable.artifact.writer.head import build_head, frame_head
from bistable.artifact.writer.request import CHECKSUM_KEY, check_header


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What a change made: the artifact's name, its size in bytes, and what became of the signature.

    `key` names who signed it now; with `signature_kept` an older signature is still valid; neither: it is not signed.
    """

    name: str
    size: int
    key: str | None
    signature_kept: bool = False
    payload_read: bool = False


def manifest_to_sign(path: Path) -> bytes:
    """Return the bytes that a signature must cover, for signing elsewhere.

    Raises:
        RejectedError: the artifact's head breaks a rule.
    """
    with open_existing(path) as existing:
        return existing.member("manifest") or b""


def sign_artifact(path: Path, target: Path, signer: Signer, *, mtime: int = 0) -> Changed:
    """Write the artifact with a (new) signature to `target`; nothing else of it changes, and the payload is not read.

    Raises:
        RejectedError: the artifact's head breaks a rule.
        KeyUnusableError: the signer cannot sign.
        MachineError: a file cannot be read or written.
    """
    return _sign_again(path, target, signer.sign, signer.public.name, mtime)


def attach_signature(path: Path, target: Path, signature: bytes, verifier: Verifier, *, mtime: int = 0) -> Changed:
    """Write the artifact with a signature that was made elsewhere (raw, DER or base64) and that `verifier` confirms.

    Raises:
        SignatureError: the signature is not one over this artifact's manifest by this key.
    """
    raw = parse_signature(signature, verifier)

    def checked(manifest: bytes) -> bytes:
        if not verifier.verify(manifest, raw):
            raise SignatureError(
                f"cannot attach this signature: it is not one by {verifier.name} over this artifact's manifest",
                hint="sign exactly what `bistable artifact sign --print-manifest` wrote",
                where=Where(member="manifest.sig"),
                rule="signature.wrong",
            )
        return raw

    return _sign_again(path, target, checked, verifier.name, mtime)


def strip_signature(path: Path, target: Path, *, mtime: int = 0) -> Changed:
    """Write the artifact without its signature."""
    return _sign_again(path, target, None, None, mtime)


def modify_artifact(
    path: Path,
    target: Path,
    edit: HeadEdit,
    *,
    signer: Signer | None = None,
    drop_signature: bool = False,
    mtime: int = 0,
) -> Changed:
    """Write the artifact with a changed header to `target`; the payload is moved, neither read nor compressed again.

    Raises:
        RequestError: the change is impossible, or it would make the signature worthless and neither a signer is
            given nor `drop_signature`.
    """
    return _rewrite(path, target, lambda head: apply_edit(as_version_3(head), edit), signer, drop_signature, mtime)


def repair_artifact(
    path: Path, target: Path, *, signer: Signer | None = None, drop_signature: bool = False, mtime: int = 0
) -> Changed:
    """Write the artifact as version 3 with the payload type that mender-artifact 3.3.0 to 4.3.0 left empty.

    Raises:
        RequestError: the artifact is signed, and neither a signer is given nor `drop_signature`.
    """
    return _rewrite(path, target, as_version_3, signer, drop_signature, mtime)


def needs_repair(head: Head) -> bool:
    """Return whether current tools would refuse the artifact for faults that `repair_artifact` mends."""
    return head.version != 3 or head.header.type_info.payload_type != head.header.info.payload_type


def _sign_again(
    path: Path, target: Path, sign: Callable[[bytes], bytes] | None, key: str | None, mtime: int
) -> Changed:
    with open_existing(path) as existing:
        refuse_augmented(existing.head)
        manifest = existing.member("manifest") or b""
        head = frame_head(
            existing.member("version") or b"",
            manifest,
            None if sign is None else encode_signature(sign(manifest)),
            existing.header_name,
            existing.member(existing.header_name) or b"",
            mtime=mtime,
        )
        with replacing(target) as out:
            size = write_with_data(out, head, existing)
        return Changed(name=existing.head.header.info.artifact_name, size=size, key=key)


def _rewrite(
    path: Path,
    target: Path,
    change: Callable[[Head], Header],
    signer: Signer | None,
    drop_signature: bool,
    mtime: int,
) -> Changed:
    with open_existing(path) as existing:
        refuse_augmented(existing.head)
        refuse_lost_signature(existing.head, signer, drop_signature=drop_signature)
        header = change(existing.head)
        check_header(header)
        with replacing(target) as out:
            size = write_changed(out, existing, header, existing.head.header_compression, signer, mtime)
        return Changed(name=header.info.artifact_name, size=size, key=None if signer is None else signer.public.name)


def write_changed(
    out: BinaryIO, existing: Existing, header: Header, kind: Compression, signer: Signer | None, mtime: int
) -> int:
    """Write the old payload behind a new head and return the size in bytes."""
    files = list(existing.head.manifest.payload_digests().items())
    head, _ = build_head(header, files, kind, mtime=mtime, sign=None if signer is None else signer.sign)
    return write_with_data(out, head, existing)


def refuse_lost_signature(head: Head, signer: Signer | None, *, drop_signature: bool) -> None:
    """Raise RequestError if a change would quietly cost the artifact its signature."""
    if head.signature is SignatureState.UNSIGNED or signer is not None or drop_signature:
        return
    raise RequestError(
        "cannot change this artifact: it is signed, and the change makes the signature worthless",
        hint="give a key to sign it again (-k KEY), or say --drop-signature",
    )


def refuse_augmented(head: Head) -> None:
    """Raise RequestError if a change would quietly cost the artifact its unsigned part."""
    if head.augment is not None:
        raise RequestError(
            "cannot change this artifact: it is augmented, and the unsigned part would be lost",
            hint="write it again from its files; device clients from 4.0 on refuse augmented artifacts anyway",
        )


def as_version_3(head: Head) -> Header:
    """Return the header as a version 3 header with its types in agreement; version 2 gets the default provides."""
    header = head.header
    info = replace(header.type_info, payload_type=header.info.payload_type)
    if head.version == 2:
        version = SoftwareVersion()
        provides = dict(version.provides(ROOTFS_IMAGE, header.info.artifact_name))
        provides[CHECKSUM_KEY] = next(iter(head.manifest.payload_digests().values()))
        info = replace(info, provides=provides, clears_provides=version.clears(ROOTFS_IMAGE))
    return replace(header, type_info=info)
