"""Sends requests through proxies, for urllib."""

import base64
import urllib.request
from urllib.parse import unquote, urlsplit

from bistable.client.fetch.proxies import Proxies


class ProxyHandler(urllib.request.BaseHandler):
    """Sends requests to their proxy. The standard one asks the environment anew, each time and by its own rules."""

    handler_order = 100  # before those that connect

    def __init__(self, proxies: Proxies) -> None:
        self._proxies = proxies

    def http_open(self, request: urllib.request.Request) -> None:
        """Put the proxy, if there is one, in the place of the host."""
        parts = urlsplit(request.full_url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        proxy = self._proxies.of(parts.scheme, parts.hostname or "", port)
        if proxy is None:
            return
        there = urlsplit(proxy)
        if there.username is not None:
            login = f"{unquote(there.username)}:{unquote(there.password or '')}".encode()
            # Not add_header: it would go along to where a server redirects, be it reached without the proxy.
            request.add_unredirected_header("Proxy-authorization", f"Basic {base64.b64encode(login).decode()}")
        request.set_proxy(there.netloc.rpartition("@")[2], "http")

    https_open = http_open
