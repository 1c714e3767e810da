"""TLS: whom the client trusts, who it says it is, and what it says when the clock is wrong."""

import ssl
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from client_certificates import DAY, Authority
from client_http import CONTENT, Reading, Site, Waiting, dropping, listening, saying

from bistable.client.errors import ConfigError, FetchError
from bistable.client.fetch import TransientFetchError, open_artifact


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def context(authority: Authority) -> ssl.SSLContext:
    return authority.context(authority.issue("server"))


@pytest.fixture
def site(context: ssl.SSLContext) -> Iterator[Site]:
    with listening(context) as found:
        yield found


def read_all(site: Site, waiting: Waiting | None = None, **more: object) -> bytes:
    with open_artifact(site.url, (waiting or Waiting()).settings(**more)) as source:
        return bytes(Reading().take(source).data)


def test_an_own_authority_is_trusted(site: Site, authority: Authority) -> None:
    site.answers = [dropping(700_000)]
    assert read_all(site, ca_file=authority.path) == CONTENT


def test_the_systems_authorities_stay_trusted(
    site: Site, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))  # as if it were the system's
    assert read_all(site, ca_file=Authority(tmp_path).path) == CONTENT


def test_an_unknown_authority_is_refused_at_once(site: Site, tmp_path: Path) -> None:
    waiting = Waiting()
    with pytest.raises(FetchError, match="certificate is not trusted") as caught:
        read_all(site, waiting, ca_file=Authority(tmp_path).path)
    assert not isinstance(caught.value, TransientFetchError)
    assert "ServerCertificate" in (caught.value.hint or "")
    assert not waiting.seconds
    assert not site.asked


def test_a_certificate_for_another_host_is_refused(site: Site, authority: Authority) -> None:
    site.url = site.url.replace("127.0.0.1", "localhost")
    with pytest.raises(FetchError, match="not trusted"):
        read_all(site, ca_file=authority.path)


def test_checks_are_left_out_where_that_is_wanted(site: Site) -> None:
    assert read_all(site, skip_verify=True) == CONTENT


YEAR_1970 = 1000.0
YEAR_2026 = 1_790_000_000.0


@pytest.mark.parametrize(
    ("begins", "ends", "now", "hint", "transient"),
    [
        (DAY, 2 * DAY, YEAR_1970, "the clock of this device says it is 1970: set it first", True),
        (DAY, 2 * DAY, YEAR_2026, "is the clock of this device right?", True),
        (-2 * DAY, -DAY, YEAR_1970, "the clock of this device says it is 1970: set it first", True),
        (-2 * DAY, -DAY, YEAR_2026, "name the authority that signed it as ServerCertificate, if you trust it", False),
    ],
)
def test_a_wrong_clock_is_suspected(
    authority: Authority, begins: timedelta, ends: timedelta, now: float, hint: str, transient: bool
) -> None:
    issued = authority.issue("odd", begins=begins, ends=ends)
    with listening(authority.context(issued)) as site, pytest.raises(FetchError, match="not trusted") as caught:
        read_all(site, ca_file=authority.path, now=lambda: now)
    assert caught.value.hint == hint
    assert isinstance(caught.value, TransientFetchError) is transient


def test_a_redirect_from_https_to_http_is_refused(site: Site, authority: Authority) -> None:
    with listening() as plain:
        site.answers = [saying(302, Location=plain.url)]
        with pytest.raises(FetchError, match="redirects from https to 'http'"):
            read_all(site, ca_file=authority.path)
        assert not plain.asked


def test_a_client_certificate_is_shown(authority: Authority) -> None:
    device = authority.issue("device")
    wanting = authority.context(authority.issue("strict"), clients=authority.path)
    with listening(wanting) as site:
        assert read_all(site, ca_file=authority.path, certificate=device.certificate, key=device.key) == CONTENT


def test_a_client_certificate_and_its_key_may_be_one_file(authority: Authority, tmp_path: Path) -> None:
    device = authority.issue("device")
    both = tmp_path / "both.pem"
    both.write_bytes(device.key.read_bytes() + device.certificate.read_bytes())
    wanting = authority.context(authority.issue("strict"), clients=authority.path)
    with listening(wanting) as site:
        assert read_all(site, ca_file=authority.path, certificate=both) == CONTENT


def test_a_client_that_shows_no_certificate_is_told_what_may_be_missing(authority: Authority) -> None:
    wanting = authority.context(authority.issue("strict"), clients=authority.path)
    wanting.maximum_version = ssl.TLSVersion.TLSv1_2  # the refusal comes before the question is sent
    with listening(wanting) as site, pytest.raises(FetchError, match="TLS failed") as caught:
        read_all(site, ca_file=authority.path)
    assert caught.value.hint == "the server may ask for a client certificate that it knows"


def test_a_server_that_speaks_no_tls_is_told(authority: Authority) -> None:
    with listening() as plain:
        plain.url = plain.url.replace("http:", "https:")
        with pytest.raises(FetchError):
            read_all(plain, retries=0)


# --- files that cannot be used


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_unusable_authorities_are_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"cannot use the trusted authorities .*ca\.pem: "):
        read_all(Site(url="https://127.0.0.1:1/"), ca_file=path)


def test_a_key_of_another_certificate_is_named(authority: Authority) -> None:
    one, two = authority.issue("one"), authority.issue("two")
    with pytest.raises(ConfigError, match="the key belongs to another certificate"):
        read_all(Site(url="https://127.0.0.1:1/"), certificate=one.certificate, key=two.key)


def test_a_key_with_a_passphrase_is_refused_and_nobody_asked(authority: Authority) -> None:
    locked = authority.issue("locked", passphrase=b"secret")
    with pytest.raises(ConfigError, match="has a passphrase"):
        read_all(Site(url="https://127.0.0.1:1/"), certificate=locked.certificate, key=locked.key)


def test_a_missing_client_certificate_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_all(Site(url="https://127.0.0.1:1/"), certificate=tmp_path / "none.pem")


def test_a_key_in_a_token_is_refused_in_words(authority: Authority) -> None:
    device = authority.issue("device")
    with pytest.raises(ConfigError, match="PKCS#11"):
        read_all(Site(url="https://h/"), certificate=device.certificate, key=Path("pkcs11:object=device"))


def test_a_key_without_a_certificate_is_refused(authority: Authority) -> None:
    with pytest.raises(ConfigError, match="its certificate is not set"):
        read_all(Site(url="https://h/"), key=authority.issue("device").key)
