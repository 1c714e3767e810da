"""Who may do what: root everything, others what polkit says."""

import logging
import os
import pwd
from dataclasses import dataclass
from enum import Enum
from typing import Final

from dbus_fast import Variant

from bistable.client.bus.connection import Connection, ErrorReplyError
from bistable.client.bus.failures import BusError, DeniedError
from bistable.client.bus.names import ACTION_PREFIX, DRIVER

POLKIT: Final = "org.freedesktop.PolicyKit1"
POLKIT_PATH: Final = "/org/freedesktop/PolicyKit1/Authority"
POLKIT_INTERFACE: Final = "org.freedesktop.PolicyKit1.Authority"

MAY_ASK: Final = 1
"""Flag of CheckAuthorization: a person may be asked for a password."""

PATIENCE: Final = 25.0
PATIENCE_WITH_PERSON: Final = 180.0
"""Seconds; a person has to find the password."""

_log = logging.getLogger(__name__)


class Kind(Enum):
    """What a caller needs the right to; the values end the ids of the polkit actions."""

    CHECK = "check"
    INSTALL = "install"
    PAUSE = "pause"
    CONTINUE = "continue"
    CONTINUE_FORCE = "continue-force"
    ABORT = "abort"
    COMMIT = "commit"
    """Rollback, too: it is the same decision."""
    INHIBIT = "inhibit"
    MANAGE = "manage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls: the unique name, the user, and whether a person may be asked to prove who they are."""

    name: str
    uid: int
    interactive: bool

    @property
    def trusted(self) -> bool:
        """Whether it is root, or the user as whom this service runs: that one could do as it likes anyway."""
        return self.uid in {0, os.geteuid()}

    @property
    def shown(self) -> str:
        """Who it is, in a few words: the user, whatever program it used."""
        try:
            return f"user {pwd.getpwuid(self.uid).pw_name}"
        except KeyError:
            return f"user {self.uid}"


async def identify(connection: Connection, name: str, *, interactive: bool) -> Caller:
    """Return who has a unique name.

    Raises:
        ErrorReplyError: nobody any more.
        BusError: the bus does not answer.
    """
    reply = await connection.call(
        DRIVER, "/org/freedesktop/DBus", DRIVER, "GetConnectionUnixUser", "s", [name], patience=PATIENCE
    )
    # Answers are told by their number only; this one must be of the bus, whatever it lets others send.
    if reply.sender != DRIVER:
        raise BusError("cannot tell who calls: the answer is not from the bus")
    uid: int = reply.body[0]
    return Caller(name=name, uid=uid, interactive=interactive)


async def require(connection: Connection, caller: Caller, kind: Kind) -> None:
    """Return if the caller may do that.

    Raises:
        DeniedError: it may not.
    """
    if caller.trusted:
        return
    action = ACTION_PREFIX + kind.value
    subject = ["system-bus-name", {"name": Variant("s", caller.name)}]
    person = caller.interactive
    try:
        reply = await connection.call(
            POLKIT,
            POLKIT_PATH,
            POLKIT_INTERFACE,
            "CheckAuthorization",
            "(sa{sv})sa{ss}us",
            [subject, action, {}, MAY_ASK if person else 0, ""],
            patience=PATIENCE_WITH_PERSON if person else PATIENCE,
        )
    except ErrorReplyError as e:
        _log.info("polkit does not say whether user %d may do %s: %s", caller.uid, action, e)
        raise DeniedError(f"cannot allow {action}: only root may do that", hint="there is no polkit to ask") from e
    except BusError as e:
        raise DeniedError(f"cannot allow {action}: polkit does not answer") from e
    if reply.signature != "(bba{ss})":
        raise DeniedError(f"cannot allow {action}: polkit gave an answer that makes no sense")
    allowed, challenge, _details = reply.body[0]
    if allowed is not True:
        hint = "allow it to be asked for a password, or try it as root" if challenge else None
        raise DeniedError(f"cannot allow {action}: the user {caller.uid} may not do that", hint=hint)
