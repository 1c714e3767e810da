"""`bistable artifact keys public`: the public half of a key."""

from pathlib import Path

import click

from bistable.artifact.cli.framework import Example, command, option
from bistable.artifact.cli.options import FILE, NAME, output_options
from bistable.artifact.cli.outputs import STANDARD, is_stdout, write_small
from bistable.artifact.cli.render import Console, View, clean, rows
from bistable.artifact.cli.signing import passphrase_for


@command(
    "public",
    examples=[
        Example("Write the public half of a private key", "bistable artifact keys public private.pem -o public.pem"),
        Example("Take the key out of a certificate", "bistable artifact keys public release.crt > public.pem"),
    ],
)
@option(
    "-o",
    "--output",
    type=NAME,
    default=STANDARD,
    show_default=True,
    metavar="FILE",
    help="Write to this file, in place of an older one; - is standard output.",
)
@option(
    "--key-passphrase-file",
    type=FILE,
    metavar="FILE",
    help="The key is encrypted; its passphrase is the first line of this file. Else BISTABLE_KEY_PASSPHRASE in the "
    "environment is taken; else a terminal is asked.",
)
@output_options
@click.argument("key", type=FILE)
def public(key: Path, output: str, key_passphrase_file: Path | None, console: Console) -> None:
    """Write the public half of KEY: a private key, a public key in another form, or a certificate, in PEM."""
    from bistable.artifact.keys import describe_keys, extract_public
    from bistable.artifact.keys.pem import read_key_file

    pem = read_key_file(key)
    half = extract_public(pem, origin=str(key), passphrase=passphrase_for(key, key_passphrase_file))
    if not (is_stdout(output) and console.as_json):
        write_small(output, half, console)
    if is_stdout(output) and not console.as_json:
        return
    description = describe_keys(half, origin=output)[0]
    console.result(
        View(
            schema="artifact.keys-public/1",
            document={
                "output": output,
                "kind": description.kind,
                "fingerprint_sha256": description.fingerprint,
                "pem": half.decode(),
            },
            lines=[
                f"wrote {clean(output)}, {description.kind}",
                *rows([("sha256", description.fingerprint or "")], indent="  "),
            ],
        )
    )
