"""What commands need that speak to the daemon; they do nothing by themselves."""

from typing import TYPE_CHECKING

from bistable.client.bus.failures import BusError
from bistable.client.ctl import render

if TYPE_CHECKING:
    import argparse

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


def ask_service(options: "argparse.Namespace", method: str, *arguments: str) -> int:
    """Have the service do what it was asked for; how that ends is seen with `watch` and `status`.

    Raises:
        ClientError: the service cannot be asked, or says that it cannot be done.
    """
    with daemon() as bus:
        update = bus.properties()["UpdateId"]
        bus.call(method, *([update, *arguments] if arguments else []))
    if options.json:
        render.show_json("asked/1", {"update": update, "method": method})
    else:
        render.show_text(f"The service was asked to {method.lower()}. 'bistablectl watch' shows how that goes.")
    return 0
