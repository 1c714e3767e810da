"""Whom we trust, and who we are, in TLS."""

import logging
import ssl
from pathlib import Path

from bistable.client.errors import ConfigError
from bistable.client.fetch.settings import FetchSettings

log = logging.getLogger(__name__)


def make_context(settings: FetchSettings) -> ssl.SSLContext:
    """Return the TLS context of the settings.

    Raises:
        ConfigError: a certificate or key cannot be used.
    """
    context = ssl.create_default_context()
    if settings.ca_file is not None:
        try:
            context.load_verify_locations(settings.ca_file)
        except (OSError, ValueError) as e:
            raise _unusable("trusted authorities", settings.ca_file, e) from e
    if settings.certificate is not None:
        _load_identity(context, settings.certificate, settings.key)
    elif settings.key is not None:
        raise ConfigError("cannot use the client's key: its certificate is not set", hint="set both or none")
    if settings.skip_verify:
        log.info("servers are not asked to prove who they are: their certificates are not checked")
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _load_identity(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    if key is not None and str(key).startswith("pkcs11:"):
        raise ConfigError(
            "cannot use the client's key: keys in PKCS#11 tokens cannot be used for HTTPS",
            hint="name a file with the private key",
        )
    try:
        # Without a password OpenSSL would ask for one on the terminal.
        context.load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as e:
        places = certificate if key is None else f"{certificate} with the key {key}"
        raise _unusable("client certificate", places, e) from e


def _unusable(what: str, place: Path | str, error: Exception) -> ConfigError:
    if isinstance(error, ssl.SSLError) or not isinstance(error, OSError):
        reasons = {
            "KEY_VALUES_MISMATCH": "the key belongs to another certificate",
            "NO_CERTIFICATE_OR_CRL_FOUND": "it holds no certificate",
        }
        why = reasons.get(getattr(error, "reason", None) or "", "it is not PEM as it should be, or has a passphrase")
    else:
        why = error.strerror or str(error)
    return ConfigError(f"cannot use the {what} {place}: {why}")
