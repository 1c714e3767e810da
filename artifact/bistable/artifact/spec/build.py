"""From what a build file asks for to an artifact."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bistable.artifact import jsonio
from bistable.artifact.errors import KeyUnusableError, RequestError
from bistable.artifact.keys import Signer, command_signer, pkcs11_signer, read_signer, read_verifiers
from bistable.artifact.limits import SCRIPT_SIZE
from bistable.artifact.model import ROOTFS_IMAGE, Script
from bistable.artifact.spec.load import BuildSpec, SignWith
from bistable.artifact.writer import Extras, InputFile, WriteRequest, bootstrap_request, module_request, rootfs_request
from bistable.artifact.writer.request import meta_data_limit

TAR_SUFFIXES: Final = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst", ".tzst")
"""A root file system whose name ends so is a tar file to make an image of; anything else that is a file is an image."""


def is_tree(path: Path) -> bool:
    """Return whether `path` is the content of a root file system, a directory or a tar file, and not an image."""
    return path.is_dir() or path.name.endswith(TAR_SUFFIXES)


def to_request(spec: BuildSpec) -> WriteRequest:
    """Return the request that writes what `spec` asks for; its files are opened when it is written.

    Raises:
        RequestError: a state script or the meta-data cannot be read, or a rootfs image is a directory or tar file.
    """
    extras = Extras(
        group=spec.group,
        depends_names=spec.depends_names,
        depends_groups=spec.depends_groups,
        provides=spec.provides,
        depends=spec.depends,
        clears=spec.clears,
        default_clears=spec.default_clears,
        scripts=read_scripts(spec.scripts),
        software=spec.software,
    )
    if spec.payload_type is None:
        return bootstrap_request(name=spec.name, device_types=spec.device_types, extras=extras)
    files = [InputFile(name=path.name, path=path) for path in spec.files]
    if spec.payload_type == ROOTFS_IMAGE:
        if is_tree(spec.files[0]):
            raise RequestError(
                f"cannot write {spec.files[0]} as an image: it is the content of one", hint="make an image of it first"
            )
        return rootfs_request(
            files[0], name=spec.name, device_types=spec.device_types, extras=extras, checksum_key=spec.checksum_key
        )
    return module_request(
        spec.payload_type,
        files,
        name=spec.name,
        device_types=spec.device_types,
        extras=extras,
        meta_data=_meta_data(spec),
    )


def open_signer(sign_with: SignWith, *, passphrase: bytes | None = None, pin: str | None = None) -> Signer:
    """Return the signer that a build file names.

    Raises:
        KeyUnusableError: the key is missing or cannot be used, or the passphrase is missing or wrong.
    """
    if sign_with.key is not None:
        return read_signer(sign_with.key, passphrase=passphrase)
    if sign_with.pkcs11 is not None:
        return pkcs11_signer(sign_with.pkcs11, pin=pin)
    assert sign_with.public_key is not None
    verifiers = read_verifiers(sign_with.public_key)
    if len(verifiers) != 1:
        raise KeyUnusableError(f"cannot use {sign_with.public_key}: it holds {len(verifiers)} keys, and one is needed")
    return command_signer(sign_with.command, public=verifiers[0])


def read_scripts(paths: Sequence[Path]) -> tuple[Script, ...]:
    """Read state scripts; of a directory every file is one, in the order of their names.

    Raises:
        RequestError: a file is missing or too large, or a directory is empty.
    """
    scripts = []
    for path in paths:
        found = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
        if not found:
            raise RequestError(f"cannot take state scripts from {path}: the directory is empty")
        scripts += [Script(name=file.name, content=_read(file, SCRIPT_SIZE)) for file in found]
    return tuple(scripts)


def _meta_data(spec: BuildSpec) -> bytes | None:
    if spec.meta_data is None or isinstance(spec.meta_data, Path):
        return None if spec.meta_data is None else _read(spec.meta_data, meta_data_limit())
    try:
        return jsonio.encode_sorted(spec.meta_data)
    except (TypeError, ValueError) as e:
        raise RequestError(
            f"cannot make meta-data of the table: {e}",
            hint="JSON has no dates, times, infinities and NaN: write them as strings",
        ) from e


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as e:
        raise RequestError(f"cannot read {path}: {e.strerror or e}") from e
    if len(content) > limit:
        raise RequestError(f"cannot use {path}: more than {limit} bytes")
    return content
