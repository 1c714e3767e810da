"""`bistable artifact repack`: the same content in another compression, or mended."""

from typing import TYPE_CHECKING

from bistable.artifact.cli.changing import Change, change_options, changed_view, places
from bistable.artifact.cli.framework import Example, command, option
from bistable.artifact.cli.moving import refuse_moved
from bistable.artifact.cli.options import output_options
from bistable.artifact.cli.render import Console
from bistable.artifact.cli.signing import SECTION, Signing, signing_options
from bistable.artifact.errors import RequestError

if TYPE_CHECKING:
    from pathlib import Path

    from bistable.artifact.keys import Signer
    from bistable.artifact.model import Compression
    from bistable.artifact.rewrite import Changed
    from bistable.artifact.rewrite.existing import Existing


@command(
    "repack",
    examples=[
        Example(
            "Make a smaller one; the signature stays valid",
            "bistable artifact repack --compression xz:9 release-1.mender -o small.mender",
        ),
        Example(
            "Make one for clients that read no zstd",
            "bistable artifact repack --compression gzip -k private.pem release-1.mender -o old.mender",
        ),
        Example(
            "Mend what mender-artifact 3.3 to 4.3 wrote, and sign again",
            "bistable artifact repack --repair -k private.pem old.mender",
        ),
    ],
)
@option(
    "--compression",
    metavar="KIND",
    help="Compress the payload so: none, gzip, xz (also called lzma) or zstd, with a level and options after a colon: "
    "gzip:9 or zstd:19,threads=4. Every digest is checked on the way.",
)
@option(
    "--repair",
    is_flag=True,
    help="Write the payload type that mender-artifact 3.3.0 to 4.3.0 left empty, and version 3 of the format in place "
    "of version 2. Only the head is written anew; the payload is moved as it is, not read.",
)
@option(
    "--drop-signature",
    is_flag=True,
    section=SECTION,
    help="Leave a repaired artifact unsigned; without a key and without this, a signed one is not repaired.",
)
@signing_options
@change_options
@output_options
@refuse_moved()
def repack(
    change: Change, compression: str | None, repair: bool, drop_signature: bool, signing: Signing, console: Console
) -> None:
    """Store an artifact's payload in another compression, or mend its head.

    No digest covers the compressed form, so a signed artifact that is compressed anew keeps its head to the letter, and
    its signature. With a key, or if it was not signed, the head is written anew as well, in the current version of the
    format and in the same compression as the payload.
    """
    if repair == (compression is not None):
        raise RequestError(
            "cannot repack: name either --compression or --repair",
            hint="an unsigned artifact that is compressed anew is repaired, too",
        )
    if drop_signature and not repair:
        raise RequestError("cannot use --drop-signature without --repair", hint="`sign --strip` removes a signature")
    signer = signing.signer()
    with places(change, console) as found:
        if compression is None:
            did, changed = _repair(found.source, found.target, signer, drop_signature)
        else:
            did, changed = "repacked", _recompress(found.source, found.target, signer, compression, console)
        left = _header_left(found.target, compression) if changed.signature_kept else None
    console.result(changed_view(change, changed, did=did, all_read=False), aside=change.to_stdout)
    if left is not None:
        console.warn(
            f"the header stays in {left.label}, since the signature covers it",
            hint="a reader without it cannot read the artifact; with a key (-k) the header is compressed anew, too",
        )


def _header_left(path: "Path", compression: str | None) -> "Compression | None":
    """Return the compression of a header that was to be changed with that of the payload, and could not be."""
    from bistable.artifact.rewrite.existing import open_existing
    from bistable.artifact.streams import Codec

    with open_existing(path) as existing:
        kept = existing.head.header_compression
    return None if compression is None or kept is Codec.parse(compression).kind else kept


def _recompress(
    source: "Path", target: "Path", signer: "Signer | None", compression: str, console: Console
) -> "Changed":
    from bistable.artifact.rewrite import recompress_artifact
    from bistable.artifact.streams import Codec
    from bistable.artifact.writer import Options, source_date_epoch

    codec = Codec.parse(compression)
    with console.progress("repacking") as meter:
        options = Options(codec=codec, signer=signer, mtime=source_date_epoch(), on_progress=meter.advance)
        return recompress_artifact(source, target, options)


def _repair(source: "Path", target: "Path", signer: "Signer | None", drop_signature: bool) -> "tuple[str, Changed]":
    """Repair, or copy if there is nothing to repair: the output is there in either case."""
    from bistable.artifact.rewrite import needs_repair, repair_artifact
    from bistable.artifact.rewrite.existing import open_existing
    from bistable.artifact.writer import source_date_epoch

    if signer is None and not drop_signature:
        with open_existing(source) as existing:
            if not needs_repair(existing.head):
                return "kept", _copy(existing, source, target)
    changed = repair_artifact(source, target, signer=signer, drop_signature=drop_signature, mtime=source_date_epoch())
    return "repaired", changed


def _copy(existing: "Existing", source: "Path", target: "Path") -> "Changed":
    from bistable.artifact.files import replacing
    from bistable.artifact.model import SignatureState
    from bistable.artifact.rewrite import Changed
    from bistable.artifact.rewrite.existing import copy_range

    size = source.stat().st_size
    if source.resolve() != target:
        with replacing(target) as out:
            copy_range(existing.file, out, 0, size)
    return Changed(
        name=existing.head.header.info.artifact_name,
        size=size,
        key=None,
        signature_kept=existing.head.signature is not SignatureState.UNSIGNED,
    )
