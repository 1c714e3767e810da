"""Files that are written beside all partitions, such as first stages of boot loaders: where they lie, and what fits."""

from bistable.artifact.errors import RequestError
from bistable.tools.disk.layout.model import SECTOR, Blob, Layout


def blobs_end(layout: Layout, head: int) -> int:
    """Return where they end, `head` being the end of the partition table; without looking at them if `end` says it.

    Raises:
        RequestError: one overlaps another or the partition table, or lies behind `end`.
    """
    if layout.blobs_end is None:
        return _reached(layout, head)
    before: Blob | None = None
    for blob in _in_order(layout):
        if blob.offset < head:
            raise _in_table(blob, head)
        if before is not None and blob.offset == before.offset:
            raise RequestError(f"cannot put {blob.file} at {blob.offset} of the disk: {before.file} starts there, too")
        if blob.offset >= layout.blobs_end:
            raise RequestError(
                f"cannot put {blob.file} at {blob.offset} of the disk: [blobs] end is {layout.blobs_end}, where "
                "partitions may begin",
                hint="write a larger end",
            )
        _check_sector(blob)
        before = blob
    return layout.blobs_end


def check_blobs_fit(layout: Layout) -> None:
    """Check that the files are there, and that each ends before the next one starts and before `end`.

    Raises:
        RequestError: one cannot be read, or is too large for its place.
    """
    reached = _reached(layout, 0)
    if layout.blobs_end is not None and reached > layout.blobs_end:
        raise RequestError(
            f"cannot put {_in_order(layout)[-1].file} on the disk: it reaches to {reached}, and [blobs] end is "
            f"{layout.blobs_end}",
            hint="a larger end moves all partitions: devices in the field would keep theirs",
        )


def _in_order(layout: Layout) -> list[Blob]:
    return sorted(layout.blobs, key=lambda blob: blob.offset)


def _reached(layout: Layout, head: int) -> int:
    """Return where the last one ends, by the sizes of the files."""
    end, before = head, None
    for blob in _in_order(layout):
        try:
            size = blob.file.stat().st_size
        except OSError as e:
            raise RequestError(f"cannot read {blob.file}: {e.strerror}") from e
        if blob.offset < end:
            if before is None:
                raise _in_table(blob, end)
            raise RequestError(f"cannot put {blob.file} at {blob.offset} of the disk: {before.file} reaches to {end}")
        _check_sector(blob)
        end, before = blob.offset + size, blob
    return end


def _in_table(blob: Blob, head: int) -> RequestError:
    return RequestError(
        f"cannot put {blob.file} at {blob.offset} of the disk: the partition table reaches to {head}",
        hint='with table = "mbr" only the first 512 bytes belong to the table',
    )


def _check_sector(blob: Blob) -> None:
    if blob.offset % SECTOR:
        raise RequestError(f"cannot put {blob.file} at {blob.offset} of the disk: that is no whole sector")
