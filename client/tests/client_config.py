"""A place with configuration files."""

import json
from pathlib import Path
from typing import Any

from bistable.client.config import ConfigPaths, Loaded, Settings, load


class Etc:
    """Writes files, and loads what they say."""

    def __init__(self, root: Path) -> None:
        self.paths = ConfigPaths(
            own=root / "bistable.toml",
            drop_ins=root / "conf.d",
            mender=root / "mender.conf",
            mender_fallback=root / "fallback.conf",
        )
        self.paths.drop_ins.mkdir()

    def own(self, text: str) -> "Etc":
        self.paths.own.write_text(text)
        return self

    def drop_in(self, name: str, text: str) -> "Etc":
        (self.paths.drop_ins / name).write_text(text)
        return self

    def mender(self, **values: Any) -> "Etc":
        self.paths.mender.write_text(json.dumps(values, indent=1))
        return self

    def fallback(self, **values: Any) -> "Etc":
        self.paths.mender_fallback.write_text(json.dumps(values, indent=1))
        return self

    def load(self) -> Loaded:
        return load(self.paths)

    @property
    def settings(self) -> Settings:
        return self.load().settings
