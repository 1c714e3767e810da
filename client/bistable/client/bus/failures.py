"""What can go wrong on the bus, and how errors get over it: as named errors, back to the same classes."""

from collections.abc import Mapping
from typing import Final

from bistable.artifact.errors import BistableError
from bistable.client import errors
from bistable.client.bus.names import (
    ACCESS_DENIED,
    ERROR_PREFIX,
    LIMITS_EXCEEDED,
    NAME_HAS_NO_OWNER,
    NO_REPLY,
    SERVICE_UNKNOWN,
)
from bistable.client.errors import ClientError
from bistable.client.maps import MapError


class BusError(ClientError):
    """The bus cannot be reached, does not let the client own its name, or broke off."""

    code = "bus"


class NotRunningError(ClientError):
    """The client's daemon does not run."""

    code = "not-running"


class DeniedError(ClientError):
    """The caller may not do that."""

    code = "denied"


class NotHeldError(ClientError):
    """The update is not held there, so nothing can be let go on."""

    code = "not-held"


class LimitError(ClientError):
    """There are too many holds or calls already."""

    code = "limit"


FAILED: Final = "Failed"
ARTIFACT: Final = "Artifact"
"""Of an artifact that is malformed, damaged or not signed as it has to be."""

KINDS: Final[Mapping[str, type[ClientError]]] = {
    FAILED: ClientError,
    "Aborted": errors.AbortedError,
    "Boot": errors.BootError,
    "Busy": errors.BusyError,
    "Config": errors.ConfigError,
    "Denied": DeniedError,
    "Fetch": errors.FetchError,
    "Health": errors.HealthError,
    "InvalidArguments": errors.UsageError,
    "InvalidMap": MapError,
    "LimitExceeded": LimitError,
    "Loop": errors.LoopError,
    "Module": errors.ModuleError,
    "NoUpdate": errors.NothingToDoError,
    "NotBooted": errors.NotBootedError,
    "NotHeld": NotHeldError,
    "Program": errors.ProgramError,
    "Script": errors.ScriptError,
    "Server": errors.ServerError,
    "Slot": errors.SlotError,
    "Store": errors.StoreError,
    "StoreDamaged": errors.StoreDamagedError,
    "Unsuitable": errors.UnsuitableError,
}
"""Last word of an error's name on the bus -> class; a class that is not here goes as the nearest one that it is of."""

_NAMES: Final = {kind: name for name, kind in KINDS.items()}


def error_name(error: BistableError) -> str:
    """Return the name that an error has on the bus."""
    if not isinstance(error, ClientError):
        return ERROR_PREFIX + ARTIFACT
    return ERROR_PREFIX + next(_NAMES[kind] for kind in type(error).__mro__ if kind in _NAMES)


def error_text(error: BistableError) -> str:
    """Return the text that goes with it: what is wrong, and in further lines what to do about it."""
    return error.what if not error.hint else f"{error.what}\n{error.hint}"


def error_from_bus(name: str, text: str) -> ClientError:
    """Return the error that came over the bus, in the words of who sent it."""
    if name in {SERVICE_UNKNOWN, NAME_HAS_NO_OWNER}:
        return NotRunningError(
            "cannot ask the client's daemon: it does not run",
            hint="start it (bistabled); `bistablectl status` works without it",
        )
    if name == ACCESS_DENIED:
        return DeniedError(f"cannot do that: the bus does not allow it: {text}", hint="try it as root")
    if name == NO_REPLY:
        return BusError("cannot tell what came of it: the daemon did not answer", hint="see `bistablectl status`")
    what, _, hint = text.partition("\n")
    kind = KINDS.get(name.removeprefix(ERROR_PREFIX)) if name.startswith(ERROR_PREFIX) else None
    if kind is None:
        kind = LimitError if name == LIMITS_EXCEEDED else ClientError
    return kind(what or name, hint=hint or None)
