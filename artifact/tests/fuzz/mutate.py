"""Changes artifacts at every level: bytes, members, documents, manifests, compressed streams.

Sums are put right afterwards, most of the time, so that what was changed deep inside is reached by a reader that
believes nothing before its sum was right.
"""

import json
import random
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from forge import END, GNU, USTAR, V7, compress, pax_record
from fuzz.anatomy import KINDS, Anatomy, Archive, Entry, dissect, entry, manifest_for

Random: TypeAlias = random.Random
Change: TypeAlias = Callable[[Anatomy, Random], None]

MAX_SIZE: Final = 1 << 20
REPAIR_RATE: Final = 0.9

NAMES: Final = [
    b"version", b"manifest", b"manifest.sig", b"manifest-augment", b"header.tar", b"header.tar.gz", b"header.tar.xz",
    b"header.tar.zst", b"header-augment.tar.gz", b"data/0000.tar", b"data/0000.tar.gz", b"data/0000.tar.xz",
    b"data/0000.tar.zst", b"data/0001.tar", b"header-info", b"headers/0000/type-info", b"headers/0000/meta-data",
    b"headers/0000/files", b"scripts/ArtifactInstall_Enter_00", b"scripts/", b"headers/", b"rootfs.ext4", b"../x",
    b"/etc/passwd", b"", b".", b"x" * 100, b"\xff\xfe", b"a\nb", b"\x1b[31m", "ä".encode(), b"data/0000/rootfs.ext4",
]  # fmt: skip
FLAGS: Final = [
    b"0",
    b"\0",
    b"1",
    b"2",
    b"3",
    b"4",
    b"5",
    b"6",
    b"7",
    b"x",
    b"g",
    b"L",
    b"K",
    b"S",
    b"D",
    b"V",
    b"\xff",
]
SIZES: Final = [
    b"00000000000\0", b"77777777777\0", b"\x80" + (2**62).to_bytes(11, "big"), b"\xff" * 12, b"\x80" + bytes(11),
    b"-0000000001\0", b"           \0", bytes(12), b"0000000100\0\0", b"00000002000 ", b"9" * 12,
    b"0x10\0\0\0\0\0\0\0\0",
]  # fmt: skip
RECORDS: Final = [
    ("path", "rootfs.ext4"), ("path", "../../x"), ("path", "a/" * 200), ("size", "0"), ("size", "5"), ("size", "-1"),
    ("size", "99999999999999999999"), ("size", "1" * 5000), ("uname", "ö"), ("mtime", "1.5"), ("linkpath", "/"),
    ("GNU.sparse.major", "1"), ("GNU.sparse.major", "0"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "4096"),
    ("GNU.sparse.name", "f"), ("GNU.sparse.size", "4096"), ("GNU.sparse.map", "0,1,2,3"), ("GNU.sparse.offset", "7"),
    ("GNU.sparse.numblocks", "1"), ("GNU.sparse.numbytes", "7"), ("GNU.sparse.realsize", "1099511627776"),
    ("hdrcharset", "BINARY"), ("GNU.sparse.map", ""), ("GNU.sparse.size", "0"),
]  # fmt: skip
VALUES: Final[list[Any]] = [
    None, True, False, 0, -1, 3, 2, 1.5, 10**30, "", "x", "rootfs-image", "mod", "*", "a\nb", "\u202e", "x" * 300, [],
    {}, [[]], ["x"], [1], {"": ""}, {"type": None}, [{"type": "mod"}], {"artifact_name": "n"}, {"device_type": ["d"]},
    "../x", ".", "\x00", "\ud800",
]  # fmt: skip
KEYS: Final = [
    "payloads", "type", "artifact_name", "artifact_provides", "artifact_depends", "device_type", "artifact_group", "",
    "clears_artifact_provides", "format", "version", "updates", "device_types_compatible", "files", "x",
]  # fmt: skip
TEXTS: Final = [
    b"NaN", b"Infinity", b"-", b"1e999", b"\xef\xbb\xbf", b"\xff", b"\\ud800", b"{" * 200, b"[" * 101, b"9" * 5000,
    b'"a":1,"a":2,', b"\0", b"\\", b'"', b",", b"//", b"/**/", b"  ", b"\n", b"\r\n", b"\t", b"0" * 64 + b"  x\n",
    b"data/0000/", b"*",
]  # fmt: skip
BYTES: Final = [
    b"\0",
    b"\xff",
    b"\x80",
    b"\x7f",
    b"\n",
    b" ",
    b"/",
    b"\x28\xb5\x2f\xfd",
    b"\x1f\x8b\x08",
    b"\xfd7zXZ\0",
]


def mutate(data: bytes, rng: Random) -> bytes:
    """Return a changed artifact: one to four changes, at levels that chance decides."""
    anatomy = dissect(data) if rng.random() < 0.95 else None
    if anatomy is None:
        return scramble(data, rng)[:MAX_SIZE]
    anatomy.repair = rng.random() < REPAIR_RATE
    late: list[Change] = []
    for _ in range(rng.choice([1, 1, 1, 2, 2, 3, 4])):
        change = rng.choices(CHANGES, WEIGHTS)[0]
        if change in LATE:
            late.append(change)
        else:
            change(anatomy, rng)
    if late:
        anatomy.render()
        anatomy.repair = anatomy.repair and change_manifest not in late
        for change in late:
            change(anatomy, rng)
    made = anatomy.render()
    return (scramble(made, rng) if rng.random() < 0.03 else made)[:MAX_SIZE]


# --- changes


def change_members(anatomy: Anatomy, rng: Random) -> None:
    """Move, drop, repeat, rename and invent members of the artifact itself."""
    _change_entries(anatomy.outer, rng)
    if rng.random() < 0.5:
        anatomy.inner = {place: archive for place, archive in anatomy.inner.items() if rng.random() < 0.5}


def change_inner_members(anatomy: Anatomy, rng: Random) -> None:
    """Do the same inside the header or the data."""
    if anatomy.inner:
        _change_entries(rng.choice(list(anatomy.inner.values())), rng)
        if rng.random() < 0.5:
            list_all(anatomy, rng)


def change_document(anatomy: Anatomy, rng: Random) -> None:
    """Change a JSON document, as a value or as text."""
    entries = [item for archive in anatomy.inner.values() for item in archive.entries]
    entries += [item for item in anatomy.outer.entries if item.name == b"version"]
    documents = [item for item in entries if item.body[:1] == b"{"]
    if documents:
        item = rng.choice(documents)
        item.body = change_json(item.body, rng) if rng.random() < 0.8 else _insert(item.body, rng.choice(TEXTS), rng)


def change_body(anatomy: Anatomy, rng: Random) -> None:
    """Change the bytes of any member of any archive."""
    archives = [anatomy.outer, *anatomy.inner.values()]
    entries = rng.choice(archives).entries
    if entries:
        item = rng.choice(entries)
        item.body = scramble(item.body, rng)


def change_block(anatomy: Anatomy, rng: Random) -> None:
    """Change fields of a tar header."""
    entries = rng.choice([anatomy.outer, *anatomy.inner.values()]).entries
    if not entries:
        return
    item = rng.choice(entries)
    match rng.randrange(6):
        case 0:
            item.block[156:157] = rng.choice(FLAGS)
        case 1:
            item.block[257:265] = rng.choice([USTAR, GNU, V7, b"garbage!"])
        case 2:
            item.block[124:136] = rng.choice(SIZES)
            item.block[148:156] = b" " * 8
            item.block[148:156] = b"%06o\0 " % sum(item.block)
            item.wrong = True
        case 3:
            item.block[345:355] = rng.randbytes(10)
        case 4:
            item.block[rng.randrange(512)] = rng.randrange(256)
        case _:
            item.block[148 + rng.randrange(8)] ^= 1 << rng.randrange(8)
            item.wrong = True


def change_end(anatomy: Anatomy, rng: Random) -> None:
    """End an archive in another way."""
    archive = rng.choice([anatomy.outer, *anatomy.inner.values()])
    ends = [b"", END[:512], END[:100], END + b"x", END * 20, END + entry("x").render(), rng.randbytes(700)]
    archive.end = rng.choice(ends)


def change_kind(anatomy: Anatomy, rng: Random) -> None:
    """Compress in another way, under the right name or the wrong one."""
    if not anatomy.inner:
        return
    place, archive = rng.choice(list(anatomy.inner.items()))
    archive.kind = rng.choice(KINDS)
    if rng.random() < 0.8 and place < len(anatomy.outer.entries):
        item = anatomy.outer.entries[place]
        item.name = item.name.partition(b".tar")[0] + b".tar" + archive.kind.encode()
        list_all(anatomy, rng)


def change_stream(anatomy: Anatomy, rng: Random) -> None:
    """Change compressed bytes, or cut them into streams."""
    if not anatomy.inner:
        return
    archive = rng.choice(list(anatomy.inner.values()))
    stored = archive.render()
    match rng.randrange(4):
        case 0:
            archive.after = scramble(stored, rng)
        case 1:
            plain = Archive(entries=archive.entries, end=archive.end).render()
            cut = rng.randrange(len(plain) + 1)
            archive.after = compress(archive.kind, plain[:cut]) + compress(archive.kind, plain[cut:])
        case 2:
            archive.after = stored + rng.choice([b"\0", bytes(4), bytes(8), b"\x50\x2a\x4d\x18\x04\0\0\0abcd", stored])
        case _:
            archive.after = stored[: rng.randrange(len(stored) + 1)]


def change_manifest(anatomy: Anatomy, rng: Random) -> None:
    """Change the list itself."""
    for item in anatomy.outer.entries:
        if item.name.startswith(b"manifest"):
            lines = item.body.splitlines(keepends=True)
            match rng.randrange(5):
                case 0 if lines:
                    lines.pop(rng.randrange(len(lines)))
                case 1 if lines:
                    lines.append(rng.choice(lines))
                case 2:
                    rng.shuffle(lines)
                case 3:
                    lines.append(b"0" * 64 + b"  " + rng.choice(NAMES) + b"\n")
                case _:
                    lines = [scramble(item.body, rng)]
            item.body = b"".join(lines)


def list_all(anatomy: Anatomy, rng: Random) -> None:
    """Make the manifest list what is there."""
    if all(place < len(anatomy.outer.entries) for place in anatomy.inner):
        for item in anatomy.outer.entries:
            if item.name == b"manifest":
                item.body = manifest_for(anatomy)


CHANGES: Final[list[Change]] = [
    change_members, change_inner_members, change_document, change_body, change_block, change_end, change_kind,
    change_stream, change_manifest,
]  # fmt: skip
WEIGHTS: Final = [2, 4, 6, 2, 2, 1, 2, 3, 2]
LATE: Final = {change_manifest}


# --- the small print


def _change_entries(archive: Archive, rng: Random) -> None:
    entries = archive.entries
    place = rng.randrange(len(entries)) if entries else 0
    match rng.randrange(8) if entries else 7:
        case 0:
            entries.pop(place)
        case 1:
            entries.insert(place, Entry(bytearray(entries[place].block), entries[place].body))
        case 2:
            rng.shuffle(entries)
        case 3:
            other = rng.randrange(len(entries))
            entries[place], entries[other] = entries[other], entries[place]
        case 4:
            entries[place].name = rng.choice(NAMES)
        case 5 | 6:
            entries.insert(place, _extension(rng))
        case _:
            entries.insert(place, entry(rng.choice(NAMES), rng.randbytes(rng.randrange(20)), rng.choice(FLAGS)))


def _extension(rng: Random) -> Entry:
    if rng.random() < 0.25:
        return entry("././@LongLink", rng.choice(NAMES) + b"\0", rng.choice([b"L", b"K"]))
    body = b"".join(pax_record(*rng.choice(RECORDS)) for _ in range(rng.randrange(5)))
    if rng.random() < 0.2:
        body = scramble(body, rng)
    return entry("PaxHeaders/x", body, b"x")


def change_json(body: bytes, rng: Random) -> bytes:
    """Change one value or key of a JSON document."""
    try:
        document = json.loads(body)
    except ValueError:
        return scramble(body, rng)
    holder, key = _somewhere(document, rng)
    match rng.randrange(4):
        case 0 if isinstance(holder, dict):
            holder[rng.choice(KEYS)] = rng.choice(VALUES)
        case 1 if key is not None and isinstance(holder, dict):
            holder[rng.choice(KEYS)] = holder.pop(key)
        case 2 if key is not None:
            del holder[key]
        case _ if key is not None:
            holder[key] = rng.choice(VALUES)
        case _:
            pass
    text = json.dumps(document, ensure_ascii=rng.random() < 0.3, indent=rng.choice([None, None, 1]))
    return text.encode("utf-8", "surrogatepass")


def _somewhere(document: Any, rng: Random) -> tuple[Any, Any]:
    """Return a container inside a document, and one of its keys or places."""
    holder = document
    while True:
        inside = list(holder.keys() if isinstance(holder, dict) else range(len(holder)))
        if not inside:
            return holder, None
        key = rng.choice(inside)
        if not isinstance(holder[key], dict | list) or rng.random() < 0.3:
            return holder, key
        holder = holder[key]


def _insert(data: bytes, text: bytes, rng: Random) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + text + data[place:]


def scramble(data: bytes, rng: Random) -> bytes:
    """Change bytes without knowing what they mean."""
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        if not data:
            return rng.choice(BYTES)
        start = rng.randrange(len(data))
        length = min(rng.choice([1, 1, 2, 4, 16, 512]), len(data) - start)
        match rng.randrange(7):
            case 0:
                data = data[:start] + bytes([data[start] ^ 1 << rng.randrange(8)]) + data[start + 1 :]
            case 1:
                data = data[:start] + rng.randbytes(length) + data[start + length :]
            case 2:
                data = data[:start] + data[start + length :]
            case 3:
                data = data[:start] + data[start : start + length] * 2 + data[start + length :]
            case 4:
                data = _insert(data, rng.choice(BYTES + TEXTS), rng)
            case 5:
                data = data[:start]
            case _:
                data = data[:start] + bytes(length) + data[start + length :]
    return data
