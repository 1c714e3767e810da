"""Proxies come from the environment, and secrets do not go where they do not belong."""

import gc
import inspect
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from client_certificates import Authority
from client_http import CONTENT, Reading, Site, Waiting, dropping, listening, saying

from bistable.client.errors import ConfigError, FetchError
from bistable.client.fetch import Proxies, open_artifact, read_proxies

LEAVES_OPEN = "response.close()" not in inspect.getsource(HTTPConnection._tunnel)  # type: ignore[attr-defined]
"""Python 3.11.2, as Debian 12 has it, leaves what a proxy said open when that was a refusal; later ones do not."""

pytestmark = [pytest.mark.filterwarnings("ignore:.*unclosed <socket")] if LEAVES_OPEN else []


@pytest.fixture(autouse=True)
def left_open_here() -> Iterator[None]:
    """Have sockets that Python leaves open collected where that is expected."""
    yield
    if LEAVES_OPEN:
        gc.collect()


@pytest.fixture
def proxy() -> Iterator[Site]:
    with listening() as found:
        found.url = found.url.removesuffix("/a.mender")
        yield found


@pytest.fixture
def site() -> Iterator[Site]:
    with listening() as found:
        yield found


def read_all(url: str, environment: dict[str, str], **more: object) -> bytes:
    with open_artifact(url, Waiting().settings(proxies=read_proxies(environment), **more)) as source:
        return bytes(Reading().take(source).data)


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY"])
def test_a_proxy_is_asked_for_http(proxy: Site, name: str) -> None:
    assert read_all("http://artifacts.example/a.mender", {name: proxy.url}) == CONTENT
    assert proxy.asked[0][":path"] == "http://artifacts.example/a.mender"
    assert proxy.asked[0]["host"] == "artifacts.example"


def test_a_proxy_carries_https_without_reading_it(proxy: Site, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with listening(authority.context(authority.issue("server"))) as secure:
        secure.answers = [dropping(700_000)]
        headers = {"Authorization": "Bearer token"}
        assert read_all(secure.url, {"https_proxy": proxy.url}, ca_file=authority.path, headers=headers) == CONTENT
        assert [asked[":path"] for asked in proxy.asked] == [secure.url.split("/")[2]] * 2
        assert not any("authorization" in asked for asked in proxy.asked)
        assert secure.asked[0]["authorization"] == "Bearer token"


def test_the_login_of_a_proxy_is_for_the_proxy_only(proxy: Site, site: Site, tmp_path: Path) -> None:
    login = proxy.url.replace("//", "//me:s%3Acret@")
    authority = Authority(tmp_path)
    with listening(authority.context(authority.issue("server"))) as secure:
        read_all(secure.url, {"https_proxy": login}, ca_file=authority.path)
        assert "proxy-authorization" not in secure.asked[0]
    proxy.answers = [saying(302, Location=site.url)]
    read_all("http://artifacts.example/a.mender", {"http_proxy": login, "no_proxy": "127.0.0.1"})
    assert [asked["proxy-authorization"] for asked in proxy.asked] == ["Basic bWU6czpjcmV0"] * 2
    assert "proxy-authorization" not in site.asked[0]


def test_a_redirect_is_sent_through_the_proxy_as_well(proxy: Site) -> None:
    proxy.answers = [saying(302, Location="http://other.example/b")]
    assert read_all("http://artifacts.example/a", {"http_proxy": proxy.url}) == CONTENT
    assert proxy.asked[1][":path"] == "http://other.example/b"


@pytest.mark.parametrize("status", [403, 407])
def test_a_proxy_that_refuses_is_told_from_the_server(proxy: Site, status: int) -> None:
    proxy.answers = [saying(status)]
    with pytest.raises(FetchError, match=f"the proxy answered {status}") as caught:
        read_all("https://artifacts.example/a", {"https_proxy": proxy.url})
    assert "https_proxy" in (caught.value.hint or "")
    assert len(proxy.asked) == 1


def test_a_proxy_that_wants_a_login_for_http_is_told(proxy: Site) -> None:
    proxy.answers = [saying(407)]
    with pytest.raises(FetchError, match="the proxy answered 407"):
        read_all("http://artifacts.example/a", {"http_proxy": proxy.url})


def test_a_proxy_that_cannot_reach_the_server_is_asked_again(proxy: Site, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    proxy.answers = [saying(502)]
    with listening(authority.context(authority.issue("server"))) as secure:
        assert read_all(secure.url, {"https_proxy": proxy.url}, ca_file=authority.path) == CONTENT


def test_the_environment_is_not_asked_again_later(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert read_all(site.url, {}) == CONTENT


def test_a_host_in_no_proxy_is_asked_itself(proxy: Site, site: Site) -> None:
    assert read_all(site.url, {"http_proxy": proxy.url, "no_proxy": "127.0.0.1"}) == CONTENT
    assert not proxy.asked


@pytest.mark.parametrize(
    ("entry", "host", "direct"),
    [
        ("*", "a.example", True),
        ("a.example", "a.example", True),
        ("A.Example", "a.EXAMPLE", True),
        ("example", "a.example", True),
        (".example", "a.example", True),
        (".example", "example", True),
        ("*.example", "a.example", True),
        ("ample", "a.example", False),
        ("a.example", "b.example", False),
        ("x,a.example", "a.example", True),
        ("x a.example", "a.example", True),
        (" x , a.example ", "a.example", True),
        ("a.example:8080", "a.example", False),
        ("a.example:443", "a.example", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("::1", "::1", True),
        ("[::1]:443", "::1", True),
        ("fd00::/8", "fd00::1", True),
        ("", "a.example", False),
        (".", "a.example", False),
        ("a:b", "a", False),
    ],
)
def test_no_proxy_names_hosts_domains_networks_and_ports(entry: str, host: str, direct: bool) -> None:
    proxies = read_proxies({"https_proxy": "http://p:1", "no_proxy": entry})
    assert (proxies.of("https", host, 443) is None) is direct


def test_both_cases_may_be_set_alike() -> None:
    assert read_proxies({"https_proxy": "http://p:1", "HTTPS_PROXY": "http://p:1"}).https == "http://p:1"


@pytest.mark.parametrize("name", ["http_proxy", "https_proxy", "no_proxy"])
def test_both_cases_set_to_different_values_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} and {name.upper()} are both set and differ"):
        read_proxies({name: "http://p:1", name.upper(): "http://q:1"})


def test_what_a_web_client_sent_is_no_proxy() -> None:
    assert read_proxies({"HTTP_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}) == Proxies()
    assert read_proxies({"http_proxy": "http://p:1", "REQUEST_METHOD": "GET"}).http == "http://p:1"


def test_an_empty_variable_says_nothing() -> None:
    assert read_proxies({"http_proxy": "", "HTTP_PROXY": "http://p:1"}).http == "http://p:1"


def test_a_proxy_may_be_named_without_its_scheme() -> None:
    assert read_proxies({"http_proxy": "proxy.example:3128"}).http == "http://proxy.example:3128"


@pytest.mark.parametrize(
    "value", ["https://p:1", "socks5://p:1", "http://", "http://p:x", "http://p:1/path", "http://me:secret@"]
)
def test_a_proxy_that_cannot_be_used_is_refused_without_showing_its_login(value: str) -> None:
    with pytest.raises(ConfigError, match="cannot use the proxy in https_proxy") as caught:
        read_proxies({"https_proxy": value})
    assert "secret" not in caught.value.what
