"""Where the fuzzer starts: the corpus of real and faulty artifacts, and hand-made ones of every kind."""

import random
from pathlib import Path

from forge import KINDS, Augment, Forge, bootstrap, gnu_long_name, module, pax, tar, tar_header, version_2
from fuzz.mutate import MAX_SIZE

TESTS = Path(__file__).parent.parent
FOUND = Path(__file__).parent / "found"
"""Inputs that were not handled well once."""

SCRIPT = ("ArtifactInstall_Enter_00", b"#!/bin/sh\n")


def hand_made() -> list[bytes]:
    """Return sound artifacts that hold everything the format knows."""
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
    return [parts.build() for parts in made]


def corpus() -> list[bytes]:
    """Return everything to start from, small enough to be changed quickly."""
    paths = sorted((TESTS / "vectors" / "corpus").rglob("*.mender")) + sorted(FOUND.glob("*"))
    seeds = [path.read_bytes() for path in paths] + hand_made()
    return [seed for seed in seeds if len(seed) <= MAX_SIZE // 4]
