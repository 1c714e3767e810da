"""Changing artifacts without unpacking them."""

from bistable.artifact.rewrite.change import (
    Changed,
    as_version_3,
    attach_signature,
    manifest_to_sign,
    modify_artifact,
    needs_repair,
    refuse_augmented,
    refuse_lost_signature,
    repair_artifact,
    sign_artifact,
    strip_signature,
)
from bistable.artifact.rewrite.edit import HeadEdit, apply_edit
from bistable.artifact.rewrite.recompress import recompress_artifact

__all__ = [
    "Changed",
    "HeadEdit",
    "apply_edit",
    "as_version_3",
    "attach_signature",
    "manifest_to_sign",
    "modify_artifact",
    "needs_repair",
    "recompress_artifact",
    "refuse_augmented",
    "refuse_lost_signature",
    "repair_artifact",
    "sign_artifact",
    "strip_signature",
]
