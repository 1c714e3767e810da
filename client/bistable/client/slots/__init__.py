"""The two places that hold a system each, and which of them runs."""

from bistable.client.slots.booted import booted_slot, running_slot
from bistable.client.slots.devices import identify, mounted_at, read_mounts, size_of
from bistable.client.slots.pair import Slot, SlotPair

__all__ = ["Slot", "SlotPair", "booted_slot", "identify", "mounted_at", "read_mounts", "running_slot", "size_of"]
