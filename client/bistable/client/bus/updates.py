"""The object io.bistable.Updates1: takes calls apart, checks what they say, and has the service do it."""

import os
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from bistable.artifact.errors import BistableError, quoted
from bistable.client.bus.authority import Caller, Kind
from bistable.client.bus.contract import Interface, interface
from bistable.client.bus.failures import NotHeldError, error_name, error_text
from bistable.client.bus.holds import Holds
from bistable.client.bus.names import INTERFACE
from bistable.client.bus.ports import Service
from bistable.client.bus.properties import GETTERS, VERSION, text
from bistable.client.bus.served import Answer
from bistable.client.errors import UsageError
from bistable.client.model import Point
from bistable.client.system import new_name
from bistable.client.version import VERSION as CLIENT_VERSION

NEEDS: Final[Mapping[str, Kind | None]] = {
    "Check": Kind.CHECK,
    "SendInventory": Kind.CHECK,
    "Install": Kind.INSTALL,
    "Pause": Kind.PAUSE,
    "Continue": Kind.CONTINUE,
    "Abort": Kind.ABORT,
    "Commit": Kind.COMMIT,
    "Rollback": Kind.COMMIT,
    "Inhibit": Kind.INHIBIT,
    "SetControlMap": Kind.MANAGE,
    "GetControlMaps": None,
    "GetHistory": None,
    "CollectSupportBundle": Kind.MANAGE,
}
"""Method -> what its caller needs the right to. Continue with `force` needs another one."""

MODES: Final = ("block", "delay")
LONGEST_WORDS: Final = 200
"""Characters of who and why: a server gets them with every status."""

LONGEST_PLACE: Final = 4096
"""As PATH_MAX of Linux, with the NUL."""

_JOB: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_ADDRESS: Final = re.compile(r"(/|https?://)", re.IGNORECASE)


class UpdatesObject:
    """Serves io.bistable.Updates1."""

    def __init__(self, service: Service, holds: Holds) -> None:
        self._service, self._holds = service, holds
        self._methods: Final[Mapping[str, Callable[..., Awaitable[Answer]]]] = {
            "Check": self._check,
            "SendInventory": self._send_inventory,
            "Install": self._install,
            "Pause": self._pause,
            "Continue": self._continue,
            "Abort": self._abort,
            "Commit": self._commit,
            "Rollback": self._rollback,
            "Inhibit": self._inhibit,
            "SetControlMap": self._set_control_map,
            "GetControlMaps": self._get_control_maps,
            "GetHistory": self._get_history,
            "CollectSupportBundle": self._collect_support_bundle,
        }

    @property
    def interface(self) -> Interface:
        """The interface."""
        return interface(INTERFACE)

    def kind(self, member: str, arguments: Sequence[Any]) -> Kind | None:
        """Return what the caller needs the right to."""
        if member == "Continue" and arguments[2]:
            return Kind.CONTINUE_FORCE
        return NEEDS[member]

    async def call(self, caller: Caller, member: str, arguments: Sequence[Any]) -> Answer:
        """Do what was called."""
        return await self._methods[member](caller, *arguments)

    def failure(self, error: BistableError) -> tuple[str, str]:
        """Return the name and the text of an error."""
        return error_name(error), error_text(error)

    def value(self, name: str) -> Any:
        """Return a property."""
        return CLIENT_VERSION if name == VERSION else GETTERS[name](self._service.view())

    async def _check(self, _caller: Caller) -> Answer:
        await self._service.check()
        return Answer()

    async def _send_inventory(self, _caller: Caller) -> Answer:
        await self._service.send_inventory()
        return Answer()

    async def _install(self, _caller: Caller, where: str, options: Mapping[str, Any]) -> Answer:
        if not _ADDRESS.match(where) or len(where) > LONGEST_PLACE or not where.isprintable():
            raise UsageError(
                f"cannot install {quoted(where)}: it has to be an absolute path, or an http or https address"
            )
        unknown = sorted(set(options) - {"job", "stops"})
        if unknown:
            raise UsageError(
                f"cannot install it: there is no option {quoted(unknown[0])}", hint="there are: job, stops"
            )
        job = _option(options, "job", "s", "")
        if job and not _JOB.fullmatch(job):
            raise UsageError(
                f"cannot use {quoted(job)} as the name of a job",
                hint="it is of letters, digits and ._:- and has at most 64",
            )
        stops = [_point(one) for one in _option(options, "stops", "as", [])]
        return Answer(body=[await self._service.install(where, job or new_name(), stops)])

    async def _pause(self, caller: Caller, points: Sequence[str], update_id: str) -> Answer:
        await self._service.pause(_points(points), _identifier(update_id), who=caller.shown)
        return Answer()

    async def _continue(self, _caller: Caller, update_id: str, point: str, force: bool) -> Answer:
        where = point or self._service.view().held_at
        if not where:
            raise NotHeldError("cannot let an update go on: none is held now", hint="name the point of the pause")
        await self._service.proceed(_identifier(update_id), _point(where), force=force)
        return Answer()

    async def _abort(self, _caller: Caller, update_id: str, reason: str) -> Answer:
        await self._service.abort(_identifier(update_id), _words(reason, "the reason"))
        return Answer()

    async def _commit(self, _caller: Caller) -> Answer:
        await self._service.commit()
        return Answer()

    async def _rollback(self, _caller: Caller) -> Answer:
        await self._service.rollback()
        return Answer()

    async def _inhibit(self, caller: Caller, what: str, who: str, why: str, mode: str, seconds: int) -> Answer:
        points = _points(what.split(":"))
        if mode not in MODES:
            raise UsageError(f"cannot hold updates in the mode {quoted(mode)}", hint=f"there are: {', '.join(MODES)}")
        who, why = _words(who, "who holds"), _words(why, "the reason")
        limit = float(seconds) if seconds else None
        hold = self._holds.keep(
            lambda: self._service.inhibit(points, who, why, mode, limit),
            sender=caller.name,
            uid=caller.uid,
            seconds=limit,
        )
        return Answer(body=[0], descriptors=[hold])

    async def _set_control_map(self, _caller: Caller, words: str) -> Answer:
        return Answer(body=[await self._service.set_control_map(words)])

    async def _get_control_maps(self, _caller: Caller) -> Answer:
        return Answer(body=[self._service.control_maps()])

    async def _get_history(self, _caller: Caller) -> Answer:
        history = await self._service.history()
        return Answer(body=[[{key: text(value) for key, value in one.items()} for one in history]])

    async def _collect_support_bundle(self, _caller: Caller) -> Answer:
        return Answer(body=[0], descriptors=[sealed(await self._service.support_bundle(), "bistable-support.zip")])


def sealed(data: bytes, name: str) -> int:
    """Return a descriptor of a file in memory that nobody can change any more."""
    import fcntl

    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(data)
        os.lseek(descriptor, 0, os.SEEK_SET)
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _option(options: Mapping[str, Any], name: str, signature: str, default: Any) -> Any:
    value = options.get(name)
    if value is None:
        return default
    if value.signature != signature:
        raise UsageError(f"cannot use the option {name}: it is of the type {value.signature}, not {signature}")
    return value.value


def _points(words: Sequence[str]) -> tuple[Point, ...]:
    """Return points, each once, in the order of an update."""
    found = {_point(one) for one in words}
    if not found:
        raise UsageError("cannot hold updates: no point is named", hint=_point_hint())
    return tuple(point for point in Point if point in found)


def _point(word: str) -> Point:
    try:
        return Point(word)
    except ValueError as e:
        raise UsageError(f"cannot use {quoted(word)}: there is no such point", hint=_point_hint()) from e


def _point_hint() -> str:
    return f"there are: {', '.join(point.value for point in Point)}"


def _words(given: str, what: str) -> str:
    """Return words of a caller for people: one line that terminals, logs and servers take as such."""
    words = given.strip()
    if not words or len(words) > LONGEST_WORDS or not words.isprintable():
        raise UsageError(f"cannot use that as {what}: it has to be one line of 1 to {LONGEST_WORDS} characters")
    return words


def _identifier(given: str) -> str:
    if len(given) > LONGEST_WORDS or not given.isprintable():
        raise UsageError("cannot use that as the id of an update", hint="the property UpdateId has the one in progress")
    return given
