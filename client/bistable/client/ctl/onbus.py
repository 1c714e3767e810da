"""What commands need that speak to the daemon; they do nothing by themselves."""

from typing import TYPE_CHECKING

from bistable.client.bus.failures import BusError

if TYPE_CHECKING:
    from bistable.client.bus.client import UpdatesClient


def daemon() -> "UpdatesClient":
    """Return the daemon on the system bus, as a context manager.

    Raises:
        BusError: the library for it is not installed.
    """
    try:
        from bistable.client.bus.client import UpdatesClient
    except ModuleNotFoundError as e:
        raise BusError(
            f"cannot speak to the daemon: the Python package {e.name} is not installed",
            hint="install dbus-fast (Debian: python3-dbus-fast)",
        ) from e
    return UpdatesClient()
