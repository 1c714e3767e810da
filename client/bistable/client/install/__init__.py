"""The built-in payload type rootfs-image: one image, for the slot that does not run."""

from bistable.client.install.rootfs import PAYLOAD_TYPE, RootfsPayload, RootfsSettings

__all__ = ["PAYLOAD_TYPE", "RootfsPayload", "RootfsSettings"]
