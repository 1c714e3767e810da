"""Settings of what an update goes through, from trust in it to its commit."""

from dataclasses import dataclass, field
from pathlib import Path

from bistable.client.config.declare import Form, setting
from bistable.client.config.kinds import (
    BOOLEAN,
    DEVICE,
    KEY,
    PATH,
    PATHS,
    TEXTS,
    number,
    seconds,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustSettings:
    """Whose artifacts are installed."""

    verify_keys: tuple[Path, ...] = field(
        default=(),
        metadata=setting(
            PATHS,
            "Public keys or certificates (PEM). If there is at least one, an artifact must be signed by one of them; "
            "an unsigned one is refused.",
            ArtifactVerifyKey=Form.TEXT,
            ArtifactVerifyKeys=Form.TEXTS,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallSettings:
    """How a root file system is written."""

    skip_identical: bool = field(
        default=True,
        metadata=setting(BOOLEAN, "Read before writing, and leave alone what is already there: it spares the flash."),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchSettings:
    """How an artifact is fetched from an address."""

    retries: int = field(
        default=10,
        metadata=setting(
            number(1, 10_000),
            "Attempts in a row without progress after which a download is given up.",
            RetryDownloadCount=Form.NUMBER,
        ),
    )
    spool_max_mib: int = field(
        default=0,
        metadata=setting(
            number(0), "MiB of a download that may be kept in the data directory to go on after a reboot; 0 is none."
        ),
    )
    rate_limit_kib: int = field(
        default=0,
        metadata=setting(number(0), "KiB that are fetched in a second at most; 0 is no limit."),
    )
    ca_file: Path | None = field(
        default=None,
        metadata=setting(
            PATH,
            "Certificates (PEM) that servers are trusted by, besides those of the system.",
            ServerCertificate=Form.TEXT,
        ),
    )
    client_certificate: Path | None = field(
        default=None,
        metadata=setting(
            PATH,
            "The certificate by which the device shows a server who it is; its key may be in the same file.",
            HttpsClient__Certificate=Form.TEXT,
        ),
    )
    client_key: Path | None = field(
        default=None,
        metadata=setting(KEY, "The private key of `client-certificate`.", HttpsClient__Key=Form.TEXT),
    )
    skip_verify: bool = field(
        default=False,
        metadata=setting(
            BOOLEAN, "Trust any server. For tests only: anybody could be the server.", SkipVerify=Form.SWITCH
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleSettings:
    """Update modules: the programs that install payloads other than root file systems."""

    directories: tuple[Path, ...] = field(
        default=(Path("/usr/share/bistable/modules/v3"), Path("/usr/share/mender/modules/v3")),
        metadata=setting(PATHS, "Where they are; the first directory that has one wins."),
    )
    timeout: int = field(
        default=14_400,
        metadata=setting(
            seconds(1), "Seconds that one call may take before it is ended.", ModuleTimeoutSeconds=Form.NUMBER
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptSettings:
    """State scripts: programs that run before and after the steps of an update."""

    rootfs_dir: Path = field(
        default=Path("/etc/mender/scripts"),
        metadata=setting(PATH, "Where those are that belong to the device and not to an artifact."),
    )
    timeout: int = field(
        default=3600,
        metadata=setting(
            seconds(1), "Seconds that a script may take before it is ended.", StateScriptTimeoutSeconds=Form.NUMBER
        ),
    )
    retry_interval: int = field(
        default=60,
        metadata=setting(
            seconds(1),
            "Seconds until a script that asked for it (exit code 21) is run again.",
            StateScriptRetryIntervalSeconds=Form.NUMBER,
        ),
    )
    retry_timeout: int = field(
        default=1800,
        metadata=setting(
            seconds(1),
            "Seconds after which a script that still asks to be run again has failed.",
            StateScriptRetryTimeoutSeconds=Form.NUMBER,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeSettings:
    """Programs that tell what the device is and has."""

    inventory_dirs: tuple[Path, ...] = field(
        default=(Path("/usr/share/bistable/inventory"), Path("/usr/share/mender/inventory")),
        metadata=setting(PATHS, "Where the inventory programs are; all directories count."),
    )
    identity_programs: tuple[Path, ...] = field(
        default=(
            Path("/usr/share/mender/identity/mender-device-identity"),
            Path("/usr/share/bistable/identity/device-identity"),
        ),
        metadata=setting(
            PATHS,
            "The program that prints what tells this device from others; the first that is there. One that a device "
            "already had goes first: with another identity it would be another device to its server.",
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSettings:
    """What must be true of an updated system before it is committed."""

    directory: Path = field(
        default=Path("/etc/bistable/health.d"),
        metadata=setting(PATH, "Programs that all have to succeed."),
    )
    units: tuple[str, ...] = field(
        default=(), metadata=setting(TEXTS, "Units of systemd that have to be active, such as `network-online.target`.")
    )
    no_failed_units: bool = field(
        default=False, metadata=setting(BOOLEAN, "Whether any failed unit of systemd makes the system unhealthy.")
    )
    deadline: int = field(
        default=300,
        metadata=setting(seconds(1), "Seconds that the system has to become healthy; then the update is rolled back."),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchdogSettings:
    """The hardware watchdog, which reboots a device that hangs while a new system is on trial."""

    device: Path | None = field(
        default=None, metadata=setting(DEVICE, "The watchdog, such as `/dev/watchdog`; without it none is used.")
    )
    limit: int = field(
        default=60, metadata=setting(seconds(1), "Seconds without a sign of life after which it reboots the device.")
    )
    phase: int = field(
        default=1800,
        metadata=setting(
            seconds(1),
            "Seconds that verifying, checking or committing the new system may take each, all scripts and modules "
            "included; then the watchdog is left alone.",
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitSettings:
    """What else is asked for before an update is made permanent."""

    require_server_reachable: bool = field(
        default=False,
        metadata=setting(BOOLEAN, "Whether one of `server.urls` must answer: a device that cannot be reached is lost."),
    )
