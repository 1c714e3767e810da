"""Signing by an external program: any HSM, cloud service or signing server, without a dependency on it."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bistable.artifact.errors import KeyUnusableError, RequestError, SignatureError
from bistable.artifact.keys.ports import Verifier
from bistable.artifact.keys.signature import confirm, parse_signature
from bistable.artifact.run import run

SIGNING_TIMEOUT: Final = 600.0
"""Seconds: a person may have to touch a token, or to approve the request at a signing server."""

DIGEST_VARIABLE: Final = "BISTABLE_DIGEST"
"""Tells the program the SHA-256 of the message in hex: many key services sign digests only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSigner:
    """A program that signs what it reads from its standard input."""

    command: tuple[str, ...]
    public: Verifier

    @property
    def signature_size(self) -> int:
        """Length of a signature in bytes, as the public key says."""
        return self.public.signature_size

    def sign(self, message: bytes) -> bytes:
        """Run the program and return its signature in the artifact's form, after it was seen to verify.

        Raises:
            MachineError: the program cannot be run, failed, or did not come to an end.
            KeyUnusableError: what it wrote is no signature, or not one by the public key.
        """
        # The door for programs keeps the caller's environment away from them. This program is the caller's own, and
        # its settings come that way: AWS_PROFILE, VAULT_ADDR, GOOGLE_APPLICATION_CREDENTIALS, SOFTHSM2_CONF ...
        variables = {**os.environ, DIGEST_VARIABLE: hashlib.sha256(message).hexdigest()}
        output = run(self.command, timeout=SIGNING_TIMEOUT, stdin=message, variables=variables).stdout
        try:
            signature = parse_signature(output, self.public)
        except SignatureError as e:
            raise KeyUnusableError(f"cannot sign with {self.command[0]}: {e.what}", hint=e.hint) from e
        return confirm(signature, message, self.public, maker=self.command[0])


def command_signer(command: Sequence[str], *, public: Verifier) -> CommandSigner:
    """Make a signer of a program and its arguments; `public` is the public half of the key that it signs with.

    The program gets the message (the manifest) on its standard input and its SHA-256 in hex as BISTABLE_DIGEST, and
    writes the signature to its standard output: raw or in base64, ECDSA as r and s or in DER.

    Raises:
        RequestError: the command is empty.
    """
    if not command:
        raise RequestError("cannot sign: the signing command is empty")
    return CommandSigner(command=tuple(command), public=public)
