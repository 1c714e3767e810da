"""`bistable artifact keys generate`: a new signing key."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bistable.artifact.cli.framework import Example, command, option
from bistable.artifact.cli.options import FILE, output_options
from bistable.artifact.cli.render import Console, View, clean, rows
from bistable.artifact.cli.signing import new_passphrase
from bistable.artifact.errors import MachineError, RequestError

if TYPE_CHECKING:
    from bistable.artifact.keys import KeyDescription

# Written out, so that `--help` does not load the keys package; a test compares them with what it makes.
KINDS = ("rsa3072", "p256", "rsa2048", "rsa4096")
WHOLE_NAMES = (".key", ".pem")
PRIVATE_MODE = 0o600


@command(
    "generate",
    examples=[
        Example("Make release.key and release.pub", "bistable artifact keys generate -o release"),
        Example(
            "A short and fast one, with names of your own, protected by a passphrase",
            "bistable artifact keys generate --type p256 --encrypt -o private.pem --public public.pem",
        ),
    ],
)
@option(
    "--type",
    "kind",
    type=click.Choice(KINDS),
    default=KINDS[0],
    show_default=True,
    help="Kind of key. All readers take all of them; P-256 signatures and keys are shorter.",
)
@option(
    "-o",
    "--output",
    type=FILE,
    required=True,
    metavar="NAME",
    help="Name of the key: the private half goes to NAME.key, readable by its owner only, the public half to NAME.pub. "
    "If NAME ends in .key or .pem, it is the private half's whole name.",
)
@option("--public", type=FILE, metavar="FILE", help="Write the public half to this file instead.")
@option(
    "--encrypt",
    is_flag=True,
    help="Protect the private half by a passphrase: --key-passphrase-file, BISTABLE_KEY_PASSPHRASE, or asked for. "
    "mender-artifact cannot read such keys.",
)
@option("--key-passphrase-file", type=FILE, metavar="FILE", help="The passphrase is the first line of this file.")
@output_options
def generate(
    kind: str,
    output: Path,
    public: Path | None,
    encrypt: bool,
    key_passphrase_file: Path | None,
    console: Console,
) -> None:
    """Make a signing key: a private half to sign with, and a public half to put on devices.

    Files that are there already are never overwritten: a lost signing key cannot be replaced on devices in the field.
    """
    from typing import cast

    from bistable.artifact.keys import KeyKind, describe_keys
    from bistable.artifact.keys import generate as generate_key

    if key_passphrase_file is not None and not encrypt:
        raise RequestError("cannot use --key-passphrase-file without --encrypt")
    private_file = output if output.suffix in WHOLE_NAMES else output.with_name(output.name + ".key")
    public_file = public or private_file.with_suffix(".pub")
    for path in (private_file, public_file):
        if path.exists():
            raise RequestError(f"cannot write {path}: it is there already", hint="choose another name")
    pair = generate_key(cast("KeyKind", kind), passphrase=new_passphrase(key_passphrase_file) if encrypt else None)
    _write_new(private_file, pair.private, PRIVATE_MODE)
    try:
        _write_new(public_file, pair.public, 0o644)
    except BaseException:
        private_file.unlink()
        raise
    description = describe_keys(pair.public, origin=str(public_file))[0]
    console.result(_view(description, private_file, public_file, encrypted=encrypt))


def _view(key: "KeyDescription", private: Path, public: Path, *, encrypted: bool) -> View:
    return View(
        schema="artifact.keys-generate/1",
        document={
            "private": str(private),
            "public": str(public),
            "kind": key.kind,
            "encrypted": encrypted,
            "fingerprint_sha256": key.fingerprint,
        },
        lines=[
            f"made a key, {key.kind}",
            *rows(
                [
                    ("private", f"{clean(str(private))}{', encrypted' if encrypted else ''}: keep it secret"),
                    ("public", f"{clean(str(public))}: for devices and for `verify -k`"),
                    ("sha256", key.fingerprint or ""),
                ],
                indent="  ",
            ),
        ],
    )


def _write_new(path: Path, content: bytes, mode: int) -> None:
    """Write a file that must not be there yet, with its permissions from the first moment on."""
    import os

    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
        except BaseException:
            path.unlink()
            raise
    except FileExistsError as e:
        raise RequestError(f"cannot write {path}: it is there already", hint="choose another name") from e
    except OSError as e:
        raise MachineError(f"cannot write {path}: {e.strerror or e}") from e
