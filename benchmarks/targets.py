"""What is wanted of the measured numbers, and whether they give it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

COLUMNS: Final[Mapping[str, tuple[int, str]]] = {
    "CPU": (1, "s"),
    "wall": (2, "s"),
    "memory": (3, "MiB"),
    "size": (4, "MB"),
}
"""What may be wanted -> its column in the tables, and its unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """At most `limit` of a column: times what `peer` has, or as it stands if there is no peer."""

    group: str
    ours: str
    column: str
    limit: float
    peer: str | None = None


def _verifying(codec: str) -> list[Target]:
    names = {"ours": f"bistable verify {codec}", "peer": f"decompress + hash {codec}"}
    return [Target(group="verify", column=column, limit=1.2, **names) for column in ("CPU", "wall")]


TARGETS: Final = (
    Target(group="write", ours="bistable write zstd", column="CPU", limit=1.15, peer="zstd -3 + openssl sha256"),
    Target(group="write", ours="bistable write zstd", column="wall", limit=1.4, peer="zstd -3 -T2"),
    Target(group="write", ours="bistable write gzip", column="CPU", limit=0.6, peer="mender-artifact write gzip"),
    Target(group="write", ours="bistable write gzip", column="size", limit=1.06, peer="mender-artifact write gzip"),
    Target(group="write", ours="bistable write none", column="CPU", limit=1.3, peer="cp + openssl sha256"),
    Target(group="write", ours="bistable write none", column="wall", limit=1.3, peer="cp + openssl sha256"),
    Target(group="xz", ours="bistable write xz", column="CPU", limit=475),
    Target(group="xz", ours="bistable write xz", column="size", limit=178),
    Target(group="xz", ours="bistable write xz", column="wall", limit=0.6, peer="bistable write xz:threads=1"),
    *_verifying("none"),
    *_verifying("gzip"),
    *_verifying("zstd"),
    *_verifying("xz"),
    Target(group="change", ours="bistable modify -n zstd", column="wall", limit=0.3),
    Target(group="change", ours="bistable sign zstd", column="wall", limit=0.3),
    Target(group="small", ours="bistable show (small)", column="wall", limit=0.35),
    Target(group="memory", ours="bistable write zstd, 10 GiB of zeros", column="memory", limit=96),
    Target(group="memory", ours="bistable write zstd, 10 GiB of random", column="memory", limit=96),
    Target(group="memory-verify", ours="bistable verify, 10 GiB of random", column="memory", limit=48),
)


def target_table(groups: Mapping[str, Mapping[str, Sequence[Sequence[str]]]]) -> list[str]:
    """Return the lines of a Markdown table: each target, what was measured, and whether that is enough."""
    lines = ["| what | at most | measured | met |", "|---|---|---|---|"]
    for target in TARGETS:
        column, unit = COLUMNS[target.column]
        rows = {row[0]: row for row in groups.get(target.group, {}).get("rows", ())}
        ours, peer = rows.get(target.ours, ()), rows.get(target.peer or "", ())
        what = f"{target.ours}: {target.column}"
        if target.peer is None:
            limit, measured = f"{target.limit:g} {unit}", _number(ours, column)
            shown = f"{measured} {unit}"
        else:
            limit, measured = f"{target.limit:g} x {target.peer}", None
            if (mine := _number(ours, column)) is not None and (theirs := _number(peer, column)):
                measured = round(mine / theirs, 3)
            shown = f"{measured} x"
        met = "" if measured is None else "yes" if measured <= target.limit else "**no**"
        lines.append(f"| {what} | {limit} | {'not measured' if measured is None else shown} | {met} |")
    return lines


def _number(row: Sequence[str], column: int) -> float | None:
    try:
        return float(row[column])
    except (IndexError, ValueError):
        return None
