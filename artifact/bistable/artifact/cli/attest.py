"""`bistable artifact attest`: signed statements beside an artifact."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bistable.artifact.cli.attesting import SECTION, Attesting, attesting_options, sign_statements
from bistable.artifact.cli.contents import read_small
from bistable.artifact.cli.framework import Example, command, option
from bistable.artifact.cli.moving import refuse_moved
from bistable.artifact.cli.options import FILE, OUTPUT, output_options
from bistable.artifact.cli.reading import opened
from bistable.artifact.cli.render import Console, View, clean, count_text, rows
from bistable.artifact.cli.signing import Signing, signing_options
from bistable.artifact.errors import RequestError

if TYPE_CHECKING:
    from bistable.artifact.attest import Bill, Package

STATUS_SIZE = 64 * 1024 * 1024
"""Largest package list that is read, in bytes; that of a full desktop has 4 MiB."""


@command(
    "attest",
    examples=[
        Example(
            "Attest the build and what is in the image",
            "bistable artifact attest -k private.pem --provenance https://ci.example.com/firmware \\\n"
            "    --sbom image.spdx.json release-1.mender",
        ),
        Example(
            "List the Debian packages inside the image",
            "bistable artifact attest -k private.pem --make-sbom spdx release-1.mender",
        ),
        Example("Check it", "bistable artifact verify -k public.pem --attestations release-1.mender"),
    ],
)
@attesting_options
@option(
    "--make-sbom",
    type=click.Choice(["spdx", "cyclonedx"]),
    section=SECTION,
    help="Make and attest a bill of materials of the packages that dpkg has installed in the image that the artifact "
    "carries: names, versions and package URLs.",
)
@option(
    "--packages",
    type=FILE,
    metavar="FILE",
    section=SECTION,
    help="Take the packages from this status file of dpkg or opkg instead.",
)
@option(
    "--distribution",
    default="debian",
    show_default=True,
    metavar="NAME",
    section=SECTION,
    help="Distribution that the packages are of, for their package URLs.",
)
@signing_options
@option(
    "-o",
    "--output-path",
    type=FILE,
    metavar="FILE",
    section=OUTPUT,
    help="Write the attestations to this file; by default to the one beside the artifact that has .intoto.jsonl after "
    "its name.",
)
@option(
    "--replace",
    is_flag=True,
    section=OUTPUT,
    help="Start the file anew. By default attestations are added to those that are there.",
)
@output_options
@click.argument("artifact", type=FILE)
@refuse_moved()
def attest(
    artifact: Path,
    attesting: Attesting,
    make_sbom: str | None,
    packages: Path | None,
    distribution: str,
    signing: Signing,
    output_path: Path | None,
    replace: bool,
    console: Console,
) -> None:
    """Attest what an artifact is made of, in a signed file beside it.

    An attestation is bound to the artifact by digest: it stays valid when the artifact is signed again or compressed
    anew, and is void when anything else of it changes. It is as true as its signer is honest.
    docs/reference/attestations.md has the details.
    """
    from bistable.artifact.attest import append_to_bundle, bundle_path, write_bundle
    from bistable.artifact.rewrite.existing import open_existing

    signer = signing.signer()
    if signer is None:
        raise RequestError("cannot attest: no key is named", hint="-k FILE, --key-pkcs11 URI or --sign-command COMMAND")
    if not attesting.wanted and make_sbom is None:
        raise RequestError("cannot attest: nothing to attest is named", hint="--provenance, --sbom or --make-sbom")
    if packages is not None and make_sbom is None:
        raise RequestError("cannot use --packages without --make-sbom")
    bills = attesting.bills()
    listed = None if make_sbom is None else _packages(artifact, packages, console)
    with open_existing(artifact) as existing:
        if make_sbom is not None and listed is not None:
            bills.append(_made(make_sbom, listed, existing.head.header.info.artifact_name, distribution))
        statements = attesting.statements(existing.head, existing.data_compression, bills)
    target = output_path or bundle_path(artifact)
    (write_bundle if replace else append_to_bundle)(target, sign_statements(statements, signer))
    kinds = (["provenance"] if attesting.provenance else []) + [bill.summary.format for bill in bills]
    console.result(_view(target, kinds, signer.public.name))


def _packages(artifact: Path, status: Path | None, console: Console) -> "tuple[Package, ...]":
    """Return the packages in the image, or in a status file on this machine."""
    from bistable.artifact.attest import DPKG_STATUS, parse_dpkg_status

    if status is not None:
        return parse_dpkg_status(read_small(status, STATUS_SIZE))
    from bistable.artifact.image import read_file
    from bistable.artifact.imageedit import unpacked_image

    content = bytearray()

    def take(piece: bytes) -> None:
        content.extend(piece)
        if len(content) > STATUS_SIZE:
            raise RequestError(f"cannot list the packages: {DPKG_STATUS} is larger than {STATUS_SIZE} bytes")

    with opened(str(artifact), console, "reading") as source, unpacked_image(source) as image:
        read_file(image, DPKG_STATUS, take)
    return parse_dpkg_status(bytes(content))


def _made(kind: str, packages: "tuple[Package, ...]", name: str, distribution: str) -> "Bill":
    from bistable.artifact.attest import as_bill, make_cyclonedx, make_spdx
    from bistable.artifact.writer import source_date_epoch

    make = make_spdx if kind == "spdx" else make_cyclonedx
    document = make(packages, name=name, created=source_date_epoch(), vendor=distribution)
    return as_bill(document, name="the bill of materials")


def _view(target: Path, kinds: list[str], key: str) -> View:
    document: dict[str, Any] = {"output": str(target), "attested": kinds, "signed_by": key}
    return View(
        schema="artifact.attest/1",
        document=document,
        lines=[
            f"wrote {clean(str(target))}, {count_text(len(kinds), 'attestation')}",
            *rows([("attested", ", ".join(map(clean, kinds))), ("signature", f"by {clean(key)}")], indent="  "),
        ],
    )
