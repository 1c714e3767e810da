"""The objects that applications written for Mender's client know: exactly its names, signatures and errors."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from bistable.artifact.errors import BistableError
from bistable.client.bus.authority import Caller, Kind
from bistable.client.bus.contract import Interface, interface
from bistable.client.bus.failures import DeniedError
from bistable.client.bus.names import (
    ACCESS_DENIED,
    AUTH_INTERFACE,
    AUTH_PATH,
    MENDER_FAILED,
    UPDATE_INTERFACE,
    UPDATE_PATH,
)
from bistable.client.bus.ports import Service
from bistable.client.bus.served import Answer


class MenderObject:
    """Serves one of the interfaces, to root only."""

    def __init__(self, name: str, methods: Mapping[str, Callable[..., Awaitable[Answer]]]) -> None:
        self._interface, self._methods = interface(name), methods

    @property
    def interface(self) -> Interface:
        """The interface."""
        return self._interface

    def kind(self, _member: str, _arguments: Sequence[Any]) -> Kind | None:
        """Return None: polkit is not asked, root may and nobody else."""
        return None

    async def call(self, caller: Caller, member: str, arguments: Sequence[Any]) -> Answer:
        """Do what was called."""
        if not caller.trusted:
            raise DeniedError("cannot allow that: only root may use this interface")
        return await self._methods[member](*arguments)

    def failure(self, error: BistableError) -> tuple[str, str]:
        """Return the name and the text of an error."""
        # That client had the bus's own policy refuse callers, and so the error of the bus.
        return (ACCESS_DENIED if isinstance(error, DeniedError) else MENDER_FAILED), error.what

    def value(self, name: str) -> Any:
        """Fail: there are no properties."""
        raise KeyError(name)


def mender_objects(service: Service) -> Mapping[str, MenderObject]:
    """Return path -> object for both interfaces."""

    async def get_token() -> Answer:
        return Answer(body=service.token())

    async def fetch_token() -> Answer:
        return Answer(body=[await service.fetch_token()])

    async def set_map(text: str) -> Answer:
        return Answer(body=[await service.set_control_map(text)])

    return {
        AUTH_PATH: MenderObject(AUTH_INTERFACE, {"GetJwtToken": get_token, "FetchJwtToken": fetch_token}),
        UPDATE_PATH: MenderObject(UPDATE_INTERFACE, {"SetUpdateControlMap": set_map}),
    }
