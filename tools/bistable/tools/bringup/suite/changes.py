"""Single changes of a root file system, of which variants are made."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from bistable.artifact.image import copy_in

RELEASE_FILE: Final = "/etc/bistable-conformance"
"""Says which variant a slot's content came with."""


class Change(Protocol):
    """Something that is different in an image."""

    @property
    def path(self) -> str:
        """Return the file that is changed."""

    def apply(self, image: Path, *, epoch: int) -> None:
        """Change the image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """A file that is added or replaced; `mode` None: that of the file which is there, or 0644."""

    path: str
    content: bytes
    mode: int | None = None

    def apply(self, image: Path, *, epoch: int) -> None:
        """Change the image."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(self.content)
            file.flush()
            Path(file.name).chmod(0o644)
            copy_in(image, Path(file.name), self.path, epoch=epoch, mode=self.mode)
