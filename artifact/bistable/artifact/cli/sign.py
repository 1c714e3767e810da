"""`bistable artifact sign`: add, replace or remove the signature, here or in a signing room."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from bistable.artifact.cli.changing import (
    Change,
    Places,
    change_options,
    changed_view,
    local_file,
    places,
    read_first,
    verify_option,
)
from bistable.artifact.cli.framework import Example, command, option
from bistable.artifact.cli.moving import refuse_moved
from bistable.artifact.cli.options import FILE, output_options
from bistable.artifact.cli.outputs import STANDARD, is_stdout, write_small
from bistable.artifact.cli.render import Console, View, clean, rows
from bistable.artifact.cli.signing import Signing, one_verifier, signing_options
from bistable.artifact.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bistable.artifact.rewrite import Changed

DETACHED: Final = "Signing elsewhere"
SIGNATURE_FILE_SIZE: Final = 64 * 1024
"""Largest signature file that is read, in bytes; RSA with 16384 bits takes 2 KiB."""


@command(
    "sign",
    examples=[
        Example("Sign in place", "bistable artifact sign -k private.pem release-1.mender"),
        Example(
            "Replace a signature by one of a key on a token, in another file",
            "bistable artifact sign -f --key-pkcs11 'pkcs11:token=release;object=key' \\\n"
            "    release-1.mender -o signed.mender",
        ),
        Example(
            "Take the bytes to sign to a signing room",
            "bistable artifact sign --print-manifest release-1.mender > manifest",
        ),
        Example("Sign them there", "openssl dgst -sha256 -sign private.pem -out manifest.sig manifest"),
        Example(
            "Put the signature in, if it is right",
            "bistable artifact sign --attach manifest.sig --public-key public.pem release-1.mender",
        ),
    ],
)
@option("-f", "--force", is_flag=True, help="Replace a signature that is there already.")
@verify_option
@option(
    "--print-manifest",
    is_flag=True,
    section=DETACHED,
    help="Write the bytes that a signature must cover to standard output (or -o), and change nothing.",
)
@option(
    "--attach",
    type=FILE,
    metavar="FILE",
    section=DETACHED,
    help="Put in the signature in this file (raw, DER or base64), after checking it with --public-key.",
)
@option("--strip", is_flag=True, section=DETACHED, help="Take the signature out.")
@signing_options
@change_options
@output_options
@refuse_moved()
def sign(
    change: Change,
    signing: Signing,
    force: bool,
    verify: bool,
    print_manifest: bool,
    attach: Path | None,
    strip: bool,
    console: Console,
) -> None:
    """Sign an artifact, without reading or touching its payload.

    The signature covers the manifest, which lists the digests of everything else; so what is signed is what the
    manifest says, whether or not the payload is still as it says. --verify looks at the payload before.
    """
    modes = [
        name for name, on in (("--print-manifest", print_manifest), ("--attach", attach), ("--strip", strip)) if on
    ]
    if len(modes) + len(signing.given) != 1:
        _refuse_modes(modes + signing.given)
    if print_manifest:
        _print_manifest(change, verify, console)
        return
    with places(change, console) as found:
        _refuse_replacing(found.source, change, force=force or strip)
        act = _action(found, signing, attach)
        if verify:
            read_first(found.source, console)
        changed = act()
    console.result(
        changed_view(change, changed, did="stripped" if strip else "signed", all_read=verify), aside=change.to_stdout
    )


def _action(found: Places, signing: Signing, attach: Path | None) -> "Callable[[], Changed]":
    """Return what is to be done; keys and signatures are read now, before anything else happens."""
    from bistable.artifact.cli.contents import read_small
    from bistable.artifact.rewrite import attach_signature, sign_artifact, strip_signature
    from bistable.artifact.writer import source_date_epoch

    mtime = source_date_epoch()
    if attach is not None:
        if signing.public_key is None:
            raise RequestError(
                "cannot attach a signature without --public-key", hint="no signature is stored unchecked"
            )
        verifier = one_verifier(signing.public_key)
        signature = read_small(attach, SIGNATURE_FILE_SIZE)
        return lambda: attach_signature(found.source, found.target, signature, verifier, mtime=mtime)
    signer = signing.signer()
    if signer is None:
        return lambda: strip_signature(found.source, found.target, mtime=mtime)
    return lambda: sign_artifact(found.source, found.target, signer, mtime=mtime)


def _refuse_modes(given: list[str]) -> None:
    if given:
        raise RequestError(f"cannot use {' and '.join(given)} together", hint="use one of them")
    raise RequestError(
        "cannot sign: no key is named",
        hint="-k FILE, --key-pkcs11 URI or --sign-command COMMAND; --print-manifest and --attach to sign elsewhere",
    )


def _refuse_replacing(path: Path, change: Change, *, force: bool) -> None:
    from bistable.artifact.model import SignatureState
    from bistable.artifact.rewrite.existing import open_existing

    if force:
        return
    with open_existing(path) as existing:
        if existing.head.signature is not SignatureState.UNSIGNED:
            raise RequestError(f"cannot sign {change.artifact}: it is signed already", hint="-f replaces the signature")


def _print_manifest(change: Change, verify: bool, console: Console) -> None:
    import hashlib

    from bistable.artifact.rewrite import manifest_to_sign

    with local_file(change.artifact, console) as path:
        if verify:
            read_first(path, console)
        manifest = manifest_to_sign(path)
    output = change.output_path or STANDARD
    if not (is_stdout(output) and console.as_json):
        write_small(output, manifest, console)
    if is_stdout(output) and not console.as_json:
        return
    digest = hashlib.sha256(manifest).hexdigest()
    console.result(
        View(
            schema="artifact.manifest/1",
            document={"output": output, "manifest": manifest.decode(), "manifest_sha256": digest},
            lines=[f"wrote {clean(output)}, the bytes to sign", *rows([("sha256", digest)], indent="  ")],
        )
    )
