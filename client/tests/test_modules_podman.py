"""The modules podman (which is docker by another name) and compose, with real containers, where they can be had."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from client_modules import SHIPPED, Workshop
from peers import attempt, call

from bistable.client.errors import ModuleError

BUSYBOX = shutil.which("busybox")

# What containers need that run in the tests' own container or virtual machine.
CONTAINERS = """
[containers]
default_ulimits = ["nofile=1000:1000", "nproc=1000:1000"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_config_dir = "{place}/networks"
"""
STORAGE = """
[storage]
driver = "vfs"
graphroot = "{place}/images"
runroot = "{place}/run"
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a place with an engine of its own and the images one and two, which run until they are stopped."""
    if BUSYBOX is None or not all(map(shutil.which, ("podman", "podman-compose", "runc"))):
        pytest.skip("the programs podman, podman-compose, runc and busybox are not all installed")
    if os.geteuid() != 0:
        pytest.skip("these containers need root")
    for name, text in {"containers": CONTAINERS, "storage": STORAGE}.items():
        (tmp_path / f"{name}.conf").write_text(text.format(place=tmp_path))
    monkeypatch.setenv("CONTAINERS_CONF", str(tmp_path / "containers.conf"))
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(tmp_path / "storage.conf"))
    monkeypatch.setenv("BISTABLE_COMPOSE_DIR", str(tmp_path / "projects"))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (tmp_path / "docker").write_text("#!/bin/sh\nexit 1\n")  # not the tool that is wanted here
    (tmp_path / "docker").chmod(0o755)
    root = tmp_path / "root"
    (root / "bin").mkdir(parents=True)
    shutil.copy(BUSYBOX, root / "bin/busybox")
    (root / "bin/sleep").symlink_to("busybox")
    call("tar", "-cf", tmp_path / "image.tar", "-C", root, ".")
    changes = ["-c", 'CMD ["sleep", "1000"]', "-c", "STOPSIGNAL KILL"]
    for name in ("one", "two"):
        call("podman", "import", "-q", *changes, tmp_path / "image.tar", f"localhost/{name}")
        call("podman", "push", "-q", f"localhost/{name}", f"oci:{tmp_path}/{name}")
    tried = attempt("podman", "run", "--rm", "localhost/one", "sleep", "0")
    try:
        if tried.returncode:
            pytest.skip(f"containers do not run here: {tried.stderr.strip()}")
        yield tmp_path
    finally:
        call("podman", "rm", "-f", "-a", "-t", "0")
        attempt("podman", "network", "rm", "shop_default")


def running() -> list[str]:
    return sorted(Path(line).name for line in call("podman", "ps", "--format", "{{.Image}}").split())


def test_containers_are_replaced_and_brought_back_by_podman(place: Path) -> None:
    former = call("podman", "run", "-d", "localhost/one").strip()
    shop = Workshop(place, SHIPPED / "podman")
    words = {"containers": [f"oci:{place}/two"], "run_args": "--env A=1 --label test=1"}
    shop.download({}, meta_data=json.dumps(words).encode())
    shop.payload().install()
    assert running() == ["two:latest"]
    shop.payload().install()
    assert running() == ["two:latest"]
    assert len(call("podman", "ps", "-a", "-q", "--filter", "label=test=1").split()) == 1
    shop.payload().rollback()
    assert call("podman", "ps", "-q", "--no-trunc").split() == [former]
    assert call("podman", "ps", "-a", "-q", "--no-trunc").split() == [former]
    shop.payload().cleanup()


def test_an_image_that_is_missing_stops_no_container(place: Path) -> None:
    call("podman", "run", "-d", "localhost/one")
    shop = Workshop(place, SHIPPED / "podman")
    with pytest.raises(ModuleError):
        shop.download({}, meta_data=json.dumps({"containers": [f"oci:{place}/missing"]}).encode())
    assert running() == ["one:latest"]


def services(**images: str) -> bytes:
    lines = ["services:"]
    for name, words in images.items():
        image, _, command = words.partition(" ")
        lines += [f"  {name}:", f"    image: {image}", *([f"    command: {command}"] if command else [])]
    return "\n".join(lines).encode()


def test_services_are_replaced_and_brought_back_by_podman_compose(place: Path) -> None:
    shop = Workshop(place, SHIPPED / "compose")
    name = json.dumps({"project": "shop"}).encode()
    shop.download({"compose.yaml": services(app="localhost/one")}, meta_data=name)
    shop.payload().install()
    assert running() == ["one:latest"]
    shop.payload().commit()
    shop.payload().cleanup()
    shop.download({"compose.yaml": services(app="localhost/two", more="localhost/two")}, meta_data=name)
    for _ in range(2):
        shop.payload().install()
        assert running() == ["two:latest", "two:latest"]
    for _ in range(2):
        shop.payload().rollback()
        assert running() == ["one:latest"]
    shop.payload().cleanup()
    assert running() == ["one:latest"]


@pytest.mark.parametrize("image", ["localhost/missing", "localhost/two /bin/missing"])
def test_services_that_do_not_start_are_an_error_whatever_podman_compose_says(place: Path, image: str) -> None:
    shop = Workshop(place, SHIPPED / "compose")
    name = json.dumps({"project": "shop"}).encode()
    shop.download({"compose.yaml": services(app="localhost/one")}, meta_data=name)
    shop.payload().install()
    shop.payload().cleanup()
    shop.download({"compose.yaml": services(app=image)}, meta_data=name)
    with pytest.raises(ModuleError):
        shop.payload().install()
    shop.payload().rollback()
    shop.payload().cleanup()
    assert running() == ["one:latest"]
