"""Whether a server can be reached at all, whatever it answers."""

import logging
from collections.abc import Sequence
from typing import Final

from bistable.artifact.errors import MachineError
from bistable.artifact.source.address import parse_address
from bistable.client.errors import HealthError
from bistable.client.fetch.settings import FetchSettings, wait

log = logging.getLogger(__name__)

ROUNDS: Final = 3
PAUSE: Final = 10.0
"""Seconds between two rounds: after a boot a network may still be on its way."""


def require_reachable(urls: Sequence[str], settings: FetchSettings) -> None:
    """Return as soon as one of the servers answers; any answer over http proves that it is there.

    Raises:
        HealthError: none does, in several rounds.
        ConfigError: a certificate or key of the settings cannot be used.
    """
    # Loaded here, since commands that ask no server should not wait for it.
    import http.client
    import urllib.error

    from bistable.artifact.source.transport import get, make_opener, reason
    from bistable.client.fetch.proxyhandler import ProxyHandler
    from bistable.client.fetch.tls import make_context

    opener = make_opener(make_context(settings), ProxyHandler(settings.proxies))
    why = "there is no server to be asked"
    for number in range(ROUNDS):
        if number:
            wait(settings, PAUSE)
        for url in urls:
            address = parse_address(url)
            try:
                get(opener, address, timeout=settings.timeout, fields={}).close()
            except urllib.error.HTTPError as e:
                e.close()
            except MachineError as e:
                log.info("%s", e)  # it redirects to where we do not go, and thus is there
            except (OSError, http.client.HTTPException) as e:
                why = f"{address.shown}: {reason(e.reason if isinstance(e, urllib.error.URLError) else e)}"
                log.info("cannot reach %s", why)
                continue
            return
    raise HealthError(
        f"cannot reach a server from the new system ({why})",
        hint="commit.require-server-reachable wants one of server.urls to answer before an update is kept",
    )
