"""The client's configuration: its own TOML files, and mender.conf as it is."""

from bistable.client.config.kinds import BootBackend, BootScheme, LogLevel, Secret
from bistable.client.config.load import ConfigPaths, Loaded, load, only
from bistable.client.config.problems import Origin
from bistable.client.config.settings import Settings

__all__ = [
    "BootBackend",
    "BootScheme",
    "ConfigPaths",
    "Loaded",
    "LogLevel",
    "Origin",
    "Secret",
    "Settings",
    "load",
    "only",
]
