"""The update client, put into a root file system."""

from bistable.tools.disk.client.install import Configuration, Start, install_client, put_client, put_configuration
from bistable.tools.disk.client.requirements import Packages, Requirement, look_for_packages
from bistable.tools.disk.client.source import ClientSource, client_source

__all__ = [
    "ClientSource",
    "Configuration",
    "Packages",
    "Requirement",
    "Start",
    "client_source",
    "install_client",
    "look_for_packages",
    "put_client",
    "put_configuration",
]
