"""Where the fuzzer starts: the corpus of real and faulty artifacts, and hand-made ones of every kind."""

import lzma
import random
import zlib
from pathlib import Path

from forge import (
    IMAGE,
    KINDS,
    Augment,
    Forge,
    bootstrap,
    compress,
    gnu_long_name,
    module,
    pax,
    tar,
    tar_header,
    version_2,
)
from fuzz.mutate import MAX_SIZE

TESTS = Path(__file__).parent.parent
FOUND = Path(__file__).parent / "found"
"""Inputs that were not handled well once."""

SCRIPT = ("ArtifactInstall_Enter_00", b"#!/bin/sh\n")


def gzip_with_all_fields(data: bytes) -> bytes:
    """Return a gzip member whose header has every optional field, the checksum of the header included."""
    header = b"\x1f\x8b\x08\x1e\0\0\0\0\0\x03" + b"\x05\0extra" + b"a name\0" + b"a comment\0"
    header += (zlib.crc32(header) & 0xFFFF).to_bytes(2, "little")
    return header + compress(".gz", data)[10:]


def streams(archive: bytes) -> list[Forge]:
    """Return artifacts whose data is compressed in unusual ways, good and bad."""
    skippable = b"\x5a\x2a\x4d\x18\x03\0\0\0abc"
    frame = compress(".zst", archive)
    wide = b"\x28\xb5\x2f\xfd\x00\xf8" + frame[6:]  # a window of terabytes
    stream = compress(".xz", archive)
    block = stream[12:16] + b"\x20" + stream[17:20]  # a dictionary of 256 MiB
    halves = (archive[:700], archive[700:])
    return [
        Forge(data_kind=".gz", data=gzip_with_all_fields(archive)),
        Forge(data_kind=".gz", data=b"".join(compress(".gz", half) for half in halves)),
        Forge(data_kind=".zst", data=skippable + frame + skippable),
        Forge(data_kind=".zst", data=b"".join(compress(".zst", half) for half in halves)),
        Forge(data_kind=".zst", data=wide),
        Forge(data_kind=".xz", data=b"".join(compress(".xz", half) + bytes(8) for half in halves)),
        Forge(data_kind=".xz", data=lzma.compress(archive, check=lzma.CHECK_SHA256)),
        Forge(data_kind=".xz", data=stream[:12] + block + zlib.crc32(block).to_bytes(4, "little") + stream[24:]),
    ]


def hand_made() -> list[bytes]:
    """Return artifacts that hold everything the format knows."""
    content = random.Random(0).randbytes(3000) + bytes(3000)
    files = [("a", content), ("b", b""), ("c", b"text " * 300)]
    made: list[Forge] = []
    for kind in KINDS:
        made += [
            Forge(kind=kind, scripts=[SCRIPT]),
            module(*files, kind=kind, meta_data=b'{"a":{"b":[1,2.5,null]}}', key="ec256"),
            bootstrap(kind=kind),
            version_2(kind=kind),
            module(("a", b"1"), kind=kind, augment=Augment()),
        ]
    text = b"2\n1000\n3\n2000\n0\n".ljust(512, b"\0") + b"abc"
    records = [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "2000")]
    sparse = tar(pax(*records), ("a", text))
    made.append(module(("a", bytes(1000) + b"abc" + bytes(997)), data_archive=sparse, kind=""))
    made.append(module(("a", b"1"), data_archive=tar(gnu_long_name("a"), ("x", b"1")), kind=""))
    directories = [tar_header(name, flag=b"5") for name in ("scripts/", "headers/")]
    parts = Forge().header_members()
    made.append(Forge(kind="", header_archive=tar(parts[0], *directories, *parts[1:])))
    made += streams(tar(("rootfs.ext4", IMAGE)))
    return [parts.build() for parts in made]


def corpus() -> list[bytes]:
    """Return everything to start from, small enough to be changed quickly."""
    paths = sorted((TESTS / "vectors" / "corpus").rglob("*.mender")) + sorted(FOUND.glob("*"))
    seeds = [path.read_bytes() for path in paths] + hand_made()
    return [seed for seed in seeds if len(seed) <= MAX_SIZE // 4]
