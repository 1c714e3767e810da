"""Everything between this device and its server, wired from the settings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bistable.client.deployment.device import Device
from bistable.client.deployment.reporting import Kept, Reach, ServerReporter
from bistable.client.server import (
    AsideCredentials,
    Authenticator,
    Credentials,
    Deployments,
    Door,
    Identified,
    Inventory,
    KeyPlace,
    Session,
    Standing,
    read_log,
    report_attempts,
)

OWN_KEY: Final = "device-key.pem"
LEGACY_KEY: Final = Path("/var/lib/mender/mender-agent.pem")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The server's side: logging in, deployments, inventory, and the reporter that tells how an update goes."""

    authenticator: Authenticator
    deployments: Deployments
    inventory: Inventory
    reporter: ServerReporter


def make_fleet(device: Device, kept: Kept, on_login: Callable[[Standing], None], *, lasting: bool) -> Fleet | None:
    """Return the server's side; None if no server is configured.

    Raises:
        ConfigError: what is configured cannot be used.
    """
    settings = device.settings.server
    if not settings.urls:
        return None
    door = Door(device.fetch_settings())
    tenant = None if settings.tenant_token is None else settings.tenant_token.value
    place = _key_place(device)
    credentials: Identified
    if lasting:
        credentials = AsideCredentials(identity=lambda: _identity(device), place=place, tenant_token=tenant)
    else:
        credentials = Credentials(identity=lambda: _identity(device), key=place.open, tenant_token=tenant)
    authenticator = Authenticator(settings.urls, door, credentials, on_change=on_login)
    session = Session(door, authenticator)
    deployments = Deployments(session)
    reporter = ServerReporter(
        deployments,
        kept,
        forget_login=authenticator.forget,
        read_log=lambda deployment: read_log(log_directory(device), deployment),
        reach=_reach(device) if device.settings.commit.require_server_reachable else None,
    )
    return Fleet(
        authenticator=authenticator,
        deployments=deployments,
        inventory=Inventory(session, kept),
        reporter=reporter,
    )


def _reach(device: Device) -> Reach:
    """Return how long it is tried to reach the server before a commit; no watchdog must bite in the meantime."""
    server, watchdog = device.settings.server, device.settings.watchdog
    attempts = report_attempts(server.poll_interval, server.retry_interval)
    interval = float(server.retry_interval)
    if watchdog.device is not None:
        interval = min(interval, watchdog.phase / 2 / attempts)
    return Reach(attempts=attempts, interval=interval)


def log_directory(device: Device) -> Path:
    """Return where the logs of deployments are."""
    return device.settings.server.log_dir or device.settings.device.data_dir


def _identity(device: Device) -> Mapping[str, str | Sequence[str]]:
    from bistable.client.attributes import identity

    return identity(device.settings.attributes.identity_programs)


def _key_place(device: Device) -> KeyPlace:
    settings = device.settings.server
    return KeyPlace(
        own=device.settings.device.data_dir / OWN_KEY,
        existing=LEGACY_KEY,
        chosen=settings.auth_key,
        signer=settings.auth_signer,
        public=settings.auth_public_key,
    )
