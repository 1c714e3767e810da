"""Debian's modules and artifact generators (3.4.0) with our client, and our modules with Debian's client."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from client_modules import RUNNING, SHIPPED, Workshop
from peers import attempt, call, needs
from test_peer_client import BUSYBOX, Device, as_root

from bistable.artifact import Codec, InputBytes, Options, module_request, write_artifact
from bistable.artifact.reader import ArtifactReader
from bistable.client.modules import Incoming, ModulePayload

pytestmark = [*needs("mender"), *needs("mender-artifact")]

SHARE = Path(shutil.which("mender") or "/nowhere/bin/mender").parents[1] / "share"
THEIRS = SHARE / "mender/modules/v3"
GENERATORS = SHARE / "doc/mender-client/examples"


@pytest.fixture(params=[SHIPPED, THEIRS], ids=["our module", "their module"])
def modules(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def generate(kind: str, place: Path, *words: str | Path) -> Path:
    path = place / f"{kind}.mender"
    options: list[str | Path] = ["-n", "release-1", "-t", "board", "-o", path]
    call("sh" if kind == "single-file" else "bash", GENERATORS / f"{kind}-artifact-gen", *options, *words, cwd=place)
    return path


def download(shop: Workshop, artifact: Path) -> ModulePayload:
    with artifact.open("rb") as file:
        reader = ArtifactReader(file)
        incoming = Incoming(header=reader.read_head().header, running=RUNNING)
        payload = ModulePayload(shop.module, shop.tree, incoming=incoming)
        payload.download(reader.files())
        reader.finish()
    return payload


def test_an_artifact_of_the_existing_single_file_generator_is_installed(modules: Path, tmp_path: Path) -> None:
    target = tmp_path / "etc"
    (tmp_path / "source").mkdir()
    (tmp_path / "source/app.conf").write_text("new")
    (tmp_path / "source/app.conf").chmod(0o751)
    artifact = generate("single-file", tmp_path, "-d", target, tmp_path / "source/app.conf")
    target.mkdir()
    (target / "app.conf").write_text("old")
    payload = download(Workshop(tmp_path, modules / "single-file"), artifact)
    assert payload.supports_rollback()
    payload.install()
    assert (target / "app.conf").read_text() == "new"
    assert (target / "app.conf").stat().st_mode & 0o777 == 0o751
    payload.rollback()
    assert (target / "app.conf").read_text() == "old"
    payload.cleanup()
    assert [path.name for path in target.iterdir()] == ["app.conf"]


def test_an_artifact_of_the_existing_directory_generator_is_installed(modules: Path, tmp_path: Path) -> None:
    target = tmp_path / "opt/app"
    (tmp_path / "source/sub").mkdir(parents=True)
    (tmp_path / "source/sub/file").write_text("new")
    artifact = generate("directory", tmp_path, "-d", target, tmp_path / "source")
    target.mkdir(parents=True)
    (target / "old").write_text("old")
    payload = download(Workshop(tmp_path, modules / "directory"), artifact)
    assert payload.supports_rollback()
    payload.install()
    assert [str(path.relative_to(target)) for path in sorted(target.rglob("*"))] == ["sub", "sub/file"]
    payload.rollback()
    assert [path.name for path in target.iterdir()] == ["old"]
    payload.cleanup()
    assert [path.name for path in target.parent.iterdir()] == ["app"]


DOCKER = """#!/bin/sh
case "$1" in
inspect) echo "$3@sha256:0" ;;
ps) cat "$LOG.running" ;;
*) echo "$*" >> "$LOG" ;;
esac
"""


def test_an_artifact_of_the_existing_docker_generator_is_installed(
    modules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("jq") is None:
        pytest.skip("the program jq is not installed")
    programs, log = tmp_path / "programs", tmp_path / "log"
    programs.mkdir()
    for name, text in {"docker": DOCKER, "python3": f'#!/bin/sh\nexec {sys.executable} "$@"\n'}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("LOG", str(log))
    artifact = generate("docker", tmp_path, "--run-args", "--net host", "one", "two")
    log.unlink()
    (tmp_path / "log.running").write_text("former\n")
    payload = download(Workshop(tmp_path, modules / "docker"), artifact)
    payload.install()
    calls = log.read_text().splitlines()
    for image in ("one@sha256:0", "two@sha256:0"):
        assert f"pull {image}" in calls
        assert any(line.startswith("run ") and line.endswith(f" --net host {image}") for line in calls)
    assert "stop former" in calls
    payload.rollback()
    assert log.read_text().splitlines()[-1] == "start former"


@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_the_existing_client_works_with_our_module(tmp_path: Path, ending: str) -> None:
    if BUSYBOX is None:
        pytest.skip("the program busybox is not installed")
    if as_root() and attempt(*as_root(), "true").returncode:
        pytest.skip("a chroot needs root, or a kernel that lets users have their own namespace")
    device = Device(tmp_path / "device")
    for applet in ("chmod", "mv", "sync", "tar"):
        (device.root / "bin" / applet).symlink_to("busybox")
    device.program("usr/share/mender/modules/v3/single-file", (SHIPPED / "single-file").read_text())
    (device.root / "etc/app.conf").write_text("old")
    files = {"dest_dir": b"/etc\n", "filename": b"app.conf\n", "permissions": b"640\n", "app.conf": b"new"}
    items = [InputBytes(name=name, content=content) for name, content in files.items()]
    request = module_request("single-file", items, name="release-1", device_types=["board"])
    write_artifact(device.root / "artifact", request, Options(codec=Codec.parse("gzip")))
    device.install_written()
    assert (device.root / "etc/app.conf").read_text() == "new"
    done = device.client(ending)
    assert done.returncode == 0, done.stderr
    assert (device.root / "etc/app.conf").read_text() == {"commit": "new", "rollback": "old"}[ending]
    assert not list((device.root / "etc").glob(".*"))
