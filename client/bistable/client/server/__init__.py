"""The device API of the server: logging in, deployments, inventory, logs.

Importing this package loads nothing; using a name loads its module.
"""

from typing import TYPE_CHECKING, Final

from bistable.artifact.lazy import names_from

if TYPE_CHECKING:
    from bistable.client.server.aside import AsideCredentials, KeyPlace
    from bistable.client.server.deploymentlog import DeploymentLog, read_log
    from bistable.client.server.deployments import Deployments
    from bistable.client.server.door import Door
    from bistable.client.server.failures import (
        GoneError,
        NotAcceptedError,
        OfferError,
        TransientServerError,
        WithdrawnError,
    )
    from bistable.client.server.inventory import Inventory
    from bistable.client.server.keys import DeviceKey, command_key, find_key
    from bistable.client.server.login import Authenticator, Credentials, Identified, Standing
    from bistable.client.server.schedule import backoff, report_attempts
    from bistable.client.server.session import Patience, Session
    from bistable.client.server.wire import LogLine, Offered

_HOMES: Final = {
    "aside": ("AsideCredentials", "KeyPlace"),
    "deploymentlog": ("DeploymentLog", "read_log"),
    "deployments": ("Deployments",),
    "door": ("Door",),
    "failures": ("GoneError", "NotAcceptedError", "OfferError", "TransientServerError", "WithdrawnError"),
    "inventory": ("Inventory",),
    "keys": ("DeviceKey", "command_key", "find_key"),
    "login": ("Authenticator", "Credentials", "Identified", "Standing"),
    "schedule": ("backoff", "report_attempts"),
    "session": ("Patience", "Session"),
    "wire": ("LogLine", "Offered"),
}
"""Module -> the public names it defines."""

__getattr__ = names_from(__name__, _HOMES)

__all__ = [
    "AsideCredentials",
    "Authenticator",
    "Credentials",
    "DeploymentLog",
    "Deployments",
    "DeviceKey",
    "Door",
    "GoneError",
    "Identified",
    "Inventory",
    "KeyPlace",
    "LogLine",
    "NotAcceptedError",
    "OfferError",
    "Offered",
    "Patience",
    "Session",
    "Standing",
    "TransientServerError",
    "WithdrawnError",
    "backoff",
    "command_key",
    "find_key",
    "read_log",
    "report_attempts",
]
