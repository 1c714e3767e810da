"""What a read came to, with the promises that hold for every outcome. FORMAT.md §11, §13."""

import io
from typing import Final

import pytest
from forge import KEYS, digest

from bistable.artifact import Artifact, BistableError, Policy, PolicyError, RejectedError, read_artifact, read_verifiers
from bistable.artifact.streams.source import Source

EXIT_CODES: Final = {3, 4, 5, 8}
MESSAGE_LIMIT: Final = 600


class Recorder:
    """A sink that writes down what it is told."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.files: dict[str, bytes] = {}
        self._name = ""
        self._part = bytearray()

    def begin(self, name: str, size: int) -> None:
        self.calls.append(f"begin {name} {size}")
        self._name, self._part = name, bytearray()

    def write(self, data: bytes) -> None:
        if self.calls[-1] != "write":
            self.calls.append("write")
        self._part += data

    def commit(self) -> None:
        self.calls.append("commit")
        self.files[self._name] = bytes(self._part)

    def discard(self) -> None:
        self.calls.append("discard")


class Trickle:
    """A pipe or socket that gives pieces of the sizes in `pieces`, over and over."""

    def __init__(self, data: bytes, pieces: list[int]) -> None:
        self._data = io.BytesIO(data)
        self._pieces = pieces
        self._turn = 0

    def read(self, size: int, /) -> bytes:
        piece = self._pieces[self._turn % len(self._pieces)]
        self._turn += 1
        return self._data.read(min(size, piece))


def with_key(*names: str, allow_augment: bool = False) -> Policy:
    """Return the policy that insists on a signature by one of the test keys."""
    verifiers = [verifier for name in names for verifier in read_verifiers(KEYS / f"{name}.pub")]
    return Policy(verifiers=verifiers, allow_augment=allow_augment)


def accepted(data: bytes | Source, policy: Policy | None = None) -> Artifact:
    """Read what must be accepted, and check independently that the files are what the manifest says."""
    sink = Recorder()
    artifact = read_artifact(io.BytesIO(data) if isinstance(data, bytes) else data, policy, sink)
    listed = artifact.head.payload_digests()
    assert {file.name: file.digest for file in artifact.files} == listed
    assert {name: digest(content) for name, content in sink.files.items()} == listed
    assert [file.size for file in artifact.files] == [len(sink.files[file.name]) for file in artifact.files]
    for finding in artifact.findings:
        assert finding.what.isprintable()
        assert len(finding.what) <= MESSAGE_LIMIT
    return artifact


def tolerated(data: bytes, *rules: str, policy: Policy | None = None) -> Artifact:
    """Read what must be accepted with findings of exactly these rules."""
    artifact = accepted(data, policy)
    assert {finding.rule for finding in artifact.findings} == set(rules)
    return artifact


def refused(
    data: bytes | Source, rule: str | tuple[str, ...] | None = None, policy: Policy | None = None
) -> BistableError:
    """Read what must be refused, by `rule` (or one of them), and check what a refusal owes to people and scripts."""
    sink = Recorder()
    with pytest.raises(BistableError) as caught:
        read_artifact(io.BytesIO(data) if isinstance(data, bytes) else data, policy, sink)
    check_refusal(caught.value, rule)
    assert not sink.calls or sink.calls[-1] in {"discard", "commit"}
    return caught.value


def check_refusal(error: BistableError, rule: str | tuple[str, ...] | None = None) -> None:
    """Check that an error says what, where, by which rule, and with which exit code."""
    assert isinstance(error, RejectedError | PolicyError)
    assert error.exit_code in EXIT_CODES
    assert error.what.startswith("cannot ")
    assert error.what.isprintable()
    assert len(error.what) <= MESSAGE_LIMIT
    assert error.rule
    assert error.where is not None
    assert str(error.where).isprintable()
    if rule is not None:
        assert error.rule in ((rule,) if isinstance(rule, str) else rule), error.what
