"""`bistable artifact keys show`: what key files hold."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bistable.artifact.cli.framework import Example, command, option
from bistable.artifact.cli.options import FILE, output_options
from bistable.artifact.cli.render import Console, View, clean, rows, styled
from bistable.artifact.cli.signing import given_passphrase

if TYPE_CHECKING:
    from bistable.artifact.keys import KeyDescription


@command("show", examples=[Example("See which key is which", "bistable artifact keys show private.pem keys/*.pub")])
@option(
    "--key-passphrase-file",
    type=FILE,
    metavar="FILE",
    help="Open encrypted keys with the passphrase in the first line of this file, or in BISTABLE_KEY_PASSPHRASE. "
    "Without one they stay closed.",
)
@output_options
@click.argument("keys", type=FILE, nargs=-1, required=True, metavar="KEY...")
def show(keys: tuple[Path, ...], key_passphrase_file: Path | None, console: Console) -> None:
    """Say what each KEY file holds: kind, size, form, fingerprint, and whether artifacts can be signed with it.

    The fingerprint is the SHA-256 of the public half (SubjectPublicKeyInfo), so that both halves have the same.
    """
    from bistable.artifact.keys import describe_keys
    from bistable.artifact.keys.pem import read_key_file

    passphrase = given_passphrase(key_passphrase_file)
    found = [
        (path, description)
        for path in keys
        for description in describe_keys(read_key_file(path), origin=str(path), passphrase=passphrase)
    ]
    console.result(
        View(
            schema="artifact.keys-show/1",
            document={"keys": [_document(path, description) for path, description in found]},
            lines=[line for path, description in found for line in _lines(path, description)],
        )
    )


def _document(path: Path, key: "KeyDescription") -> dict[str, Any]:
    return {
        "file": str(path),
        "kind": key.kind,
        "bits": key.bits,
        "half": "private" if key.private else "public",
        "form": key.form,
        "encrypted": key.encrypted,
        "fingerprint_sha256": key.fingerprint,
        "problem": key.problem,
    }


def _lines(path: Path, key: "KeyDescription") -> list[str]:
    half = "private" if key.private else "certificate" if key.form == "X.509" else "public"
    lock = ", encrypted" if key.encrypted else ""
    return [
        f"{clean(str(path))}: {key.kind or 'closed, its passphrase is needed to say more'}",
        *rows(
            [
                ("half", f"{half}, {key.form}{lock}"),
                ("sha256", key.fingerprint or ""),
                ("problem", styled(clean(key.problem), fg="yellow") if key.problem else ""),
            ],
            indent="  ",
        ),
    ]
