"""Fetches artifacts: from files, pipes and servers, over bad links, and across restarts."""

from bistable.client.fetch.artifact import ArtifactSource, open_artifact
from bistable.client.fetch.failures import ChangedError, LinkRefusedError, TransientFetchError
from bistable.client.fetch.proxies import Proxies, read_proxies
from bistable.client.fetch.reach import require_reachable
from bistable.client.fetch.settings import FetchSettings
from bistable.client.fetch.spool import Spool, SpoolSettings

__all__ = [
    "ArtifactSource",
    "ChangedError",
    "FetchSettings",
    "LinkRefusedError",
    "Proxies",
    "Spool",
    "SpoolSettings",
    "TransientFetchError",
    "open_artifact",
    "read_proxies",
    "require_reachable",
]
