"""What must hold for every input, whatever it is."""

import gzip
import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Final

from answers import check_refusal
from forge import BLOCK, KEYS
from fuzz.anatomy import expand_xz

from bistable.artifact import Artifact, BistableError, Compression, Policy, read_artifact, read_verifiers

CPU_SECONDS: Final = 20.0
"""Far more than an input of a mebibyte needs; a reader that takes longer can be held up on purpose."""

CPU_RATE: Final = 100 << 20
"""Bytes of content for which there is another second: bombs take time to hash, and time only."""

COMPARED: Final = 64 << 20
"""Bytes of content that are compared with what others make of it."""

PEER_LIMITS: Final = (
    "gzip: invalid header",  # it computes the checksum of a header that holds a name in a way of its own
    "tar: invalid tar header",  # it looks at owners and times
)
"""What mender-artifact says of some sound artifacts that no real writer makes."""

POLICIES: Final = (
    Policy(allow_augment=True),
    Policy(verifiers=read_verifiers(KEYS / "ec256.pub"), allow_augment=True),
)


class Wrong(AssertionError):  # noqa: N818 - it is what a fuzzer looks for
    """The reader broke a promise."""


class Hasher:
    """A sink that remembers digests, not content."""

    def __init__(self) -> None:
        self.digests: dict[str, str] = {}
        self.total = 0
        self.is_open = False
        self._name = ""
        self._hash = hashlib.sha256()

    def begin(self, name: str, size: int) -> None:
        """Start a file."""
        if self.is_open:
            raise Wrong(f"{name} begins before {self._name} ends")
        self._name, self._hash, self.is_open = name, hashlib.sha256(), True

    def write(self, data: bytes) -> None:
        """Take content."""
        self._hash.update(data)
        self.total += len(data)

    def commit(self) -> None:
        """Keep the file."""
        self.digests[self._name] = self._hash.hexdigest()
        self.is_open = False

    def discard(self) -> None:
        """Forget the file."""
        self.is_open = False


def judge(data: bytes, *, signed: bool = False) -> tuple[str, Artifact | None]:
    """Read an input and return a word for what came out of it, which is new when the input is interesting.

    Raises:
        Wrong: anything but acceptance, in agreement with independent readers, or a proper refusal.
    """
    sink = Hasher()
    started = time.process_time()
    try:
        artifact = read_artifact(io.BytesIO(data), POLICIES[signed], sink)
    except BistableError as error:
        check_refusal(error)
        if sink.is_open:
            raise Wrong("the sink was left alone in the middle of a file") from error
        found: Artifact | None = None
        place = error.where.member if error.where else ""
        kind = error.what.split(": ", 1)[-1][:24] if error.rule and "." in error.rule else ""
        word = f"{error.rule}|{place}|{kind}"
    else:
        found = artifact
        check_files(artifact, sink)
        if not artifact.findings and sink.total <= COMPARED:
            check_independently(data, artifact)
        rules = sorted({finding.rule for finding in artifact.findings})
        word = f"accepted|{artifact.head.version}|{artifact.data_compression}|{','.join(rules)}"
    if time.process_time() - started > CPU_SECONDS + sink.total / CPU_RATE:
        raise Wrong(f"took {time.process_time() - started:.0f} CPU seconds for {sink.total} bytes")
    return word, found


def check_files(artifact: Artifact, sink: Hasher) -> None:
    """Compare what the sink got with what the manifest says."""
    listed = artifact.head.payload_digests()
    if sink.digests != listed or {file.name: file.digest for file in artifact.files} != listed:
        raise Wrong(f"files {sink.digests} where the manifest lists {listed}")


def check_independently(data: bytes, artifact: Artifact) -> None:
    """Compare with what the standard library's tar, gzip and lzma make of an artifact without findings."""
    bodies = _members(data)
    name = next((name for name in bodies if name.startswith("data/0000.tar")), None)
    if name is None or artifact.data_compression is Compression.ZSTD:
        return
    found = {
        f"data/0000/{name}": hashlib.sha256(body).hexdigest()
        for name, body in _members(_expanded(name.removeprefix("data/0000.tar"), bodies[name])).items()
    }
    lines = dict(line.split("  ", 1)[::-1] for line in bodies["manifest"].decode().splitlines())
    if {key: value for key, value in lines.items() if key.startswith("data/")} != found:
        raise Wrong(f"the standard library finds {found}, the manifest says {lines}")


def _expanded(suffix: str, data: bytes) -> bytes:
    if suffix == ".gz":
        return gzip.decompress(data)
    return expand_xz(data) if suffix else data


def _members(data: bytes) -> dict[str, bytes]:
    """Return names and bodies.

    tarfile insists on numbers in fields that mean nothing here, and sees a prefix where GNU has none: they are blotted
    out.
    """
    clean = bytearray(data)
    place = 0
    while place + BLOCK <= len(clean) and any(clean[place : place + BLOCK]):
        size = tarfile.nti(bytes(clean[place + 124 : place + 136]))  # type: ignore[attr-defined]  # not public
        is_ustar = clean[place + 257 : place + 263] == b"ustar\0"
        for start, end in ((100, 124), (136, 148), (329, 345 if is_ustar else 500)):
            clean[place + start : place + end] = bytes(end - start)
        clean[place + 148 : place + 156] = b" " * 8
        clean[place + 148 : place + 156] = b"%06o\0 " % sum(clean[place : place + BLOCK])
        place += BLOCK + size + -size % BLOCK
    with tarfile.open(fileobj=io.BytesIO(clean), mode="r:", errorlevel=2) as archive:
        return {member.name: _body(archive, member) for member in archive.getmembers()}


def _body(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    return b"" if file is None else file.read()


def has_peer() -> bool:
    """Return whether mender-artifact can be asked."""
    return shutil.which("mender-artifact") is not None


def ask_peer(data: bytes, artifact: Artifact) -> None:
    """Check that mender-artifact takes what we take without a word, in a compression that it knows.

    Raises:
        Wrong: it does not.
    """
    kinds = {artifact.data_compression, artifact.head.header_compression}
    if artifact.findings or Compression.ZSTD in kinds or artifact.head.signature.value != "unsigned":
        return
    with tempfile.NamedTemporaryFile(suffix=".mender") as file:
        Path(file.name).write_bytes(data)
        done = subprocess.run(
            ["mender-artifact", "validate", file.name], capture_output=True, text=True, timeout=60, check=False
        )
    if done.returncode and not any(words in done.stderr for words in PEER_LIMITS):
        raise Wrong(f"mender-artifact refuses it: {done.stderr.strip()[-300:]}")
