"""The modules docker, podman and compose, with engines that are small programs: they know what runs, and no images.

test_modules_podman.py does a part of this with real containers; docker and its compose are tested here only.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from client_modules import SHIPPED, PowerCuts, Workshop

from bistable.client.errors import ModuleError

ENGINE = """#!/bin/sh
# Containers are files in $ENGINE/all; those that run are in $ENGINE/running, too.
echo "$*" >> "$ENGINE/calls"
case "$1" in
pull) [ "$2" != missing ] || { echo "no such image" >&2; exit 1; } ;;
ps) ls "$ENGINE/running" ;;
stop) rm -f "$ENGINE/running/$2" ;;
start) [ -e "$ENGINE/all/$2" ] || exit 1; cp "$ENGINE/all/$2" "$ENGINE/running/$2" ;;
rm) rm -f "$ENGINE/running/$3" "$ENGINE/all/$3" ;;
run)
  file=; words=
  while [ $# -gt 1 ]; do
    [ "$1" != --cidfile ] || file=$2
    words="$words $1"; shift
  done
  [ "$1" != broken ] || exit 1
  id=id-$1-$(ls "$ENGINE/all" | wc -l)
  echo "$id" > "$file"
  echo "$1" > "$ENGINE/all/$id"
  cp "$ENGINE/all/$id" "$ENGINE/running/$id"
  ;;
*) exit 1 ;;
esac
"""

COMPOSE = """#!/bin/sh
# What runs of a project is the content of its compose file, in $ENGINE/project-NAME.
echo "$*" >> "$ENGINE/calls"
[ "$1 $3" = "--project-name --file" ] || exit 2
project=$ENGINE/project-$2 file=$4
[ -f "$file" ] || { echo "no compose file here" >&2; exit 14; }
case "$5" in
pull) ! grep -q missing "$file" || exit 18 ;;
up) [ "$6" = -d ] || exit 2; ! grep -q broken "$file" || exit 1; cat "$file" > "$project" ;;
down) rm -f "$project" ;;
*) exit 2 ;;
esac
"""


class Site:
    """A device with containers."""

    def __init__(self, place: Path, module: str) -> None:
        self.place = place
        place.mkdir(exist_ok=True)
        self.shop = Workshop(place, SHIPPED / module)
        self.engine = place / "engine"
        for name in ("all", "running"):
            (self.engine / name).mkdir(parents=True)
        self.projects = place / "projects"

    def start(self, *names: str) -> None:
        for name in names:
            for state in ("all", "running"):
                (self.engine / state / name).write_text(f"{name}\n")

    def running(self) -> list[str]:
        return sorted(path.read_text().strip() for path in (self.engine / "running").iterdir())

    def calls(self) -> list[str]:
        return (self.engine / "calls").read_text().splitlines()

    def up(self) -> str | None:
        path = self.engine / "project-shop"
        return path.read_text() if path.exists() else None

    def again(self) -> Iterator[tuple[int, str]]:
        """Yield the places to cut, with all as it is now before each."""
        saved = self.place.with_name("saved")
        shutil.copytree(self.place, saved, symlinks=True)
        for number in range(1, 100):
            for when in ("before", "after"):
                yield number, when
                shutil.rmtree(self.place)
                shutil.copytree(saved, self.place, symlinks=True)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "programs"
    path.mkdir()
    write(path / "python3", f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    monkeypatch.setenv("PATH", f"{path}:{os.environ['PATH']}")
    monkeypatch.setenv("ENGINE", str(tmp_path / "device/engine"))
    monkeypatch.setenv("BISTABLE_COMPOSE_DIR", str(tmp_path / "device/projects"))
    return path


def write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def meta_data(**values: Any) -> bytes:
    return json.dumps(values).encode()


def is_cut(step: Callable[[], object]) -> bool:
    try:
        step()
    except ModuleError:
        return True
    return False


# --- docker and podman


@pytest.fixture(params=["docker", "podman"])
def site(request: pytest.FixtureRequest, programs: Path, tmp_path: Path) -> Site:
    write(programs / request.param, ENGINE)
    site = Site(tmp_path / "device", request.param)
    site.start("old-1", "old-2")
    return site


def test_containers_are_fetched_before_and_replaced_when_installed(site: Site) -> None:
    words = meta_data(containers=["new@sha256:1", "other"], run_args="--network host -e A=*")
    site.shop.download({}, meta_data=words)
    assert site.calls() == ["pull new@sha256:1", "pull other"]
    assert site.running() == ["old-1", "old-2"]
    payload = site.shop.payload()
    assert payload.supports_rollback()
    payload.install()
    assert site.running() == ["new@sha256:1", "other"]
    tmp = site.shop.tree / "tmp"
    assert site.calls()[-1] == f"run --detach --tty --cidfile {tmp}/started.2 --network host -e A=* other"
    payload.commit()
    payload.cleanup()
    assert site.running() == ["new@sha256:1", "other"]


def test_a_rollback_removes_the_new_containers_and_starts_the_old_ones(site: Site) -> None:
    site.shop.download({}, meta_data=meta_data(containers=["new"]))
    site.shop.payload().install()
    for _ in range(2):
        site.shop.payload().rollback()
        assert site.running() == ["old-1", "old-2"]
    assert len(list((site.engine / "all").iterdir())) == 2


def test_a_rollback_of_what_was_not_installed_stops_nothing(site: Site) -> None:
    site.shop.download({}, meta_data=meta_data(containers=["new"]))
    site.shop.payload().rollback()
    assert site.running() == ["old-1", "old-2"]


def test_an_image_that_cannot_be_had_stops_nothing(site: Site) -> None:
    with pytest.raises(ModuleError) as caught:
        site.shop.download({}, meta_data=meta_data(containers=["new", "missing"]))
    assert caught.value.hint == "no such image"
    assert site.running() == ["old-1", "old-2"]


@pytest.mark.parametrize("words", [None, meta_data(), meta_data(containers=[]), meta_data(run_args="x")])
def test_an_artifact_that_lists_no_containers_is_refused(site: Site, words: bytes | None) -> None:
    with pytest.raises(ModuleError) as caught:
        site.shop.download({}, meta_data=words)
    assert "lists no containers" in (caught.value.hint or "")


def test_a_container_that_does_not_start_is_an_error_that_can_be_undone(site: Site) -> None:
    site.shop.download({}, meta_data=meta_data(containers=["new", "broken"]))
    with pytest.raises(ModuleError):
        site.shop.payload().install()
    site.shop.payload().rollback()
    assert site.running() == ["old-1", "old-2"]


@pytest.mark.parametrize("ending", ["install", "rollback"])
def test_after_a_power_cut_neither_old_nor_second_containers_run(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    cuts = PowerCuts(tmp_path / "power", monkeypatch)
    cuts.cover()
    site.shop.download({}, meta_data=meta_data(containers=["new", "other"]))
    for number, when in site.again():
        cuts.at(number, when)
        if not is_cut(site.shop.payload().install):
            assert number > 5
            return
        cuts.never()
        getattr(site.shop.payload(), ending)()
        assert site.running() == (["new", "other"] if ending == "install" else ["old-1", "old-2"])


# --- compose


TOOLS = ["docker compose", "docker-compose", "podman-compose"]
NO_COMPOSE = "#!/bin/sh\nexit 1\n"
DOCKER_COMPOSE = """#!/bin/sh
[ "$1" = compose ] && shift
[ "$1" != version ] || exit 0
"""


@pytest.fixture(params=TOOLS)
def yard(request: pytest.FixtureRequest, programs: Path, tmp_path: Path) -> Site:
    write(programs / "docker", NO_COMPOSE)
    if request.param == "docker compose":
        write(programs / "docker", DOCKER_COMPOSE + COMPOSE.partition("\n")[2])
    else:
        write(programs / request.param, COMPOSE)
    return Site(tmp_path / "device", "compose")


def bring(yard: Site, text: str, **more: bytes) -> None:
    yard.shop.download({"compose.yaml": text.encode(), **more}, meta_data=meta_data(project="shop"))


def run_through(yard: Site, text: str) -> None:
    bring(yard, text)
    yard.shop.payload().install()
    yard.shop.payload().commit()
    yard.shop.payload().cleanup()


def test_services_are_started_and_replaced_and_their_files_are_kept(yard: Site) -> None:
    bring(yard, "one", **{"settings.env": b"A=1"})
    assert yard.shop.payload().supports_rollback()
    yard.shop.payload().install()
    assert yard.up() == "one"
    yard.shop.payload().cleanup()
    assert {path.name for path in (yard.projects / "shop").iterdir()} == {"current"}
    assert (yard.projects / "shop/current/settings.env").read_bytes() == b"A=1"
    run_through(yard, "two")
    assert yard.up() == "two"
    assert [path.name for path in (yard.projects / "shop").rglob("*")] == ["current", "compose.yaml"]


def test_a_rollback_brings_the_former_services_back(yard: Site) -> None:
    run_through(yard, "one")
    bring(yard, "two")
    yard.shop.payload().install()
    for _ in range(2):
        yard.shop.payload().rollback()
        assert yard.up() == "one"
    yard.shop.payload().cleanup()
    assert (yard.projects / "shop/current/compose.yaml").read_text() == "one"
    assert {path.name for path in (yard.projects / "shop").iterdir()} == {"current"}


def test_a_rollback_of_the_first_services_stops_them(yard: Site) -> None:
    bring(yard, "one")
    yard.shop.payload().install()
    for _ in range(2):
        yard.shop.payload().rollback()
        assert yard.up() is None
    yard.shop.payload().cleanup()
    assert list((yard.projects / "shop").iterdir()) == []


@pytest.mark.parametrize("text", ["missing", "broken"])
def test_services_that_cannot_be_had_or_started_are_an_error_that_can_be_undone(yard: Site, text: str) -> None:
    run_through(yard, "one")
    bring(yard, text)
    with pytest.raises(ModuleError):
        yard.shop.payload().install()
    if text == "missing":
        assert yard.up() == "one"
    yard.shop.payload().rollback()
    yard.shop.payload().cleanup()
    assert yard.up() == "one"


@pytest.mark.parametrize("project", ["", "..", "a/b", "-x", "A", "a b", "a\nb", None])
def test_a_project_name_never_leads_elsewhere(yard: Site, project: str | None) -> None:
    yard.shop.download({"compose.yaml": b"one"}, meta_data=meta_data(project=project))
    with pytest.raises(ModuleError) as caught:
        yard.shop.payload().install()
    assert "has to name a project" in (caught.value.hint or "")
    assert not yard.projects.exists()


def test_a_payload_without_a_compose_file_is_refused(yard: Site) -> None:
    yard.shop.download({"other.yaml": b""}, meta_data=meta_data(project="shop"))
    with pytest.raises(ModuleError) as caught:
        yard.shop.payload().install()
    assert "no compose.yaml" in (caught.value.hint or "")


@pytest.mark.parametrize("yard", ["podman-compose"], indirect=True)
@pytest.mark.parametrize("ending", ["install", "rollback", "cleanup"])
@pytest.mark.parametrize("before", ["one", None], ids=["over old services", "the first time"])
def test_after_a_power_cut_either_the_old_or_the_new_services_run(
    yard: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, before: str | None
) -> None:
    if before is not None:
        run_through(yard, before)
    bring(yard, "two")
    cuts = PowerCuts(tmp_path / "power", monkeypatch)
    cuts.cover()
    for number, when in yard.again():
        cuts.at(number, when)
        if not is_cut(yard.shop.payload().install):
            assert number > 5
            return
        cuts.never()
        getattr(yard.shop.payload(), ending)()
        yard.shop.payload().cleanup()
        files = {path.name: path for path in (yard.projects / "shop").iterdir()} if yard.projects.exists() else {}
        assert set(files) <= {"current"}
        if ending != "cleanup":
            assert yard.up() == ("two" if ending == "install" else before)
            kept = (files["current"] / "compose.yaml").read_text() if files else None
            assert kept == yard.up()
        elif before is not None:
            assert files


def test_without_any_compose_tool_it_is_said(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sh", "cat", "cp", "mkdir", "rm", "sync"):
        (programs / name).symlink_to(shutil.which(name) or "")
    monkeypatch.setenv("PATH", str(programs))
    site = Site(tmp_path / "device", "compose")
    bring(site, "one")
    with pytest.raises(ModuleError) as caught:
        site.shop.payload().install()
    assert "neither docker compose nor docker-compose nor podman-compose" in (caught.value.hint or "")
