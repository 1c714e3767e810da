"""Changing artifacts without unpacking them."""

from typing import TYPE_CHECKING, Final

from bistable.artifact.lazy import names_from

if TYPE_CHECKING:
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

_HOMES: Final = {
    "change": (
        "Changed",
        "as_version_3",
        "attach_signature",
        "manifest_to_sign",
        "modify_artifact",
        "needs_repair",
        "refuse_augmented",
        "refuse_lost_signature",
        "repair_artifact",
        "sign_artifact",
        "strip_signature",
    ),
    "edit": ("HeadEdit", "apply_edit"),
    "recompress": ("recompress_artifact",),
}
"""Module -> the names it defines: changing a head must not wait for what compresses payloads."""

__getattr__ = names_from(__name__, _HOMES)

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
