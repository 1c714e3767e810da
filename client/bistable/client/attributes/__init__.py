"""What a device says about itself: who it is (identity) and what it is like (inventory)."""

from bistable.client.attributes.collect import identity, inventory
from bistable.client.attributes.lines import Attributes, Value

__all__ = ["Attributes", "Value", "identity", "inventory"]
