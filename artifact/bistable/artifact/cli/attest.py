"""`bistable artifact attest`: signed statements beside an artifact."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bistable.artifact.cli.attesting import SECTION, Attesting, attesting_options, sign_statements
from bistable.artifact.cli.contents import read_small
from bistable.artifact.cli.framework import Example, command, option
from bistable.artifact.cli.moving import refuse_moved
from bistable.artifact.cli.options import FILE, OUTPUT, output_options
from bistable.artifact.cli.outputs import is_stdout
from bistable.artifact.cli.reading import opened
from bistable.artifact.cli.render import Console, View, clean, count_text, rows
from bistable.artifact.cli.signing import SECTION as SIGNING
from bistable.artifact.cli.signing import Signing, one_verifier, signing_options
from bistable.artifact.errors import RequestError, SignatureError

if TYPE_CHECKING:
    from bistable.artifact.attest import Bill
    from bistable.artifact.keys import Verifier
    from bistable.artifact.packages import Package
    from bistable.artifact.trust import Policy

STATUS_SIZE = 64 * 1024 * 1024
"""Largest package list that is read, in bytes; that of a full desktop has 4 MiB."""

LISTED = {"dpkg", "opkg"}
"""Package managers whose packages can be named by a package URL of the type `deb`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Installed packages, and the distribution that they are of if something tells."""

    packages: "tuple[Package, ...]"
    distribution: str | None


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
    help="Make and attest a bill of materials of the packages that dpkg or opkg has installed in the image that the "
    "artifact carries: names, versions and package URLs.",
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
    metavar="NAME",
    section=SECTION,
    help="Distribution that the packages are of, for their package URLs; by default the one that the image says it is "
    "(ID in /etc/os-release), else debian.",
)
@option(
    "--artifact-key",
    "artifact_keys",
    type=FILE,
    multiple=True,
    metavar="FILE",
    section=SIGNING,
    help="Public key that the artifact is signed with, if another key attests. May be given several times.",
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
    distribution: str | None,
    artifact_keys: Sequence[Path],
    signing: Signing,
    output_path: Path | None,
    replace: bool,
    console: Console,
) -> None:
    """Attest what an artifact is made of, in a signed file beside it.

    An attestation is bound to the artifact by digest: it stays valid when the artifact is signed again or compressed
    anew, and is void when anything else of it changes. It is as true as its signer is honest.
    docs/reference/attestations.md has the details.

    An artifact that is signed must be signed by the same key, or by one of --artifact-key: nobody should vouch for what
    a stranger made. One that is not signed yet is attested as it is. Its payload is read for --make-sbom only.
    """
    from bistable.artifact.attest import append_to_bundle, bundle_path, write_bundle
    from bistable.artifact.rewrite.existing import open_existing

    signer = signing.signer()
    if signer is None:
        raise RequestError("cannot attest: no key is named", hint="-k FILE, --key-pkcs11 URI or --sign-command COMMAND")
    _check_request(attesting, make_sbom, packages, output_path)
    bills = attesting.bills()
    policy = _policy(artifact, (signer.public, *map(one_verifier, artifact_keys)))
    listed = None if make_sbom is None else _packages(artifact, packages, policy, console)
    with open_existing(artifact, policy) as existing:
        if make_sbom is not None and listed is not None:
            bills.append(_made(make_sbom, listed, existing.head.header.info.artifact_name, distribution))
        statements = attesting.statements(existing.head, existing.data_compression, bills)
    target = output_path or bundle_path(artifact)
    (write_bundle if replace else append_to_bundle)(target, sign_statements(statements, signer))
    kinds = (["provenance"] if attesting.provenance else []) + [bill.summary.format for bill in bills]
    console.result(_view(target, kinds, signer.public.name))


def _check_request(attesting: Attesting, make_sbom: str | None, packages: Path | None, output: Path | None) -> None:
    if not attesting.wanted and make_sbom is None:
        raise RequestError("cannot attest: nothing to attest is named", hint="--provenance, --sbom or --make-sbom")
    if packages is not None and make_sbom is None:
        raise RequestError("cannot use --packages without --make-sbom")
    if output is not None and is_stdout(str(output)):
        raise RequestError("cannot write attestations to standard output", hint="name a file with -o")


def _policy(artifact: Path, verifiers: "tuple[Verifier, ...]") -> "Policy":
    """Return what to read the artifact with, after seeing that it is not somebody else's.

    Raises:
        SignatureError: it is signed, but by none of the keys.
    """
    from bistable.artifact.model import SignatureState
    from bistable.artifact.rewrite.existing import open_existing
    from bistable.artifact.trust import Policy

    with open_existing(artifact) as existing:
        signed = existing.head.signature is not SignatureState.UNSIGNED
    policy = Policy(verifiers=verifiers if signed else (), allow_augment=True)
    try:
        with open_existing(artifact, policy):
            return policy
    except SignatureError as e:
        hint = "--artifact-key FILE names the key that signed it, if it is another than the one that attests"
        raise SignatureError(e.what, hint=hint, where=e.where, rule=e.rule) from e


def _packages(artifact: Path, status: Path | None, policy: "Policy", console: Console) -> Listed:
    """Return the packages in the image, or in a status file on this machine."""
    from bistable.artifact.attest import parse_dpkg_status

    if status is not None:
        return Listed(packages=parse_dpkg_status(read_small(status, STATUS_SIZE)), distribution=None)
    from bistable.artifact.image import installed_packages, read_release
    from bistable.artifact.imageedit import unpacked_image

    with opened(str(artifact), console, "reading") as source, unpacked_image(source, policy) as image:
        release = read_release(image)
        if release.package_database not in LISTED:
            there = "" if release.package_database is None else f", only one of {release.package_database}"
            raise RequestError(
                f"cannot list the packages in the image: it has no database of dpkg or opkg{there}",
                hint="attach the bill of materials that the build system makes: --sbom FILE",
            )
        return Listed(packages=installed_packages(image), distribution=release.os_release.get("ID"))


def _made(kind: str, listed: Listed, name: str, distribution: str | None) -> "Bill":
    from bistable.artifact.attest import DEFAULT_VENDOR, as_bill, make_cyclonedx, make_spdx
    from bistable.artifact.writer import source_date_epoch

    make = make_spdx if kind == "spdx" else make_cyclonedx
    vendor = distribution or listed.distribution or DEFAULT_VENDOR
    document = make(listed.packages, name=name, created=source_date_epoch(), vendor=vendor)
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
