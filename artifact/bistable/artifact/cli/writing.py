"""What the three `write` commands share: options on the output, and the way from a request to a written artifact."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from bistable.artifact.cli.attesting import Attesting, sign_statements
from bistable.artifact.cli.contents import Contents, Version
from bistable.artifact.cli.framework import option
from bistable.artifact.cli.options import NAME, OUTPUT, bundle, size
from bistable.artifact.cli.outputs import STANDARD, is_stdout, refuse_terminal, temporary_directory
from bistable.artifact.cli.render import Console, View, clean, count_text, rows, size_text
from bistable.artifact.cli.signing import Signing
from bistable.artifact.errors import RequestError

if TYPE_CHECKING:
    from bistable.artifact.attest import Bill
    from bistable.artifact.keys import Signer
    from bistable.artifact.spec import BuildSpec
    from bistable.artifact.writer import PayloadInput, WriteRequest, Written

F = TypeVar("F", bound=Callable[..., Any])

NOTHING_ATTESTED: Final = Attesting()
NAMED_FILES: Final = 3
"""As many payload files are named in the text; more are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """What the options said of the output."""

    output_path: str
    compression: str
    max_artifact_size: int | None
    warn_artifact_size: int | None
    format_version: str

    @property
    def to_stdout(self) -> bool:
        """Return whether the artifact goes to standard output."""
        return is_stdout(self.output_path)


def destination_options(function: F) -> F:
    """Add the options on the output, handed over as `destination`."""
    return bundle(
        "destination",
        Destination,
        [
            option(
                "-o",
                "--output-path",
                type=NAME,
                default="artifact.mender",
                show_default=True,
                metavar="FILE",
                section=OUTPUT,
                help="Write the artifact to this file, which appears when it is complete, in place of an older one; "
                "- is standard output.",
            ),
            option(
                "--compression",
                default="zstd",
                show_default=True,
                metavar="KIND",
                section=OUTPUT,
                help="none, gzip, xz (also called lzma) or zstd, with a level and options after a colon: gzip:9, "
                "zstd:19,threads=4, zstd:3,long=27. Device clients before 3.5 and mender-artifact before 3.10 read no "
                "zstd.",
            ),
            option(
                "--max-artifact-size",
                type=size,
                metavar="SIZE",
                section=OUTPUT,
                help="Give up as soon as the artifact is larger than this: 5000000, 5MB, 5MiB.",
            ),
            option(
                "--warn-artifact-size",
                type=size,
                metavar="SIZE",
                section=OUTPUT,
                help="Warn if the artifact is larger than this.",
            ),
            option(
                "-v",
                "--version",
                "format_version",
                default="3",
                metavar="3",
                section=OUTPUT,
                help="Version of the format. Only 3 is written; the option is there for old scripts.",
            ),
        ],
    )(function)


def basic_spec(contents: Contents, version: Version | None, **more: Any) -> "BuildSpec":
    """Return what is to be written, as the options say it."""
    from bistable.artifact.spec import BuildSpec
    from bistable.artifact.writer import SoftwareVersion

    if version is not None:
        more["default_clears"] = not version.no_default_clears_provides
        more["software"] = SoftwareVersion(
            filesystem=version.software_filesystem,
            name=version.software_name,
            version=version.software_version,
            use_defaults=not version.no_default_software_version,
        )
    return BuildSpec(
        name=contents.artifact_name,
        device_types=tuple(contents.device_types),
        group=contents.provides_group,
        depends_names=tuple(contents.artifact_name_depends),
        depends_groups=tuple(contents.depends_groups),
        provides=dict(contents.provides),
        depends=dict(contents.depends),
        clears=tuple(contents.clears_provides),
        **more,
    )


def write_out(
    spec: "BuildSpec",
    destination: Destination,
    signing: Signing,
    console: Console,
    *,
    attesting: Attesting = NOTHING_ATTESTED,
    stdin_name: str | None = None,
) -> None:
    """Write what `spec` asks for, attest it, and show it; a file `-` in it is standard input, called `stdin_name`.

    Raises:
        RequestError, KeyUnusableError, PolicyError, MachineError: as the library says.
    """
    from bistable.artifact.streams import Codec
    from bistable.artifact.writer import Options, source_date_epoch

    _check_destination(destination, console)
    # The key comes first: whether it can be used is known before any work is done, and nothing is written without it.
    signer = signing.signer()
    bills = _bills(attesting, destination, signer)
    codec = Codec.parse(destination.compression)
    with _prepared(spec, destination, console, stdin_name) as request, console.progress("writing") as meter:
        meter.total = _total(request)
        options = Options(
            codec=codec,
            signer=signer,
            mtime=source_date_epoch(),
            max_size=destination.max_artifact_size,
            on_progress=meter.advance,
        )
        written = _write(destination, request, options)
    attested = None
    if attesting.wanted and signer is not None:
        attested = _attest(Path(destination.output_path), attesting, bills, signer)
    console.result(written_view(destination.output_path, request, written, attested), aside=destination.to_stdout)
    _warn_size(written.size, destination.warn_artifact_size, console)


def _bills(attesting: Attesting, destination: Destination, signer: "Signer | None") -> "list[Bill]":
    """Read what is to be attested, before anything is written."""
    if attesting.wanted and signer is None:
        raise RequestError(
            "cannot attest without a key", hint="the key that signs the artifact signs attestations, too"
        )
    if attesting.wanted and destination.to_stdout:
        raise RequestError("cannot attest what goes to standard output: attestations stand in a file beside it")
    return attesting.bills()


def _attest(path: Path, attesting: Attesting, bills: "list[Bill]", signer: "Signer") -> Path:
    from bistable.artifact.attest import bundle_path, write_bundle
    from bistable.artifact.rewrite.existing import open_existing

    with open_existing(path) as existing:
        statements = attesting.statements(existing.head, existing.data_compression, bills)
    write_bundle(bundle_path(path), sign_statements(statements, signer))
    return bundle_path(path)


def written_view(output: str, request: "WriteRequest", written: "Written", attested: Path | None = None) -> View:
    """Return what was written; `attested` is the file of its attestations."""
    info = request.header.info
    total = sum(file.size for file in written.files)
    names = ", ".join(file.name for file in written.files)
    files = names if 0 < len(written.files) <= NAMED_FILES else count_text(len(written.files), "file")
    kind = info.payload_type or "empty"
    payload = f"{kind}, {written.compression.label}: {files}" + (f", {size_text(total)}" if written.files else "")
    shown = "standard output" if is_stdout(output) else output
    return View(
        schema="artifact.write/1",
        document={
            "output": output,
            "artifact_name": written.name,
            "device_types": list(info.device_types),
            "size": written.size,
            "compression": written.compression.label,
            "manifest_sha256": written.manifest_digest,
            "signed_by": written.key,
            "attestations": None if attested is None else str(attested),
            "payload": {
                "type": info.payload_type,
                "files": [{"name": file.name, "size": file.size, "sha256": file.digest} for file in written.files],
            },
        },
        lines=[
            f"wrote {clean(shown)}, {size_text(written.size)}",
            *rows(
                [
                    ("artifact", f"{clean(written.name)} for {', '.join(map(clean, info.device_types))}"),
                    ("payload", clean(payload)),
                    ("signature", f"by {clean(written.key)}" if written.key else "none"),
                    ("manifest", f"sha256 {written.manifest_digest}"),
                    ("attested", "" if attested is None else clean(str(attested))),
                ],
                indent="  ",
            ),
        ],
    )


def _check_destination(destination: Destination, console: Console) -> None:
    if destination.format_version != "3":
        raise RequestError(
            f"cannot write version {destination.format_version} of the format: only 3 is written",
            hint="version 2 has no provides and depends, and current device clients refuse it; it can still be read",
        )
    refuse_terminal(destination.output_path, console)


@contextmanager
def _prepared(
    spec: "BuildSpec", destination: Destination, console: Console, stdin_name: str | None
) -> "Iterator[WriteRequest]":
    from bistable.artifact.spec import to_request
    from bistable.artifact.spec.build import is_tree

    tree = spec.files[0] if spec.payload_type == "rootfs-image" and is_tree(spec.files[0]) else None
    with nullcontext(spec) if tree is None else _with_image(spec, tree, destination, console) as ready:
        request = to_request(ready)
        yield replace(
            request,
            files=tuple(_input(item, path, stdin_name) for item, path in zip(request.files, ready.files, strict=True)),
        )


def _input(item: "PayloadInput", path: Path, stdin_name: str | None) -> "PayloadInput":
    from bistable.artifact.writer import InputStream

    return item if str(path) != STANDARD else InputStream(name=stdin_name or "", source=sys.stdin.buffer)


@contextmanager
def _with_image(spec: "BuildSpec", tree: Path, destination: Destination, console: Console) -> "Iterator[BuildSpec]":
    """Make an image of a directory or tar file, beside the output, for as long as the block runs."""
    import os

    from bistable.artifact.image import make_image
    from bistable.artifact.writer import source_date_epoch

    beside = None if destination.to_stdout else Path(destination.output_path).parent
    epoch = source_date_epoch() if os.environ.get("SOURCE_DATE_EPOCH") else None
    with temporary_directory(beside) as directory:
        image = directory / f"rootfs.{spec.image.kind.value}"
        made = make_image(tree, image, replace(spec.image, epoch=epoch))
        for left_out in made.left_out:
            console.warn(f"not in the image: {left_out}")
        yield replace(spec, files=(image,))


def _write(destination: Destination, request: "WriteRequest", options: Any) -> "Written":
    from bistable.artifact.writer import write_artifact, write_to_stream

    if destination.to_stdout:
        return write_to_stream(sys.stdout.buffer, request, options)
    return write_artifact(Path(destination.output_path), request, options)


def _total(request: "WriteRequest") -> int | None:
    """Return how many payload bytes there are to write, None if only the end of a stream will tell."""
    total = 0
    for item in request.files:
        path = getattr(item, "path", None)
        if path is None or not path.is_file():
            return None
        total += path.stat().st_size
    return total


def _warn_size(written: int, limit: int | None, console: Console) -> None:
    if limit is not None and written > limit:
        console.warn(f"the artifact has {size_text(written)}, more than {size_text(limit)}")
