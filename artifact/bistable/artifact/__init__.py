"""Build, sign, verify, inspect and change update artifacts (format version 3).

Write one, from a root filesystem image::

    from pathlib import Path
    from bistable.artifact import Options, read_signer, rootfs_request, write_artifact

    request = rootfs_request(Path("rootfs.ext4"), name="release-1", device_types=["beaglebone"])
    write_artifact(Path("release-1.mender"), request, Options(signer=read_signer(Path("private.pem"))))

Verify one, from any stream of bytes::

    from bistable.artifact import Policy, read_artifact, read_verifiers

    with open("release-1.mender", "rb") as file:
        artifact = read_artifact(file, Policy(verifiers=read_verifiers(Path("public.pem"))))
"""

from typing import TYPE_CHECKING, Final

from bistable.artifact.lazy import names_from

if TYPE_CHECKING:
    from bistable.artifact.errors import (
        BistableError,
        KeyUnusableError,
        LimitError,
        MachineError,
        PolicyError,
        RejectedError,
        RequestError,
        SignatureError,
        UnsupportedError,
        Where,
    )
    from bistable.artifact.keys import read_signer, read_verifiers
    from bistable.artifact.model import (
        Artifact,
        Compression,
        Finding,
        Head,
        Header,
        HeaderInfo,
        Manifest,
        PayloadFile,
        Script,
        Severity,
        SignatureState,
        TypeInfo,
    )
    from bistable.artifact.reader import ArtifactReader, IncomingFile, Sink, read_artifact
    from bistable.artifact.rewrite import (
        HeadEdit,
        attach_signature,
        manifest_to_sign,
        modify_artifact,
        recompress_artifact,
        repair_artifact,
        sign_artifact,
        strip_signature,
    )
    from bistable.artifact.streams import Codec
    from bistable.artifact.trust import Intake, Policy
    from bistable.artifact.writer import (
        Extras,
        InputBytes,
        InputFile,
        InputStream,
        Options,
        PayloadInput,
        SoftwareVersion,
        WriteRequest,
        Written,
        bootstrap_request,
        module_request,
        rootfs_request,
        source_date_epoch,
        write_artifact,
        write_to_file,
        write_to_stream,
    )

_HOMES: Final = {
    "errors": (
        "BistableError",
        "KeyUnusableError",
        "LimitError",
        "MachineError",
        "PolicyError",
        "RejectedError",
        "RequestError",
        "SignatureError",
        "UnsupportedError",
        "Where",
    ),
    "keys": (
        "read_signer",
        "read_verifiers",
    ),
    "model": (
        "Artifact",
        "Compression",
        "Finding",
        "Head",
        "Header",
        "HeaderInfo",
        "Manifest",
        "PayloadFile",
        "Script",
        "Severity",
        "SignatureState",
        "TypeInfo",
    ),
    "reader": (
        "ArtifactReader",
        "IncomingFile",
        "Sink",
        "read_artifact",
    ),
    "rewrite": (
        "HeadEdit",
        "attach_signature",
        "manifest_to_sign",
        "modify_artifact",
        "recompress_artifact",
        "repair_artifact",
        "sign_artifact",
        "strip_signature",
    ),
    "streams": ("Codec",),
    "trust": (
        "Intake",
        "Policy",
    ),
    "writer": (
        "Extras",
        "InputBytes",
        "InputFile",
        "InputStream",
        "Options",
        "PayloadInput",
        "SoftwareVersion",
        "WriteRequest",
        "Written",
        "bootstrap_request",
        "module_request",
        "rootfs_request",
        "source_date_epoch",
        "write_artifact",
        "write_to_file",
        "write_to_stream",
    ),
}
"""Module -> the public names it defines."""

__getattr__ = names_from(__name__, _HOMES)

__all__ = [
    "Artifact",
    "ArtifactReader",
    "BistableError",
    "Codec",
    "Compression",
    "Extras",
    "Finding",
    "Head",
    "HeadEdit",
    "Header",
    "HeaderInfo",
    "IncomingFile",
    "InputBytes",
    "InputFile",
    "InputStream",
    "Intake",
    "KeyUnusableError",
    "LimitError",
    "MachineError",
    "Manifest",
    "Options",
    "PayloadFile",
    "PayloadInput",
    "Policy",
    "PolicyError",
    "RejectedError",
    "RequestError",
    "Script",
    "Severity",
    "SignatureError",
    "SignatureState",
    "Sink",
    "SoftwareVersion",
    "TypeInfo",
    "UnsupportedError",
    "Where",
    "WriteRequest",
    "Written",
    "attach_signature",
    "bootstrap_request",
    "manifest_to_sign",
    "modify_artifact",
    "module_request",
    "read_artifact",
    "read_signer",
    "read_verifiers",
    "recompress_artifact",
    "repair_artifact",
    "rootfs_request",
    "sign_artifact",
    "source_date_epoch",
    "strip_signature",
    "write_artifact",
    "write_to_file",
    "write_to_stream",
]
