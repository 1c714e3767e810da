"""Proxies, as the environment names them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from bistable.client.errors import ConfigError

_SEPARATORS: Final = re.compile(r"[\s,]+")
_WITH_PORT: Final = re.compile(r"(\[[^\]]*\]|[^:]*):(\d{1,5})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxies:
    """Which proxy is asked for which scheme, and the hosts that are reached without one."""

    http: str | None = None
    https: str | None = None
    direct: tuple[str, ...] = ()

    def of(self, scheme: str, host: str, port: int | None) -> str | None:
        """Return the proxy for an address, None if there is none."""
        proxy = {"http": self.http, "https": self.https}.get(scheme)
        if proxy is None or any(_matches(entry, host.lower(), port) for entry in self.direct):
            return None
        return proxy


def read_proxies(environment: Mapping[str, str]) -> Proxies:
    """Read http_proxy, https_proxy and no_proxy, in small or capital letters.

    HTTP_PROXY in capitals is ignored where REQUEST_METHOD is set: there it is a field that a web client sent. Hosts in
    no_proxy may be separated by commas or blanks.

    Raises:
        ConfigError: both forms are set and differ, or a proxy cannot be used.
    """
    variables = dict(environment)
    if "REQUEST_METHOD" in variables:
        variables.pop("HTTP_PROXY", None)
    direct = _value(variables, "no_proxy") or ""
    return Proxies(
        http=_proxy(variables, "http_proxy"),
        https=_proxy(variables, "https_proxy"),
        direct=tuple(entry.lower() for entry in _SEPARATORS.split(direct) if entry),
    )


def _value(variables: Mapping[str, str], name: str) -> str | None:
    small, capital = variables.get(name, ""), variables.get(name.upper(), "")
    if small and capital and small != capital:
        raise ConfigError(
            f"cannot tell which proxy settings are meant: {name} and {name.upper()} are both set and differ",
            hint="set one of them in the environment of the service, or both alike",
        )
    return small or capital or None


def _proxy(variables: Mapping[str, str], name: str) -> str | None:
    value = _value(variables, name)
    if value is None:
        return None
    address = value if "://" in value else f"http://{value}"
    try:
        parts = urlsplit(address)
        usable = parts.scheme == "http" and bool(parts.hostname) and parts.port != 0 and parts.path in {"", "/"}
    except ValueError:
        usable = False
    if not usable:
        # The value is not shown: it may hold a password.
        raise ConfigError(f"cannot use the proxy in {name}", hint="the form is http://[USER:PASSWORD@]HOST[:PORT]")
    return address


def _matches(entry: str, host: str, port: int | None) -> bool:
    from ipaddress import ip_address, ip_network

    if entry == "*":
        return True
    if with_port := _WITH_PORT.fullmatch(entry):
        if port is not None and int(with_port[2]) != port:
            return False
        entry = with_port[1]
    entry = entry.removeprefix("*").lstrip(".").strip("[]")
    try:
        return ip_address(host.strip("[]")) in ip_network(entry, strict=False)
    except ValueError:
        return bool(entry) and (host == entry or host.endswith(f".{entry}"))
