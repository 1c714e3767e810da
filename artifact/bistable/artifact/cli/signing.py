"""Options that say what to sign with, and the signer that they mean."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from bistable.artifact.cli.framework import option
from bistable.artifact.cli.options import FILE, NAME, bundle
from bistable.artifact.errors import KeyUnusableError, RequestError

if TYPE_CHECKING:
    from bistable.artifact.keys import Signer

F = TypeVar("F", bound=Callable[..., Any])

SECTION: Final = "Signing"
PASSPHRASE_VARIABLE: Final = "BISTABLE_KEY_PASSPHRASE"  # noqa: S105 - the name of a variable
PIN_VARIABLE: Final = "BISTABLE_PKCS11_PIN"
PASSPHRASE_HINT: Final = f"use --key-passphrase-file, or {PASSPHRASE_VARIABLE} in the environment"
PASSPHRASE_SIZE: Final = 4096
"""Largest passphrase file that is read, in bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """What the signing options said."""

    key: Path | None
    key_passphrase_file: Path | None
    key_pkcs11: str | None
    pkcs11_module: str | None
    sign_command: str | None
    public_key: Path | None

    @property
    def given(self) -> list[str]:
        """Return the options that name a key."""
        named = {"--key": self.key, "--key-pkcs11": self.key_pkcs11, "--sign-command": self.sign_command}
        return [name for name, value in named.items() if value is not None]

    def signer(self) -> "Signer | None":
        """Return the signer that is meant, or None if no key is named.

        Raises:
            RequestError: more than one is named, or an option stands without the one it belongs to.
            KeyUnusableError: it cannot be used.
        """
        self._check()
        if self.key is not None:
            from bistable.artifact.keys import read_signer

            return read_signer(self.key, passphrase=passphrase_for(self.key, self.key_passphrase_file))
        if self.key_pkcs11 is not None:
            from bistable.artifact.keys.pkcs11 import pkcs11_signer

            return pkcs11_signer(self.key_pkcs11, module=self.pkcs11_module, pin=_pin(self.key_pkcs11))
        if self.sign_command is not None and self.public_key is not None:
            from bistable.artifact.keys.command import command_signer

            return command_signer(_words(self.sign_command), public=one_verifier(self.public_key))
        return None

    def _check(self) -> None:
        if len(self.given) > 1:
            raise RequestError(f"cannot sign with {' and '.join(self.given)} at once", hint="name one key")
        for name, value, needed in (
            ("--key-passphrase-file", self.key_passphrase_file, "--key"),
            ("--pkcs11-module", self.pkcs11_module, "--key-pkcs11"),
            ("--public-key", self.public_key, "--sign-command"),
        ):
            if value is not None and needed not in self.given:
                raise RequestError(f"cannot use {name} without {needed}")
        if self.sign_command is not None and self.public_key is None:
            raise RequestError(
                "cannot use --sign-command without --public-key",
                hint="every signature is checked before it is stored, so the public half of the key is needed",
            )


def signing_options(function: F) -> F:
    """Add the options that name a signing key, handed over as `signing`."""
    return bundle(
        "signing",
        Signing,
        [
            option(
                "-k",
                "--key",
                type=FILE,
                metavar="FILE",
                section=SECTION,
                help="Sign with the private key in this PEM file: RSA of 2048 bits or more, or EC P-256.",
            ),
            option(
                "--key-passphrase-file",
                type=FILE,
                metavar="FILE",
                section=SECTION,
                help=f"The key is encrypted; its passphrase is the first line of this file. Else {PASSPHRASE_VARIABLE} "
                "in the environment is taken; else a terminal is asked.",
            ),
            option(
                "--key-pkcs11",
                metavar="URI",
                section=SECTION,
                help="Sign with the private key on a token or HSM that this PKCS#11 URI (RFC 7512) names. The "
                f"PIN comes from {PIN_VARIABLE} in the environment, or from pin-source in the URI; else a terminal "
                "is asked.",
            ),
            option(
                "--pkcs11-module",
                type=NAME,
                metavar="FILE",
                section=SECTION,
                help="The token's PKCS#11 library, if the URI has no module-path.",
            ),
            option(
                "--sign-command",
                metavar="COMMAND",
                section=SECTION,
                help="Sign by running this program (words are split as by a shell, no shell is run): it gets the bytes "
                "to sign on standard input and their SHA-256 in hex as BISTABLE_DIGEST, and writes the signature to "
                "standard output, raw, DER or base64. Needs --public-key.",
            ),
            option(
                "--public-key",
                type=FILE,
                metavar="FILE",
                section=SECTION,
                help="The public half of the key that --sign-command signs with; no signature is stored unchecked.",
            ),
        ],
    )(function)


def passphrase_for(key: Path, file: Path | None) -> bytes | None:
    """Return the passphrase of a key file: from `file`, the environment, or a person at the terminal; None if none.

    Raises:
        KeyUnusableError: a file cannot be read, or the key is encrypted and nobody can be asked.
    """
    from bistable.artifact.keys.pem import read_key_file, split_pem

    given = given_passphrase(file)
    if given is not None or not any(block.is_encrypted for block in split_pem(read_key_file(key), origin=str(key))):
        return given
    if not _somebody_there():
        raise KeyUnusableError(f"cannot open {key}: it is encrypted, and no passphrase is given", hint=PASSPHRASE_HINT)
    return str(click.prompt(f"Passphrase of {key}", hide_input=True, err=True)).encode()


def new_passphrase(file: Path | None) -> bytes:
    """Return the passphrase for a new key, asked for twice if nothing else gives it.

    Raises:
        KeyUnusableError: a file cannot be read, or nobody can be asked.
    """
    given = given_passphrase(file)
    if given is not None:
        return given
    if not _somebody_there():
        raise KeyUnusableError("cannot encrypt the key: no passphrase is given", hint=PASSPHRASE_HINT)
    return str(click.prompt("New passphrase", hide_input=True, confirmation_prompt=True, err=True)).encode()


def given_passphrase(file: Path | None) -> bytes | None:
    """Return the passphrase in a file's first line, else the one in the environment, else None.

    Raises:
        KeyUnusableError: the file cannot be read, or its first line is empty.
    """
    if file is not None:
        return _first_line(file)
    given = os.environ.get(PASSPHRASE_VARIABLE)
    return os.fsencode(given) if given else None


def _pin(uri: str) -> str | None:
    """Return the PIN in the environment, else ask a person for it; None if the URI has one or nobody is there."""
    from bistable.artifact.keys.pkcs11_uri import parse_pkcs11_uri

    given = os.environ.get(PIN_VARIABLE)
    if given or parse_pkcs11_uri(uri).pin() is not None or not _somebody_there():
        return given or None
    return str(click.prompt("PIN of the token (empty: none)", hide_input=True, default="", err=True)) or None


def _somebody_there() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def one_verifier(path: Path) -> Any:
    """Return the one public key in a file."""
    from bistable.artifact.keys import load_verifier
    from bistable.artifact.keys.pem import read_key_file

    return load_verifier(read_key_file(path), origin=str(path))


def _first_line(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            line = opened.readline(PASSPHRASE_SIZE).rstrip(b"\r\n")
    except OSError as e:
        raise KeyUnusableError(f"cannot read the passphrase file {file}: {e.strerror or e}") from e
    if not line:
        raise KeyUnusableError(f"cannot use the passphrase file {file}: its first line is empty")
    return line


def _words(command: str) -> list[str]:
    import shlex

    try:
        return shlex.split(command)
    except ValueError as e:
        raise RequestError(f"cannot run --sign-command: {e}") from e
