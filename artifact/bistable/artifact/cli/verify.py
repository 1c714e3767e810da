"""`bistable artifact verify`: may it be trusted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bistable.artifact.cli.attesting import SECTION, attestation_document, attestation_text, uri
from bistable.artifact.cli.describe import verify_view
from bistable.artifact.cli.framework import Example, command, option
from bistable.artifact.cli.options import FILE, NAME, artifact_argument, bundle, output_options
from bistable.artifact.cli.reading import opened
from bistable.artifact.cli.render import Console
from bistable.artifact.cli.verifying import Verifying, verifying_options
from bistable.artifact.errors import RequestError

if TYPE_CHECKING:
    from bistable.artifact.keys import Verifier
    from bistable.artifact.model import Head

KINDS = ("provenance", "spdx", "cyclonedx")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """What the options said is to be attested."""

    attestations: bool
    attestation_file: str | None
    attestation_keys: Sequence[Path]
    require: Sequence[str]
    builder: str | None

    @property
    def wanted(self) -> bool:
        """Return whether attestations are to be checked."""
        return bool(self.attestations or self.attestation_file or self.attestation_keys or self.require or self.builder)

    def check(
        self, artifact: str, head: "Head", verifiers: "Sequence[Verifier]"
    ) -> list[tuple[str, Mapping[str, Any]]] | None:
        """Return what is attested, as (text, document); None if it is not asked for.

        Raises:
            SignatureError, RejectedError, PolicyError: it is not as it should be.
        """
        if not self.wanted:
            return None
        from bistable.artifact.attest import (
            BUNDLE_SUFFIX,
            PredicateKind,
            beside,
            load_bundle,
            require_attestations,
            verify_bundle,
        )
        from bistable.artifact.keys import read_verifiers

        own = [verifier for path in self.attestation_keys for verifier in read_verifiers(path)]
        lines = load_bundle(self.attestation_file or beside(artifact, BUNDLE_SUFFIX))
        found = verify_bundle(lines, head=head, verifiers=own or verifiers)
        require_attestations(found, kinds={PredicateKind(kind) for kind in self.require}, builder=self.builder)
        return [(attestation_text(item), attestation_document(item)) for item in found]


@command(
    "verify",
    examples=[
        Example("Verify with a public key", "bistable artifact verify -k public.pem release-1.mender"),
        Example(
            "Verify with any of the keys in a directory, while it is downloaded",
            "bistable artifact verify -k trusted-keys/ https://updates.example.com/release-1.mender",
        ),
        Example(
            "Trust whoever a certificate authority vouches for",
            "bistable artifact verify --ca root.pem --chain release.chain.pem --crl root.crl release-1.mender",
        ),
        Example(
            "Demand a signed provenance by a certain pipeline",
            "bistable artifact verify -k public.pem --require provenance --builder https://ci.example.com/firmware \\\n"
            "    release-1.mender",
        ),
    ],
)
@verifying_options
@bundle(
    "attested",
    Attested,
    [
        option(
            "--attestations",
            is_flag=True,
            section=SECTION,
            help="Check the attestations, too: those in the file beside the artifact that has .intoto.jsonl after its "
            "name.",
        ),
        option(
            "--attestation-file",
            type=NAME,
            metavar="FILE",
            section=SECTION,
            help="Check those in this file (or at this address) instead.",
        ),
        option(
            "--attestation-key",
            "attestation_keys",
            type=FILE,
            multiple=True,
            metavar="FILE",
            section=SECTION,
            help="Key of whoever attests, if it is not the one that signs artifacts. May be given several times.",
        ),
        option(
            "--require",
            type=click.Choice(KINDS),
            multiple=True,
            section=SECTION,
            help="Refuse the artifact unless there is an attestation of this kind. May be given several times.",
        ),
        option(
            "--builder",
            type=uri,
            metavar="URI",
            section=SECTION,
            help="Refuse the artifact unless its provenance names this builder.",
        ),
    ],
)
@output_options
@artifact_argument
def verify(artifact: str, verifying: Verifying, attested: Attested, console: Console) -> None:
    """Check an artifact from its first byte to its last: signature, structure, every digest.

    With a key, an artifact that is not signed, or not by that key, is refused. Without one, an artifact that is signed
    is refused, since nobody checked its signature, and one that is not signed can only be found to be whole. Reads
    forward, once, so that a pipe or an address will do.
    """
    from bistable.artifact.reader import read_artifact

    policy = verifying.policy(artifact, allow_unchecked=False)
    if attested.wanted and not policy.verifiers and not attested.attestation_keys:
        raise RequestError(
            "cannot check attestations without a key", hint="-k FILE, --ca FILE or --attestation-key FILE"
        )
    with opened(artifact, console, "verifying") as source:
        found = read_artifact(source, policy)
        name = source.name
    console.result(verify_view(name, found, attested.check(artifact, found.head, policy.verifiers)))
