"""Files go into a root file system in the same way, whatever it is kept in."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from disk_samples import EPOCH, call, small_root
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_samples import EXT4_TOOLS

from bistable.artifact.errors import RejectedError, RequestError
from bistable.artifact.image import ImageOptions, Kind, make_image
from bistable.artifact.image.tree import TreeBuilder
from bistable.tools.disk.tree import BuildingTree, FolderTree, RootTree, changed_image, reading
from bistable.tools.disk.tree.port import real_path

pytestmark = EXT4_TOOLS
SIZE = 16 << 20
Changing = Callable[[Path], AbstractContextManager[RootTree]]


@contextmanager
def in_folder(top: Path) -> Iterator[RootTree]:
    yield FolderTree(top / "root", time=EPOCH)
    make_image(top / "root", top / "image", ImageOptions(size=SIZE))


@contextmanager
def while_building(top: Path) -> Iterator[RootTree]:
    """Collect what the block does, and do it again when the image is made: `make_image` takes a function."""
    done: list[Callable[[RootTree], object]] = []
    (top / "copy").mkdir()
    shutil.copytree(top / "root", top / "copy/root", symlinks=True)
    recorder = Recorder(FolderTree(top / "copy/root", time=EPOCH), done)
    yield recorder
    (top / "staging").mkdir()

    def add(builder: TreeBuilder, base: Path) -> None:
        tree = BuildingTree(builder, base, top / "staging", time=EPOCH)
        for action in done:
            action(tree)

    make_image(top / "root", top / "image", ImageOptions(size=SIZE), add=add)


@contextmanager
def in_image(top: Path) -> Iterator[RootTree]:
    make_image(top / "root", top / "image", ImageOptions(size=SIZE))
    with changed_image(top / "image", epoch=EPOCH) as tree:
        yield tree


class Recorder:
    """Passes everything on, and remembers what changed something."""

    def __init__(self, tree: RootTree, done: list[Callable[[RootTree], object]]) -> None:
        self.kind, self.read = tree.kind, tree.read
        self._tree, self._done = tree, done

    def file(self, path: str, content: bytes | Path, *, mode: int = 0o644) -> None:
        self._do(lambda tree: tree.file(path, content, mode=mode))

    def directory(self, path: str, *, mode: int = 0o755) -> None:
        self._do(lambda tree: tree.directory(path, mode=mode))

    def link(self, path: str, target: str) -> None:
        self._do(lambda tree: tree.link(path, target))

    def _do(self, action: Callable[[RootTree], object]) -> None:
        action(self._tree)
        self._done.append(action)


WAYS = [
    pytest.param(in_folder, id="folder"),
    pytest.param(while_building, id="building"),
    pytest.param(in_image, id="image"),
]
each_way = pytest.mark.parametrize("changing", WAYS)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    small_root(tmp_path / "root")
    return tmp_path


def stat(image: Path, path: str) -> str:
    return call("debugfs", "-R", f"stat {path}", image)


@each_way
def test_a_file_appears_with_its_mode_owner_and_directories(changing: Changing, top: Path) -> None:
    with changing(top) as tree:
        tree.file("/opt/new/deep/tool", b"#!/bin/sh\n", mode=0o755)
    with reading(top / "image") as found:
        assert found.read("/opt/new/deep/tool") == b"#!/bin/sh\n"
    said = stat(top / "image", "/opt/new/deep/tool")
    assert "Mode:  0755" in said
    assert "User:     0   Group:     0" in said
    assert f"mtime: {EPOCH:#x}" in said
    assert "Mode:  0755" in stat(top / "image", "/opt/new")
    call("e2fsck", "-fn", top / "image")


@each_way
def test_a_file_of_this_machine_can_be_put(changing: Changing, top: Path) -> None:
    (top / "mine").write_bytes(b"x" * 100_000)
    with changing(top) as tree:
        tree.file("/opt/mine", top / "mine")
        assert tree.read("/opt/mine") == b"x" * 100_000
    with reading(top / "image") as found:
        assert found.read("/opt/mine") == b"x" * 100_000


@each_way
def test_links_on_the_way_are_followed_inside(changing: Changing, top: Path) -> None:
    (top / "root/etc/out").symlink_to("/usr/lib")
    with changing(top) as tree:
        tree.file("/lib/systemd/unit", b"unit")
        tree.file("/etc/out/second", b"second")
        assert tree.read("/usr/lib/systemd/unit") == b"unit"
        assert tree.kind("/lib/systemd") is Kind.DIRECTORY
    with reading(top / "image") as found:
        assert found.read("/usr/lib/systemd/unit") == b"unit"
        assert found.read("/usr/lib/second") == b"second"
    assert "Type: symlink" in stat(top / "image", "/lib")


@each_way
def test_what_is_there_is_replaced(changing: Changing, top: Path) -> None:
    (top / "root/empty").mkdir()
    (top / "root/etc/link").symlink_to("os-release")
    with changing(top) as tree:
        tree.file("/etc/fstab", b"new")
        tree.file("/etc/link", b"no link any more")
        tree.link("/empty", "/data/empty")
        tree.link("/usr/lib/tool", "elsewhere")
        assert tree.read("/etc/fstab") == b"new"
    with reading(top / "image") as found:
        assert found.read("/etc/fstab") == b"new"
        assert found.read("/etc/link") == b"no link any more"
        assert found.read("/etc/os-release") != b"no link any more"
    assert 'link dest: "/data/empty"' in stat(top / "image", "/empty")
    assert 'link dest: "elsewhere"' in stat(top / "image", "/usr/lib/tool")
    call("e2fsck", "-fn", top / "image")


@each_way
def test_the_last_of_two_files_at_one_place_stays(changing: Changing, top: Path) -> None:
    with changing(top) as tree:
        tree.file("/opt/twice", b"first")
        tree.file("/opt/twice", b"second")
        tree.directory("/opt/twice-directory")
        tree.directory("/opt/twice-directory", mode=0o700)
    with reading(top / "image") as found:
        assert found.read("/opt/twice") == b"second"
    assert "Mode:  0755" in stat(top / "image", "/opt/twice-directory")


@each_way
def test_a_directory_with_content_is_not_replaced(changing: Changing, top: Path) -> None:
    with pytest.raises(RequestError, match="directory"), changing(top) as tree:
        tree.link("/etc", "/data/etc")
    assert (top / "root/etc/fstab").exists()


@each_way
def test_nothing_leads_out_of_the_root(changing: Changing, top: Path) -> None:
    (top / "root/up").symlink_to("../../../../..")
    (top / "root/abs").symlink_to(top)
    with changing(top) as tree:
        tree.file("/up/escaped", b"x")
        assert tree.read("/../../escaped") == b"x"
        assert tree.kind("/abs/root/etc") is None
    assert not (top / "escaped").exists()
    assert not Path("/escaped").exists()


def test_an_image_in_which_nothing_changes_stays_as_it_is(top: Path) -> None:
    with in_image(top) as tree:
        tree.file("/opt/tool", b"tool")
        tree.link("/opt/link", "tool")
    before = (top / "image").read_bytes()
    with changed_image(top / "image", epoch=EPOCH + 100) as again:
        again.file("/opt/tool", b"tool")
        again.link("/opt/link", "tool")
        again.directory("/opt")
    assert (top / "image").read_bytes() == before


def test_more_than_there_is_room_for_is_refused_before_anything_is_written(top: Path) -> None:
    make_image(top / "root", top / "image", ImageOptions(size=SIZE))
    before = (top / "image").read_bytes()
    with pytest.raises(RequestError, match="are free"), changed_image(top / "image", epoch=0) as tree:
        tree.file("/large", os.urandom(SIZE))
    assert (top / "image").read_bytes() == before


def test_links_in_a_circle_are_refused() -> None:
    with pytest.raises(RejectedError, match="circles"):
        real_path("/a/b", lambda _path: (Kind.SYMLINK, "/a"), follow_last=True)


names = st.text(st.characters(blacklist_characters="/\0\n\r", blacklist_categories=["Cs"]), min_size=1, max_size=20)
paths = st.lists(names.filter(lambda name: name not in {".", ".."}), min_size=1, max_size=3).map(
    lambda parts: "/new/" + "/".join(parts)
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(paths, st.binary(max_size=5000), max_size=8))
def test_whatever_is_put_into_an_image_is_read_back(wanted: dict[str, bytes]) -> None:
    kept = {path: content for path, content in wanted.items() if not any(p.startswith(path + "/") for p in wanted)}
    with tempfile.TemporaryDirectory() as directory:
        top = Path(directory)
        small_root(top / "root")
        with in_image(top) as tree:
            for path, content in kept.items():
                tree.file(path, content)
        with reading(top / "image") as found:
            assert {path: found.read(path) for path in kept} == kept
