"""Options that say what an artifact is verified with, and the policy that they mean."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from bistable.artifact.cli.framework import option
from bistable.artifact.cli.options import FILE, NAME, bundle
from bistable.artifact.errors import KeyUnusableError, RequestError

if TYPE_CHECKING:
    from bistable.artifact.keys import Verifier
    from bistable.artifact.trust import Policy

F = TypeVar("F", bound=Callable[..., Any])

SECTION: Final = "Verification"


def moment(text: str) -> datetime:
    """Read an ISO 8601 date or time; without a zone it is UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as e:
        raise click.BadParameter(f"{text!r} is not a time; write 2026-01-31 or 2026-01-31T12:00:00Z") from e
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifying:
    """What the verification options said."""

    keys: Sequence[Path]
    ca: Sequence[Path]
    chain: str | None
    crl: Sequence[Path]
    at: datetime | None
    allow_augment: bool

    def policy(self, artifact: str, *, allow_unchecked: bool) -> "Policy":
        """Return the policy that is meant; `artifact` is what the user named, which the chain is looked for beside.

        Raises:
            KeyUnusableError: a key or certificate is missing, unusable, or not trusted.
            RequestError: an option stands without the one it belongs to.
        """
        from bistable.artifact.trust import Policy

        return Policy(
            verifiers=self.verifiers(artifact), allow_unchecked=allow_unchecked, allow_augment=self.allow_augment
        )

    def verifiers(self, artifact: str) -> "tuple[Verifier, ...]":
        """Return every key that may have signed; empty if none is given."""
        if not self.ca and (self.chain or self.crl or self.at):
            raise RequestError(
                "cannot use --chain, --crl or --at without --ca", hint="--ca names who is trusted to issue certificates"
            )
        found: list[Verifier] = []
        for path in self.keys:
            from bistable.artifact.keys import read_verifiers

            found += read_verifiers(path)
        if self.ca:
            found.append(self._certified(artifact))
        return tuple(found)

    def _certified(self, artifact: str) -> "Verifier":
        from bistable.artifact.attest import CHAIN_SUFFIX, beside
        from bistable.artifact.keys import certificate_verifier
        from bistable.artifact.keys.pem import KEY_FILE_SIZE, read_key_file
        from bistable.artifact.source import SourceNotFoundError, open_source

        content = b""
        try:
            with open_source(self.chain or beside(artifact, CHAIN_SUFFIX)) as source:
                while len(content) <= KEY_FILE_SIZE and (more := source.read(KEY_FILE_SIZE)):
                    content += more
                origin = source.name  # an address without its login
        except SourceNotFoundError as e:
            raise KeyUnusableError(
                e.what, hint="it holds the signer's certificate: copy it along with the artifact, or give --chain FILE"
            ) from e
        return certificate_verifier(
            content,
            trust=[read_key_file(path) for path in self.ca],
            crls=[read_key_file(path) for path in self.crl],
            at=self.at or datetime.now(UTC),
            origin=origin,
        )


def verifying_options(function: F) -> F:
    """Add the options that say what to verify with, handed over as `verifying`."""
    return bundle(
        "verifying",
        Verifying,
        [
            option(
                "-k",
                "--key",
                "keys",
                type=FILE,
                multiple=True,
                metavar="FILE",
                section=SECTION,
                help="Verify the signature with this public key (PEM), or with any of those in this directory "
                "(*.pem, *.pub). May be given several times: one of the keys must have signed.",
            ),
            option(
                "--ca",
                type=FILE,
                multiple=True,
                metavar="FILE",
                section=SECTION,
                help="Trust the key of a certificate whose chain ends in this certificate (PEM). May be given several "
                "times.",
            ),
            option(
                "--chain",
                type=NAME,
                metavar="FILE",
                section=SECTION,
                help="The signer's certificate and those between it and --ca (PEM); by default the file beside the "
                "artifact that has .chain.pem after its name.",
            ),
            option(
                "--crl",
                type=FILE,
                multiple=True,
                metavar="FILE",
                section=SECTION,
                help="Refuse certificates that this revocation list (PEM) names; every issuer then needs a current "
                "list. May be given several times.",
            ),
            option(
                "--at",
                type=moment,
                metavar="TIME",
                section=SECTION,
                help="Judge certificates and lists as of this time (ISO 8601) instead of now.",
            ),
            option(
                "--allow-augment",
                is_flag=True,
                section=SECTION,
                help="Take an artifact with an augmented part, which no signature covers (legacy).",
            ),
        ],
    )(function)
