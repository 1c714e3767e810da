"""Artifacts that builds made, and the keys that they are signed with."""

from pathlib import Path

from layer_build import Recipe
from layer_files import KEYS

from bistable.artifact import Artifact, Policy, read_artifact, read_verifiers

PRIVATE = KEYS / "ec256.key"
PUBLIC = KEYS / "ec256.pub"
OWN_KEYS = f'BISTABLE_SIGNING_KEY = "{PRIVATE}"\nBISTABLE_VERIFY_KEYS = "{PUBLIC}"\n'
PAYLOAD = bytes(range(256)) * 64
QUICK = 'BISTABLE_COMPRESSION = "none"\n'


def filled(image: Recipe) -> Recipe:
    """Return the image with a root file system that is made already."""
    (image.path("IMGDEPLOYDIR") / image.value("BISTABLE_PAYLOAD")).write_bytes(PAYLOAD)
    return image


def verified(path: Path, public: Path | None = PUBLIC) -> Artifact:
    """Read an artifact, which that key signed."""
    policy = Policy() if public is None else Policy(verifiers=read_verifiers(public))
    with path.open("rb") as file:
        return read_artifact(file, policy)


def artifact_of(image: Recipe, ending: str = "mender", public: Path | None = PUBLIC) -> Artifact:
    """Read the artifact of an image."""
    return verified(image.path("IMGDEPLOYDIR") / f"{image.value('IMAGE_NAME')}.{ending}", public)
