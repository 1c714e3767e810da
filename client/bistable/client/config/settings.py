"""All settings. This is the one place where they are declared: type, default, check, meaning, key in mender.conf."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bistable.client.config.declare import Form, Setting, setting, settings_of
from bistable.client.config.kinds import (
    BOOLEAN,
    BOOT_BACKEND,
    BOOT_SCHEME,
    COMMAND,
    DEVICE,
    KEY,
    LOG_LEVEL,
    NUMBERS,
    PATH,
    PATHS,
    PROGRAM,
    SECRET,
    TEXT,
    TEXTS,
    URLS,
    WHEN_OFFLINE,
    BootBackend,
    BootScheme,
    LogLevel,
    Secret,
    WhenOffline,
    number,
    seconds,
)

GRUB_COPIES: Final = ("PARTLABEL=boot-env@0", "PARTLABEL=boot-env@0x100000")
"""Where `bistable image` puts the two copies of GRUB's environment, unless a layout says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSettings:
    """What the device is, and where the client keeps what it must remember."""

    type: str | None = field(
        default=None,
        metadata=setting(TEXT, "What type of device this is; artifacts say which types they are for."),
    )
    device_type_file: Path = field(
        default=Path("/var/lib/mender/device_type"),
        metadata=setting(
            PATH, "The file with the line `device_type=…`, if `type` is not set.", DeviceTypeFile=Form.TEXT
        ),
    )
    data_dir: Path = field(
        default=Path("/var/lib/bistable"),
        metadata=setting(PATH, "The client's memory. It must be on a partition that no update overwrites."),
    )
    artifact_info_file: Path = field(
        default=Path("/etc/mender/artifact_info"),
        metadata=setting(
            PATH, "The file with the line `artifact_name=…`: what is installed as long as no update has been."
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotSettings:
    """The two partitions of which one runs and the other is updated."""

    a: Path | None = field(
        default=None,
        metadata=setting(DEVICE, "The first one, such as `/dev/mmcblk0p2`.", RootfsPartA=Form.TEXT),
    )
    b: Path | None = field(default=None, metadata=setting(DEVICE, "The second one.", RootfsPartB=Form.TEXT))


@dataclass(frozen=True, slots=True, kw_only=True)
class BootSettings:
    """How the boot loader is told what to boot."""

    backend: BootBackend = field(
        default=BootBackend.AUTO,
        metadata=setting(
            BOOT_BACKEND,
            "What talks to the boot loader: tools for its environment (`uboot`; Mender's GRUB and systemd-boot have "
            "such tools, too), the client itself (`grub`, `systemd-boot`, `efi`, `raspberry-pi`), a program of your "
            "own (`custom`), or nothing but a file (`simulated`, for trying things out). `auto` looks what is there.",
        ),
    )
    scheme: BootScheme = field(
        default=BootScheme.AUTO,
        metadata=setting(
            BOOT_SCHEME,
            "Which variables the boot script uses: those of Mender's integration (`mender_boot_part`, …) or an order "
            "of slots with a counter for each (`slots`). `auto` looks which are there.",
        ),
    )
    printenv: str | None = field(
        default=None,
        metadata=setting(
            PROGRAM,
            "The program that prints variables of the boot environment; without it the known ones are tried.",
            BootUtilitiesGetNextActivePart=Form.TEXT,
        ),
    )
    setenv: str | None = field(
        default=None,
        metadata=setting(
            PROGRAM,
            "The program that sets variables of the boot environment; without it the known ones are tried.",
            BootUtilitiesSetActivePart=Form.TEXT,
        ),
    )
    env_config: Path | None = field(
        default=None,
        metadata=setting(
            PATH, "The file that says where the environment is, if it is not the `/etc/fw_env.config` of the tools."
        ),
    )
    grub_copies: tuple[str, ...] = field(
        default=GRUB_COPIES,
        metadata=setting(
            TEXTS,
            "Where the two copies of the environment of the back end `grub` are: a path, `PARTUUID=…` or "
            "`PARTLABEL=…`, and behind an `@` how many bytes from its start.",
        ),
    )
    grub_directory: Path | None = field(
        default=None,
        metadata=setting(
            PATH,
            "The directory with `mender_grubenv1` and `mender_grubenv2`, for the back end `grub` with the scheme "
            "`mender`; without it the usual places are tried.",
        ),
    )
    directory: Path | None = field(
        default=None,
        metadata=setting(
            PATH,
            "Where the boot partition is mounted, with `loader/entries` (`systemd-boot`), room for kernels "
            "(`systemd-boot`, `efi`) or `autoboot.txt` (`raspberry-pi`); without it the usual places are tried.",
        ),
    )
    kernel: Path = field(
        default=Path("/boot/vmlinuz"),
        metadata=setting(
            PATH, "The kernel in a slot, for back ends that copy it to the boot partition: `systemd-boot` and `efi`."
        ),
    )
    initrd: Path | None = field(
        default=None, metadata=setting(PATH, "The initial RAM disk in a slot, for the same; without it there is none.")
    )
    partitions: tuple[str, ...] = field(
        default=(),
        metadata=setting(
            TEXTS,
            "The boot partitions of slots a and b for the back end `raspberry-pi`: a path, `PARTUUID=…` or "
            "`PARTLABEL=…` each.",
        ),
    )
    firmware: Path = field(
        default=Path("/boot/firmware"),
        metadata=setting(
            PATH,
            "The directory of a slot whose content belongs on its boot partition, for the back end `raspberry-pi`.",
        ),
    )
    efi_entries: tuple[str, ...] = field(
        default=(),
        metadata=setting(
            TEXTS,
            'The numbers of the boot entries of slots a and b, such as `["0001", "0002"]`, for the back end `efi`, if '
            "their descriptions are not `bistable a` and `bistable b`.",
        ),
    )
    handler: str | None = field(default=None, metadata=setting(PROGRAM, "The program of the back end `custom`."))
    tries: int = field(
        default=3,
        metadata=setting(
            number(1, 9),
            "How often a new slot is tried before the boot loader falls back; for the scheme `slots` and "
            "`systemd-boot`.",
        ),
    )
    slot_names: tuple[str, ...] = field(
        default=(),
        metadata=setting(
            TEXTS,
            'What the boot loader calls slots a and b, such as `["A", "B"]`, if not `a` and `b`: for the back end '
            "`custom`, and for the kernel argument that names the slot.",
        ),
    )
    part_numbers: tuple[int, ...] = field(
        default=(),
        metadata=setting(
            NUMBERS,
            "The partition numbers of slots a and b for the scheme `mender`, or of their boot partitions for the back "
            "end `raspberry-pi`, if the devices' names do not end in them.",
        ),
    )
    simulated_state: Path | None = field(
        default=None, metadata=setting(PATH, "The file in which the back end `simulated` keeps its state.")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set, one group for each table of the configuration file."""

    device: DeviceSettings = field(default_factory=DeviceSettings)
    slots: SlotSettings = field(default_factory=SlotSettings)
    boot: BootSettings = field(default_factory=BootSettings)
    trust: TrustSettings = field(default_factory=TrustSettings)
    install: InstallSettings = field(default_factory=InstallSettings)
    fetch: FetchSettings = field(default_factory=FetchSettings)
    modules: ModuleSettings = field(default_factory=ModuleSettings)
    scripts: ScriptSettings = field(default_factory=ScriptSettings)
    attributes: AttributeSettings = field(default_factory=AttributeSettings)
    health: HealthSettings = field(default_factory=HealthSettings)
    watchdog: WatchdogSettings = field(default_factory=WatchdogSettings)
    commit: CommitSettings = field(default_factory=CommitSettings)
    log: LogSettings = field(default_factory=LogSettings)
    server: ServerSettings = field(default_factory=ServerSettings)


SETTINGS: Final[tuple[Setting, ...]] = tuple(settings_of(Settings))
