"""Reading an address by TLS: whose certificate is believed, and whose is not."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from http_site import CONTENT, Site, Waiting, dropping, listening, read_all, saying, site

from bistable.artifact.errors import KeyUnusableError, MachineError, RequestError
from bistable.artifact.source import HttpSettings, open_source

__all__ = ["site"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """Return a certificate for 127.0.0.1 that is its own authority, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    public, private = folder / "ca.pem", folder / "key.pem"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return public, context


@pytest.fixture
def secure(authority: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "*")
    with listening(authority[1]) as site:
        yield site


def test_an_untrusted_certificate_is_refused_at_once(secure: Site) -> None:
    waiting = Waiting()
    with pytest.raises(MachineError, match="certificate is not trusted"):
        read_all(secure, waiting)
    assert not waiting.seconds
    assert not secure.asked


def test_an_authority_of_the_users_own_is_trusted(secure: Site, authority: tuple[Path, ssl.SSLContext]) -> None:
    secure.answers = [dropping(700)]
    assert read_all(secure, ca_file=authority[0]) == CONTENT


def test_a_redirect_from_https_to_http_is_refused(
    secure: Site, site: Site, authority: tuple[Path, ssl.SSLContext]
) -> None:
    secure.answers = [saying(302, Location=site.url)]
    with pytest.raises(MachineError, match="redirects from https to 'http'"):
        read_all(secure, ca_file=authority[0])
    assert not site.asked


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_an_unusable_file_of_authorities_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with (
        pytest.raises(KeyUnusableError, match=r"ca\.pem"),
        open_source("https://127.0.0.1:1/", settings=HttpSettings(ca_file=path)),
    ):
        pass


def test_a_control_character_in_a_host_is_refused() -> None:
    with pytest.raises((RequestError, MachineError)), open_source("http://a\x01b/", settings=HttpSettings(retries=0)):
        pass
