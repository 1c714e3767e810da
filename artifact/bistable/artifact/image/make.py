"""Make a file system image from a directory or a tar file, without root, the same bytes every time."""

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from bistable.artifact.errors import MachineError, RequestError
from bistable.artifact.files import replacing
from bistable.artifact.image.directory import add_directory
from bistable.artifact.image.mkext4 import make_ext4
from bistable.artifact.image.mkreadonly import make_erofs, make_squashfs
from bistable.artifact.image.model import ImageKind
from bistable.artifact.image.options import ImageOptions, MadeImage, Work
from bistable.artifact.image.tarball import add_tar
from bistable.artifact.image.tree import Tree, TreeBuilder

MAKERS: Final[Mapping[ImageKind, Callable[[Work], None]]] = {
    ImageKind.EXT4: make_ext4,
    ImageKind.SQUASHFS: make_squashfs,
    ImageKind.EROFS: make_erofs,
}


def make_image(
    source: Path, target: Path, options: ImageOptions, *, add: Callable[[TreeBuilder, Path], None] | None = None
) -> MadeImage:
    """Make the image `target` of the root file system in `source`, a directory or a tar file (plain, gzip, xz, zstd).

    The same source, options and versions of the tools give the same bytes, whoever makes it, when, with which umask,
    and in whatever order the directory is read. `target` appears when it is complete; temporary files are in a private
    directory beside it.

    Raises:
        RequestError: the source is missing, empty, damaged or cannot be stored; or the size does not suffice.
        MachineError: a tool is missing or fails, or the target cannot be written.
    """
    if options.kind not in MAKERS:
        raise RequestError(f"cannot make a {options.kind.value} image: only {', '.join(MAKERS)} can be made")
    if options.margin_percent < 0:
        raise RequestError("cannot make an image with less room than its content needs: the margin is negative")
    if not source.exists():
        raise RequestError(f"cannot make an image from {source}: it does not exist")
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name[:100]}.") as staging:
            tree = _read_tree(source, Path(staging), options, add)
            uuid = options.uuid or tree.identity()
            with replacing(target) as file:
                MAKERS[options.kind](Work(tree=tree, file=file, staging=Path(staging), options=options, uuid=uuid))
                size = file.seek(0, os.SEEK_END)
    except OSError as e:
        raise MachineError(f"cannot make {target}: {e.strerror or e}") from e
    return MadeImage(
        path=target,
        kind=options.kind,
        size=size,
        entries=len(tree.nodes),
        time=tree.time,
        uuid=uuid,
        left_out=tree.left_out,
    )


def _read_tree(
    source: Path, staging: Path, options: ImageOptions, add: Callable[[TreeBuilder, Path], None] | None
) -> Tree:
    builder = TreeBuilder(str(source))
    if source.is_dir():
        base = source
        add_directory(builder, source, keep_owners=options.keep_owners)
    else:
        base = staging / "content"
        base.mkdir()
        add_tar(builder, source, base)
    if add is not None:
        add(builder, base)
    return builder.build(base=base, epoch=options.epoch)
