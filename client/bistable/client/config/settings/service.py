"""Settings of the service: its log, and its servers."""

from dataclasses import dataclass, field
from pathlib import Path

from bistable.client.config.declare import Form, setting
from bistable.client.config.kinds import (
    COMMAND,
    KEY,
    LOG_LEVEL,
    PATH,
    SECRET,
    URLS,
    WHEN_OFFLINE,
    LogLevel,
    Secret,
    WhenOffline,
    number,
    seconds,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """What the client says about its work."""

    level: LogLevel = field(
        default=LogLevel.INFO, metadata=setting(LOG_LEVEL, "How much it says.", DaemonLogLevel=Form.TEXT)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """The server that gives the device its updates."""

    urls: tuple[str, ...] = field(
        default=(),
        metadata=setting(
            URLS, "Its addresses; if one does not answer, the next is tried.", ServerURL=Form.TEXT, Servers=Form.SERVERS
        ),
    )
    tenant_token: Secret | None = field(
        default=None,
        metadata=setting(
            SECRET, "Whose device this is, on a server for several owners. Shown nowhere.", TenantToken=Form.TEXT
        ),
    )
    auth_key: Path | None = field(
        default=None,
        metadata=setting(
            KEY,
            "The key the device logs in with (PEM; Ed25519, P-256 or RSA); without it the one that the device has is "
            "used, or one is made.",
            Security__AuthPrivateKey=Form.TEXT,
        ),
    )
    auth_signer: tuple[str, ...] = field(
        default=(),
        metadata=setting(
            COMMAND,
            "A program that signs logins with a key that is not in a file, in a token for example: it reads what is to "
            "be signed and writes the signature. `auth-public-key` is needed, too.",
        ),
    )
    auth_public_key: Path | None = field(
        default=None, metadata=setting(PATH, "The public half (PEM) of the key that `auth-signer` signs with.")
    )
    poll_interval: int = field(
        default=1800,
        metadata=setting(
            seconds(1), "Seconds between two questions for an update.", UpdatePollIntervalSeconds=Form.NUMBER
        ),
    )
    inventory_interval: int = field(
        default=28_800,
        metadata=setting(
            seconds(1), "Seconds between two reports of the inventory.", InventoryPollIntervalSeconds=Form.NUMBER
        ),
    )
    retry_interval: int = field(
        default=300,
        metadata=setting(
            seconds(1), "The longest wait after a failed request, in seconds.", RetryPollIntervalSeconds=Form.NUMBER
        ),
    )
    retry_count: int = field(
        default=0,
        metadata=setting(
            number(0),
            "Attempts after which a request is given up; 0 leaves it to the intervals.",
            RetryPollCount=Form.NUMBER,
        ),
    )
    map_expiration: int | None = field(
        default=None,
        metadata=setting(
            seconds(1),
            "Seconds that an update control map lives; twice `poll-interval` if nothing is said.",
            UpdateControlMapExpirationTimeSeconds=Form.NUMBER,
        ),
    )
    map_boot_expiration: int = field(
        default=600,
        metadata=setting(
            seconds(1),
            "Seconds that an update control map lives that was taken over from another client.",
            UpdateControlMapBootExpirationTimeSeconds=Form.NUMBER,
        ),
    )
    when_offline: WhenOffline = field(
        default=WhenOffline.STAY,
        metadata=setting(
            WHEN_OFFLINE,
            "What becomes of an update that the server holds when the server cannot be asked any more and its map has "
            "expired: it stays held, goes on, or fails.",
        ),
    )
    offline_limit: int = field(
        default=0,
        metadata=setting(
            seconds(0), "Seconds after the expiry of the map until that is done, if the update does not stay held."
        ),
    )
    log_dir: Path | None = field(
        default=None,
        metadata=setting(
            PATH, "Where the logs of deployments go; the data directory if nothing is said.", UpdateLogPath=Form.TEXT
        ),
    )
