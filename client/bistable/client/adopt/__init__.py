"""Takes a device over from the Mender client: reads what that client left, and changes nothing of it."""

from bistable.client.adopt.legacy import Legacy, read_legacy
from bistable.client.adopt.records import InFlight, Stage
from bistable.client.adopt.report import Adoption, Taken, Unfinished, describe

__all__ = ["Adoption", "InFlight", "Legacy", "Stage", "Taken", "Unfinished", "describe", "read_legacy"]
