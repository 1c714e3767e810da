"""What is different between two artifacts: their headers, their files, and the files inside their images."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from bistable.artifact.errors import UnsupportedError
from bistable.artifact.image import FileChange, compare_images
from bistable.artifact.keys import decode_signature
from bistable.artifact.model import Artifact, Head, PayloadFile
from bistable.artifact.reader import ArtifactReader
from bistable.artifact.scratch import Scratch, scratch_file, unpack_file
from bistable.artifact.streams import Source
from bistable.artifact.trust import Policy

Facts: TypeAlias = Mapping[tuple[str, str], str]
"""(What is said, about what) -> how; for lists every item is a fact of its own."""

P256_SIGNATURE_LIMIT: Final = 72


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One fact that is not the same: `what` (such as `provides`) of `name`; None where a side lacks it."""

    what: str
    name: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadDifference:
    """A payload file that is not the same, by its name; None where a side lacks it."""

    name: str
    old: PayloadFile | None
    new: PayloadFile | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactDiff:
    """How two artifacts differ.

    `facts` are those of header, compression and signature; `payload` are the files carried; `image_files` are the files
    inside the two images, None if these were not compared, and `why_not` then says why. `identical`: the same bytes.
    """

    facts: tuple[Difference, ...]
    payload: tuple[PayloadDifference, ...]
    image_files: tuple[FileChange, ...] | None = None
    why_not: str | None = None
    identical: bool = False

    @property
    def same(self) -> bool:
        """Return whether both say and carry the same; time stamps and levels of compression do not count."""
        return not self.facts and not self.payload


def diff_artifacts(old: Source, new: Source) -> ArtifactDiff:
    """Read two artifacts, check their digests, and return how they differ; images are compared as a whole.

    Raises:
        RejectedError: one of them breaks a rule. Signatures are not checked.
    """
    sides = (_Side(old), _Side(new))
    return _diff(sides, [side.finish() for side in sides])


def diff_artifacts_and_images(old: Source, new: Source) -> ArtifactDiff:
    """Do what `diff_artifacts` does, and compare two images (ext2 to ext4, squashfs) file by file.

    Both images are unpacked to unnamed, sparse files in TMPDIR, if they differ.

    Raises:
        RejectedError: an artifact breaks a rule, or an image is damaged.
        MachineError: there is no room to unpack.
    """
    sides = (_Side(old), _Side(new))
    digests = [list(side.head.payload_digests().values()) for side in sides]
    if digests[0] == digests[1]:
        return _diff(sides, [side.finish() for side in sides])
    if any(len(found) != 1 for found in digests):
        return _diff(sides, [side.finish() for side in sides], why_not="not both artifacts carry one single file")
    with ExitStack() as stack:
        images = [stack.enter_context(scratch_file(next(iter(side.head.payload_digests())))) for side in sides]
        artifacts = [side.unpack(image) for side, image in zip(sides, images, strict=True)]
        try:
            changes = compare_images(images[0].path, images[1].path)
        except UnsupportedError as e:
            return _diff(sides, artifacts, why_not=e.what)
        return _diff(sides, artifacts, image_files=changes)


class _Side:
    """One of the two artifacts on its way in; all its bytes are hashed as they pass."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._hash = hashlib.sha256()
        self._reader = ArtifactReader(self, Policy(allow_augment=True))
        self.head = self._reader.read_head()

    def read(self, size: int, /) -> bytes:
        data = self._source.read(size)
        self._hash.update(data)
        return data

    def finish(self) -> Artifact:
        return self._reader.finish()

    def unpack(self, image: Scratch) -> Artifact:
        return unpack_file(self._reader, image)

    def facts(self, artifact: Artifact) -> Facts:
        signature = dict(self._reader.members).get("manifest.sig")
        return dict(_facts(artifact, None if signature is None else decode_signature(signature)[0]))

    def digest(self) -> bytes:
        return self._hash.digest()


def _diff(
    sides: tuple[_Side, _Side],
    artifacts: list[Artifact],
    *,
    image_files: tuple[FileChange, ...] | None = None,
    why_not: str | None = None,
) -> ArtifactDiff:
    old, new = (side.facts(artifact) for side, artifact in zip(sides, artifacts, strict=True))
    old_files, new_files = ({file.name: file for file in artifact.files} for artifact in artifacts)
    return ArtifactDiff(
        facts=tuple(
            Difference(what=key[0], name=key[1], old=old.get(key), new=new.get(key))
            for key in _by_kind({**old, **new})
            if old.get(key) != new.get(key)
        ),
        payload=tuple(
            PayloadDifference(name=name, old=old_files.get(name), new=new_files.get(name))
            for name in {**old_files, **new_files}
            if old_files.get(name) != new_files.get(name)
        ),
        image_files=image_files,
        why_not=why_not,
        identical=sides[0].digest() == sides[1].digest(),
    )


def _by_kind(keys: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Put facts of one kind together, the kinds in the order in which they came."""
    kinds: dict[str, list[tuple[str, str]]] = {}
    for key in keys:
        kinds.setdefault(key[0], []).append(key)
    return [key for found in kinds.values() for key in found]


def _facts(artifact: Artifact, signature: bytes | None) -> Iterator[tuple[tuple[str, str], str]]:
    head = artifact.head
    info, type_info = head.header.info, head.header.type_info
    yield ("artifact", "format version"), str(head.version)
    yield ("artifact", "name"), info.artifact_name
    yield ("artifact", "payload type"), info.payload_type or "none (empty payload)"
    yield ("compression", "header"), head.header_compression.label
    if artifact.data_compression is not None:
        yield ("compression", "payload"), artifact.data_compression.label
    yield ("signature", ""), _signature_text(signature)
    for device_type in info.device_types:
        yield ("device type", device_type), device_type
    if info.artifact_group is not None:
        yield ("provides", "artifact_group"), info.artifact_group
    for key, value in type_info.provides.items():
        yield ("provides", key), value
    for key, names in (("artifact_name", info.depends_names), ("artifact_group", info.depends_groups)):
        if names:
            yield ("depends", key), ", ".join(names)
    for key, values in type_info.depends.items():
        yield ("depends", key), values if isinstance(values, str) else ", ".join(values)
    yield from _clears_and_scripts(head)
    yield from _meta_data(head.header.meta_data)
    if head.augment is not None:
        yield ("augment", "payload type"), head.augment.payload_type or ""


def _clears_and_scripts(head: Head) -> Iterator[tuple[tuple[str, str], str]]:
    clears = head.header.type_info.clears_provides
    if clears is None:
        # Not the same as an empty list: all is cleared. FORMAT.md §5.6.
        yield ("clears", "*"), "all, since there is no list"
    for pattern in clears or ():
        yield ("clears", pattern), pattern
    for script in head.header.scripts:
        digest = hashlib.sha256(script.content).hexdigest()
        yield ("script", script.name), f"{len(script.content)} bytes, SHA-256 {digest[:16]}..."


def _meta_data(content: bytes | None) -> Iterator[tuple[tuple[str, str], str]]:
    if content:
        for path, value in _leaves(json.loads(content), ""):
            yield ("meta-data", path), value


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield the path and the JSON text of everything in `value` that holds nothing else."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value:
        for number, item in enumerate(value):
            yield from _leaves(item, f"{path}[{number}]")
    else:
        yield path, json.dumps(value, ensure_ascii=False)


def _signature_text(signature: bytes | None) -> str:
    """Say the kind: a signature's bytes follow from the manifest, or are random."""
    if signature is None:
        return "not signed"
    if len(signature) <= P256_SIGNATURE_LIMIT:
        return "signed with a P-256 key"
    return f"signed with an RSA key of {len(signature) * 8} bits"
