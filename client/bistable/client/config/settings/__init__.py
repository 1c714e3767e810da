"""All settings. They are declared here and nowhere else: type, default, check, meaning, key in mender.conf."""

from dataclasses import dataclass, field
from typing import Final

from bistable.client.config.declare import Setting, settings_of
from bistable.client.config.settings.device import GRUB_COPIES, BootSettings, DeviceSettings, SlotSettings
from bistable.client.config.settings.service import LogSettings, ServerSettings
from bistable.client.config.settings.updates import (
    AttributeSettings,
    CommitSettings,
    FetchSettings,
    HealthSettings,
    InstallSettings,
    ModuleSettings,
    ScriptSettings,
    TrustSettings,
    WatchdogSettings,
)

__all__ = [
    "GRUB_COPIES",
    "SETTINGS",
    "AttributeSettings",
    "BootSettings",
    "CommitSettings",
    "DeviceSettings",
    "FetchSettings",
    "HealthSettings",
    "InstallSettings",
    "LogSettings",
    "ModuleSettings",
    "ScriptSettings",
    "ServerSettings",
    "Settings",
    "SlotSettings",
    "TrustSettings",
    "WatchdogSettings",
]


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
