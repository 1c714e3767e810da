"""Debian's mender-artifact reads all that we write, and we read all that it writes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from answers import accepted, with_key
from forge import KEYS
from peers import NOT_CHECKED, UNSIGNED, VERIFIED, WRONG, attempt, call, facts_by_peer, facts_of, needs

from bistable.artifact import (
    Codec,
    Extras,
    HeadEdit,
    InputBytes,
    Options,
    Script,
    SoftwareVersion,
    WriteRequest,
    bootstrap_request,
    modify_artifact,
    module_request,
    read_signer,
    recompress_artifact,
    repair_artifact,
    rootfs_request,
    sign_artifact,
    strip_signature,
    write_artifact,
)

pytestmark = needs("mender-artifact")

IMAGE = b"content of a root file system\n" * 5000
CODECS = ["none", "gzip", "xz"]
SIGNERS = {"rsa3072": read_signer(KEYS / "rsa3072.key"), "ec256": read_signer(KEYS / "ec256.key")}
PUBLIC = {name: KEYS / f"{name}.pub" for name in ("rsa2048", "rsa3072", "ec256")}
PRIVATE = {"rsa2048": KEYS / "rsa2048.pkcs1.key", "rsa3072": KEYS / "rsa3072.pkcs1.key", "ec256": KEYS / "ec256.key"}

SCRIPTS = (
    Script(name="ArtifactInstall_Enter_00_first", content=b"#!/bin/sh\nexit 0\n"),
    Script(name="ArtifactRollbackReboot_Leave_99", content=b"#!/bin/sh\n" + b"# long\n" * 300),
)
EVERYTHING = Extras(
    group="group",
    depends_names=("old-1", "old-2"),
    depends_groups=("g1", "g2"),
    provides={"a": "b", "c": "d:e", "ä": "<&>", "quote": 'a "b" \\c'},
    depends={"x": "y"},
    clears=("mine.*",),
    scripts=SCRIPTS,
)


def data(name: str, content: bytes) -> InputBytes:
    return InputBytes(name=name, content=content)


def rootfs(**more: Any) -> WriteRequest:
    return rootfs_request(data("rootfs.ext4", IMAGE), name="release-1", device_types=["board", "other board"], **more)


def module(count: int = 1, **more: Any) -> WriteRequest:
    files = [data(f"file-{n}.bin", IMAGE[: n * 511]) for n in range(count)]
    return module_request("mod", files, name="release-1", device_types=["board"], **more)


REQUESTS: dict[str, WriteRequest] = {
    "rootfs": rootfs(),
    "rootfs with everything": rootfs(extras=EVERYTHING),
    "rootfs, legacy checksum": rootfs(checksum_key="rootfs_image_checksum"),
    "rootfs, no checksum": rootfs(checksum_key=None),
    "empty rootfs": rootfs_request(data("empty", b""), name="n", device_types=["d"]),
    "module without files": module(0),
    "module with a file": module(2),
    "module with 300 files": module(300),
    "module with everything": module(3, extras=EVERYTHING, meta_data=b'{"a": {"b": [1, 2.5, null, "<&>"]}, "c": true}'),
    "module with empty meta-data": module(meta_data=b""),
    "module without version and clears": module(extras=Extras(software=SoftwareVersion(use_defaults=False))),
    "long file name": module_request("mod", [data("n" * 90, b"x")], name="n", device_types=["d"]),
    "unicode": module_request("mod", [data("f", b"x")], name="релиз-№1", device_types=["bräd", "板"]),
    "200 device types": module_request("mod", [data("f", b"x")], name="n", device_types=[f"d{n}" for n in range(200)]),
    "bootstrap": bootstrap_request(name="n", device_types=["d"], extras=Extras(provides={"a": "b"}, clears=("a.*",))),
}

EVERY_REQUEST = [pytest.param(request, id=name) for name, request in REQUESTS.items()]


def written(tmp_path: Path, request: WriteRequest, codec: str = "gzip", key: str | None = None) -> Path:
    path = tmp_path / "artifact.mender"
    write_artifact(path, request, Options(codec=Codec.parse(codec), signer=SIGNERS[key] if key else None))
    return path


def agree(path: Path, key: str | None = None) -> None:
    """Check that both readers take an artifact, and take it for the same."""
    public = None if key is None else PUBLIC[key]
    options: list[str | Path] = ["-k", public] if public else []
    call("mender-artifact", "validate", *options, path)
    ours = facts_of(accepted(path.read_bytes(), with_key(key) if key else None))
    assert facts_by_peer(path, public) == ours
    assert ours.signature == (UNSIGNED if key is None else VERIFIED)


# --- ours, read by the peer


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("request_", EVERY_REQUEST)
def test_what_we_write_is_read_by_the_peer(request_: WriteRequest, codec: str, tmp_path: Path) -> None:
    agree(written(tmp_path, request_, codec))


@pytest.mark.parametrize("key", ["rsa3072", "ec256"])
@pytest.mark.parametrize("request_", EVERY_REQUEST)
def test_what_we_sign_is_verified_by_the_peer(request_: WriteRequest, key: str, tmp_path: Path) -> None:
    agree(written(tmp_path, request_, "gzip", key), key)


@pytest.mark.parametrize("key", ["rsa3072", "ec256"])
def test_both_refuse_the_same_wrong_key(key: str, tmp_path: Path) -> None:
    path = written(tmp_path, rootfs(), "gzip", key)
    assert attempt("mender-artifact", "validate", "-k", PUBLIC["rsa2048"], path).returncode
    assert facts_by_peer(path, PUBLIC["rsa2048"]).signature == WRONG
    assert facts_by_peer(path).signature == NOT_CHECKED


@pytest.mark.parametrize("option", ["gzip:9", "xz:9", "gzip:1,threads=4", "xz:0,threads=3"])
def test_every_level_is_read_by_the_peer(option: str, tmp_path: Path) -> None:
    agree(written(tmp_path, rootfs(), option))


CHANGES: dict[str, Callable[[Path], Any]] = {
    "signed": lambda path: sign_artifact(path, path, SIGNERS["ec256"]),
    "signed again": lambda path: [sign_artifact(path, path, SIGNERS[key]) for key in ("rsa3072", "ec256")],
    "modified": lambda path: modify_artifact(
        path,
        path,
        HeadEdit(name="release-2", provides={"new": "1"}, depends={"d": "1"}, add_clears=["new.*"], scripts=SCRIPTS),
        signer=SIGNERS["ec256"],
    ),
    "without patterns": lambda path: modify_artifact(path, path, HeadEdit(clears=[]), signer=SIGNERS["ec256"]),
    "repaired": lambda path: repair_artifact(path, path, signer=SIGNERS["ec256"]),
    "recompressed": lambda path: recompress_artifact(
        path, path, Options(codec=Codec.parse("xz:1"), signer=SIGNERS["ec256"])
    ),
}


@pytest.mark.parametrize("change", [pytest.param(change, id=name) for name, change in CHANGES.items()])
@pytest.mark.parametrize("codec", CODECS)
def test_what_we_change_is_read_by_the_peer(change: Callable[[Path], Any], codec: str, tmp_path: Path) -> None:
    path = written(tmp_path, rootfs(extras=EVERYTHING), codec)
    change(path)
    agree(path, "ec256")


@pytest.mark.parametrize("codec", CODECS)
def test_a_kept_signature_is_verified_by_the_peer_after_recompressing(codec: str, tmp_path: Path) -> None:
    path = written(tmp_path, module(3), "gzip", "rsa3072")
    recompress_artifact(path, path, Options(codec=Codec.parse(codec)))
    agree(path, "rsa3072")


def test_a_stripped_artifact_is_read_by_the_peer(tmp_path: Path) -> None:
    path = written(tmp_path, rootfs(), "gzip", "rsa3072")
    strip_signature(path, path)
    agree(path)


@pytest.mark.parametrize("codec", CODECS)
def test_what_we_write_is_changed_by_the_peer(codec: str, tmp_path: Path) -> None:
    path = written(tmp_path, module(3, extras=EVERYTHING, meta_data=b'{"a":1}'), codec)
    call("mender-artifact", "modify", "-n", "release-2", "-p", "more:1", path)
    agree(path)
    call("mender-artifact", "sign", "-k", PRIVATE["rsa3072"], path)
    agree(path, "rsa3072")


@pytest.mark.slow
@pytest.mark.parametrize("codec", CODECS[:2])
def test_an_image_over_8_gib_is_read_by_the_peer(codec: str, tmp_path: Path) -> None:
    image = tmp_path / "rootfs.ext4"
    with image.open("wb") as file:
        file.truncate((8 << 30) + (1 << 20) + 5)
    path = tmp_path / "artifact.mender"
    request = rootfs_request(image, name="n", device_types=["d"])
    made = write_artifact(path, request, Options(codec=Codec.parse(codec)))
    assert facts_by_peer(path).files == [("rootfs.ext4", (8 << 30) + (1 << 20) + 5, made.files[0].digest)]
    call("mender-artifact", "validate", path)
    path.unlink()


# --- the peer's, read by us

Options_: TypeAlias = list[str | Path]


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """Give a directory with files to put into artifacts."""
    (tmp_path / "rootfs.ext4").write_bytes(IMAGE)
    (tmp_path / "second").write_bytes(IMAGE[:1000])
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "meta.json").write_text('{"a": {"b": [1, 2.5, null]}, "d": "<&>"}')
    for script in SCRIPTS:
        (tmp_path / script.name).write_bytes(script.content)
    return tmp_path


def by_peer(directory: Path, kind: str, *options: str | Path, compression: str = "gzip") -> Path:
    path = directory / "artifact.mender"
    base: list[str | Path] = ["-t", "board", "-n", "release-1", "-o", path, "--compression", compression]
    call("mender-artifact", "write", kind, *base, *options, cwd=directory)
    return path


COMMON = ["-t", "other", "-N", "old-1", "-N", "old-2", "-G", "g1", "-g", "group", "-p", "a:b:c", "-d", "x:y"]
SCRIPT_OPTIONS = [word for script in SCRIPTS for word in ("-s", script.name)]
ROOTFS = ["-f", "rootfs.ext4"]
WRITES: dict[str, tuple[str, list[str]]] = {
    "rootfs": ("rootfs-image", ROOTFS),
    "empty rootfs": ("rootfs-image", ["-f", "empty"]),
    "rootfs with everything": ("rootfs-image", [*ROOTFS, *COMMON, *SCRIPT_OPTIONS, "--clears-provides", "m.*"]),
    "rootfs, no checksum": ("rootfs-image", [*ROOTFS, "--no-checksum-provide"]),
    "rootfs, legacy checksum": ("rootfs-image", [*ROOTFS, "--legacy-rootfs-image-checksum"]),
    "rootfs, no defaults": ("rootfs-image", [*ROOTFS, "--no-default-software-version", "--no-default-clears-provides"]),
    "rootfs, software": (
        "rootfs-image",
        [*ROOTFS, "--software-name", "n", "--software-version", "9", "--software-filesystem", "data"],
    ),
    "version 2": ("rootfs-image", [*ROOTFS, "-v", "2"]),
    "module": ("module-image", ["-T", "mod", "-f", "rootfs.ext4"]),
    "module without files": ("module-image", ["-T", "mod"]),
    "module with files": ("module-image", ["-T", "mod", "-f", "rootfs.ext4", "-f", "second", "-f", "empty"]),
    "module with everything": (
        "module-image",
        ["-T", "mod", "-f", "second", "-m", "meta.json", *COMMON, *SCRIPT_OPTIONS, "--clears-provides", "m.*"],
    ),
    "bootstrap": ("bootstrap-artifact", ["-p", "a:b", "--clears-provides", "a.*"]),
    "bootstrap with everything": ("bootstrap-artifact", [*COMMON]),
}
EVERY_WRITE = [pytest.param(kind, options, id=name) for name, (kind, options) in WRITES.items()]


@pytest.mark.parametrize("compression", ["none", "gzip", "lzma"])
@pytest.mark.parametrize(("kind", "options"), EVERY_WRITE)
def test_what_the_peer_writes_is_read_by_us(kind: str, options: list[str], compression: str, inputs: Path) -> None:
    agree(by_peer(inputs, kind, *options, compression=compression))


@pytest.mark.parametrize("key", ["rsa2048", "rsa3072", "ec256"])
@pytest.mark.parametrize(("kind", "options"), EVERY_WRITE)
def test_what_the_peer_signs_is_verified_by_us(kind: str, options: list[str], key: str, inputs: Path) -> None:
    agree(by_peer(inputs, kind, *options, "-k", PRIVATE[key]), key)


@pytest.mark.parametrize("key", ["rsa3072", "ec256"])
def test_what_the_peer_changes_is_read_by_us(key: str, inputs: Path) -> None:
    path = by_peer(inputs, "module-image", "-T", "mod", "-f", "second", "-k", PRIVATE[key])
    call("mender-artifact", "modify", "-n", "release-2", "-k", PRIVATE[key], path)
    agree(path, key)
    call("mender-artifact", "sign", "-f", "-k", PRIVATE["rsa2048"], path)
    agree(path, "rsa2048")


@pytest.mark.parametrize("change", [pytest.param(change, id=name) for name, change in CHANGES.items()])
@pytest.mark.parametrize("name", ["rootfs with everything", "version 2", "module with everything", "bootstrap"])
def test_what_we_change_of_the_peers_is_read_by_the_peer(
    name: str, change: Callable[[Path], Any], inputs: Path
) -> None:
    kind, options = WRITES[name]
    if name == "bootstrap" and change is CHANGES["modified"]:
        change = lambda path: modify_artifact(path, path, HeadEdit(name="n2"), signer=SIGNERS["ec256"])  # noqa: E731
    path = by_peer(inputs, kind, *options)
    change(path)
    agree(path, "ec256")


SOFTWARE: list[dict[str, str]] = [
    {},
    {"name": "n"},
    {"version": "9"},
    {"filesystem": "data"},
    {"name": "n", "filesystem": "data"},
    {"name": "n", "version": "9", "filesystem": "data"},
]


@pytest.mark.parametrize("use_defaults", [True, False])
@pytest.mark.parametrize("given", SOFTWARE, ids=str)
@pytest.mark.parametrize("kind", ["rootfs-image", "module-image"])
def test_our_defaults_are_those_of_the_peer(kind: str, given: dict[str, str], use_defaults: bool, inputs: Path) -> None:
    words = [word for key, value in given.items() for word in (f"--software-{key}", value)]
    words += [] if use_defaults else ["--no-default-software-version"]
    extras = Extras(software=SoftwareVersion(use_defaults=use_defaults, **given))
    if kind == "rootfs-image":
        theirs = by_peer(inputs, kind, *ROOTFS, *words)
        ours = rootfs_request(inputs / "rootfs.ext4", name="release-1", device_types=["board"], extras=extras)
    else:
        theirs = by_peer(inputs, kind, "-T", "mod", "-f", "second", *words)
        ours = module_request("mod", [inputs / "second"], name="release-1", device_types=["board"], extras=extras)
    write_artifact(inputs / "ours", ours, Options(codec=Codec.parse("gzip")))
    assert facts_by_peer(inputs / "ours") == facts_by_peer(theirs)
