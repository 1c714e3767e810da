"""Names on the bus. Each is written once, here, and in the interface's own file in interfaces/."""

from typing import Final

NAME: Final = "io.bistable.Updates1"
"""Well-known name, and interface: the number is part of it, so that a next generation can be served beside it."""

PATH: Final = "/io/bistable/Updates1"
INTERFACE: Final = NAME
ERROR_PREFIX: Final = "io.bistable.Updates1.Error."
ACTION_PREFIX: Final = "io.bistable.updates."
"""Of the polkit actions; those are in lower case by custom."""

AUTH_NAME: Final = "io.mender.AuthenticationManager"
AUTH_PATH: Final = "/io/mender/AuthenticationManager"
AUTH_INTERFACE: Final = "io.mender.Authentication1"
UPDATE_NAME: Final = "io.mender.UpdateManager"
UPDATE_PATH: Final = "/io/mender/UpdateManager"
UPDATE_INTERFACE: Final = "io.mender.Update1"
MENDER_FAILED: Final = "io.mender.Failed"

DRIVER: Final = "org.freedesktop.DBus"
DRIVER_PATH: Final = "/org/freedesktop/DBus"
PROPERTIES: Final = "org.freedesktop.DBus.Properties"
INTROSPECTABLE: Final = "org.freedesktop.DBus.Introspectable"
"""The bus itself, and the interfaces that everybody has."""

ACCESS_DENIED: Final = "org.freedesktop.DBus.Error.AccessDenied"
FAILED: Final = "org.freedesktop.DBus.Error.Failed"
INVALID_ARGS: Final = "org.freedesktop.DBus.Error.InvalidArgs"
LIMITS_EXCEEDED: Final = "org.freedesktop.DBus.Error.LimitsExceeded"
NAME_HAS_NO_OWNER: Final = "org.freedesktop.DBus.Error.NameHasNoOwner"
NO_REPLY: Final = "org.freedesktop.DBus.Error.NoReply"
PROPERTY_READ_ONLY: Final = "org.freedesktop.DBus.Error.PropertyReadOnly"
SERVICE_UNKNOWN: Final = "org.freedesktop.DBus.Error.ServiceUnknown"
UNKNOWN_INTERFACE: Final = "org.freedesktop.DBus.Error.UnknownInterface"
UNKNOWN_METHOD: Final = "org.freedesktop.DBus.Error.UnknownMethod"
UNKNOWN_PROPERTY: Final = "org.freedesktop.DBus.Error.UnknownProperty"
"""Errors that every bus knows."""
