"""Images made of trees, and what is in them."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from image_samples import (
    EXT4_TOOLS,
    make_rootfs,
    needs,
)

from bistable.artifact.image import (
    Entry,
    ImageKind,
    ImageOptions,
    MadeImage,
    make_image,
    read_file,
    walk_image,
)

KINDS = [
    pytest.param(ImageKind.EXT4, marks=EXT4_TOOLS),
    pytest.param(ImageKind.SQUASHFS, marks=needs("sqfstar", "unsquashfs")),
    pytest.param(ImageKind.EROFS, marks=needs("mkfs.erofs", "fakeroot", "tar")),
]
READABLE = KINDS[:2]


@pytest.fixture(scope="module")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_rootfs(tmp_path_factory.mktemp("rootfs"))


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def entries(image: Path) -> dict[str, Entry]:
    return {entry.path: entry for entry in walk_image(image) if entry.path != "/lost+found"}


def content(image: Path, path: str) -> bytes:
    parts: list[bytes] = []
    read_file(image, path, parts.append)
    return b"".join(parts)


def make(source: Path, target: Path, kind: ImageKind = ImageKind.EXT4, **more: object) -> MadeImage:
    return make_image(source, target, ImageOptions(kind=kind, **more))  # type: ignore[arg-type]
