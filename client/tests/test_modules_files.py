"""The modules single-file and directory: real files, odd names, and a power cut at every program that they call."""

import io
import shutil
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from client_modules import SHIPPED, PowerCuts, Workshop

from bistable.client.errors import ModuleError
from bistable.client.model import RebootNeed

BUSYBOX = shutil.which("busybox")
APPLETS = ["basename", "cat", "chmod", "cp", "dirname", "echo", "grep", "mkdir", "mv", "rm", "sync", "tar", "true"]


def tar_of(files: dict[str, bytes], mode: int = 0o755) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        root = tarfile.TarInfo(".")
        root.type, root.mode = tarfile.DIRTYPE, mode
        archive.addfile(root)
        for name, content in files.items():
            info = tarfile.TarInfo("./" + name)
            info.size, info.mode = len(content), 0o640
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


class Target(ABC):
    """A place on the device, a module that changes what is there, and what is there before and after."""

    def __init__(self, place: Path, module: Path, *, existed: bool) -> None:
        self.place, self.existed = place, existed
        place.mkdir(exist_ok=True)
        self.shop = Workshop(place, module)
        self.parent = place / "odd 'place $HOME\\ *" / "-in-it"
        self.path = self.parent / "app.conf"
        self.parent.mkdir(parents=True)
        (self.parent / "another").write_text("must stay")
        if existed:
            self.make_old()
        self.old = self.snapshot()

    @abstractmethod
    def make_old(self) -> None: ...

    @abstractmethod
    def payload_files(self) -> Mapping[str, bytes]: ...

    @abstractmethod
    def is_new(self) -> bool: ...

    def snapshot(self) -> dict[str, object]:
        found: dict[str, object] = {}
        for path in sorted(self.parent.rglob("*")):
            name = str(path.relative_to(self.parent))
            content = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
            found[name] = (path.lstat().st_mode, content)
        return found

    def again(self) -> Iterator[tuple[int, str]]:
        """Yield the places to cut, with all as it is now before each."""
        saved = self.place.with_name("saved")
        shutil.copytree(self.place, saved, symlinks=True)
        for number in range(1, 100):
            for when in ("before", "after"):
                yield number, when
                shutil.rmtree(self.place)
                shutil.copytree(saved, self.place, symlinks=True)

    def download(self) -> None:
        self.shop.download(self.payload_files())


class FileTarget(Target):
    def make_old(self) -> None:
        self.path.write_text("old")
        self.path.chmod(0o600)

    def payload_files(self) -> Mapping[str, bytes]:
        return {
            "dest_dir": f"{self.parent}\n".encode(),
            "filename": b"app.conf\n",
            "permissions": b"755\n",
            "app.conf": b"new",
        }

    def is_new(self) -> bool:
        return self.path.read_bytes() == b"new" and self.path.stat().st_mode & 0o7777 == 0o755


class DirectoryTarget(Target):
    def make_old(self) -> None:
        self.path.mkdir(mode=0o700)
        (self.path / "old").write_text("old")
        (self.path / "link").symlink_to("nowhere")

    def payload_files(self) -> Mapping[str, bytes]:
        return {"update.tar": tar_of({"new": b"new", "with blank": b""}), "dest_dir": f"{self.path}/\n".encode()}

    def is_new(self) -> bool:
        names = {path.name for path in self.path.iterdir()}
        mode = self.path.stat().st_mode & 0o7777
        return names == {"new", "with blank"} and (self.path / "new").read_bytes() == b"new" and mode == 0o755


KINDS: dict[str, type[Target]] = {"single-file": FileTarget, "directory": DirectoryTarget}


@pytest.fixture(params=["system", "busybox"])
def modules(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the modules, to be run by this system's shell and programs, or by those of busybox."""
    if request.param == "system":
        return SHIPPED
    if BUSYBOX is None:
        pytest.skip("the program busybox is not installed")
    copies, programs = tmp_path / "busybox/modules", tmp_path / "busybox/programs"
    copies.mkdir(parents=True)
    programs.mkdir()
    for applet in APPLETS:
        (programs / applet).symlink_to(BUSYBOX)
    monkeypatch.setenv("PATH", str(programs))
    for name in KINDS:
        text = (SHIPPED / name).read_text()
        (copies / name).write_text(text.replace("#!/bin/sh", f"#!{BUSYBOX} sh", 1))
        (copies / name).chmod(0o755)
    return copies


@pytest.mark.parametrize("existed", [True, False], ids=["over an old one", "where nothing was"])
@pytest.mark.parametrize("kind", KINDS)
class TestBoth:
    """What both modules have in common."""

    def test_the_new_one_is_installed_and_nothing_else_is_left(
        self, modules: Path, tmp_path: Path, kind: str, existed: bool
    ) -> None:
        target = KINDS[kind](tmp_path / "device", modules / kind, existed=existed)
        target.download()
        assert target.snapshot() == target.old
        payload = target.shop.payload()
        assert payload.supports_rollback()
        payload.install()
        assert target.is_new()
        assert payload.reboot_need() is RebootNeed.NONE
        payload.commit()
        payload.cleanup()
        assert target.is_new()
        assert {path.name for path in target.parent.iterdir()} == {"another", "app.conf"}

    def test_a_rollback_brings_back_what_was_there_even_after_the_commit(
        self, modules: Path, tmp_path: Path, kind: str, existed: bool
    ) -> None:
        target = KINDS[kind](tmp_path / "device", modules / kind, existed=existed)
        target.download()
        payload = target.shop.payload()
        payload.install()
        payload.commit()
        for _ in range(2):
            payload.rollback()
            assert target.snapshot() == target.old
        payload.failure()
        payload.cleanup()
        assert target.snapshot() == target.old

    def test_a_rollback_of_what_was_not_installed_does_nothing(
        self, modules: Path, tmp_path: Path, kind: str, existed: bool
    ) -> None:
        target = KINDS[kind](tmp_path / "device", modules / kind, existed=existed)
        target.download()
        target.shop.payload().rollback()
        target.shop.payload().cleanup()
        assert target.snapshot() == target.old

    def test_an_installation_that_was_cut_off_is_completed(
        self, tmp_path: Path, kind: str, existed: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for target in self._cut_installations(tmp_path, kind, existed, monkeypatch):
            target.shop.payload().install()
            assert target.is_new()
            target.shop.payload().cleanup()
            assert target.is_new()
            assert {path.name for path in target.parent.iterdir()} == {"another", "app.conf"}

    def test_an_installation_that_was_cut_off_is_rolled_back(
        self, tmp_path: Path, kind: str, existed: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for target in self._cut_installations(tmp_path, kind, existed, monkeypatch):
            target.shop.payload().rollback()
            target.shop.payload().cleanup()
            assert target.snapshot() == target.old

    def test_an_installation_that_was_cut_off_and_completed_is_rolled_back(
        self, tmp_path: Path, kind: str, existed: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for target in self._cut_installations(tmp_path, kind, existed, monkeypatch):
            target.shop.payload().install()
            target.shop.payload().rollback()
            assert target.snapshot() == target.old

    def test_an_installation_that_was_cut_off_and_given_up_leaves_the_old_or_the_new(
        self, tmp_path: Path, kind: str, existed: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for target in self._cut_installations(tmp_path, kind, existed, monkeypatch):
            target.shop.payload().cleanup()
            assert target.snapshot() == target.old or target.is_new()
            assert {path.name for path in target.parent.iterdir()} <= {"another", "app.conf"}

    def test_a_rollback_that_was_cut_off_is_completed(
        self, tmp_path: Path, kind: str, existed: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cuts = PowerCuts(tmp_path / "power", monkeypatch)
        cuts.cover()
        target = KINDS[kind](tmp_path / "device", SHIPPED / kind, existed=existed)
        target.download()
        target.shop.payload().install()
        for number, when in target.again():
            cuts.at(number, when)
            if not is_cut(target, "rollback"):
                break
            cuts.never()
            target.shop.payload().rollback()
            target.shop.payload().cleanup()
            assert target.snapshot() == target.old

    def _cut_installations(
        self, tmp_path: Path, kind: str, existed: bool, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[Target]:
        cuts = PowerCuts(tmp_path / "power", monkeypatch)
        cuts.cover()
        target = KINDS[kind](tmp_path / "device", SHIPPED / kind, existed=existed)
        target.download()
        for number, when in target.again():
            cuts.at(number, when)
            if not is_cut(target, "install"):
                assert number > 5
                return
            cuts.never()
            if kind == "single-file" and existed:
                assert target.path.read_text() in {"old", "new"}
            yield target


def is_cut(target: Target, step: str) -> bool:
    """Return whether the power was cut during the step; False if it came to its end."""
    try:
        getattr(target.shop.payload(), step)()
    except ModuleError:
        return True
    return False


# --- single-file


def test_an_artifact_without_permissions_is_installed(tmp_path: Path) -> None:
    target = FileTarget(tmp_path / "device", SHIPPED / "single-file", existed=True)
    files = {name: content for name, content in target.payload_files().items() if name != "permissions"}
    target.shop.download(files)
    target.shop.payload().install()
    assert target.path.read_bytes() == b"new"


def test_a_link_in_the_place_of_the_file_is_replaced_and_brought_back(tmp_path: Path) -> None:
    target = FileTarget(tmp_path / "device", SHIPPED / "single-file", existed=False)
    (target.parent / "elsewhere").write_text("old")
    target.path.symlink_to("elsewhere")
    target.download()
    target.shop.payload().install()
    assert not target.path.is_symlink()
    assert (target.parent / "elsewhere").read_text() == "old"
    target.shop.payload().rollback()
    assert target.path.readlink() == Path("elsewhere")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"dest_dir": b""}, "absolute"),
        ({"dest_dir": b"etc"}, "absolute"),
        ({"filename": b""}, "name of a file"),
        ({"filename": b".."}, "name of a file"),
        ({"filename": b"../app.conf"}, "name of a file"),
        ({"filename": b"other"}, "no file 'other'"),
        ({"permissions": b"--reference=/"}, ""),
        ({"permissions": b"9"}, ""),
    ],
)
def test_a_payload_that_makes_no_sense_changes_nothing(tmp_path: Path, changed: dict[str, bytes], why: str) -> None:
    target = FileTarget(tmp_path / "device", SHIPPED / "single-file", existed=True)
    target.shop.download({**target.payload_files(), **changed})
    with pytest.raises(ModuleError) as caught:
        target.shop.payload().install()
    assert why in (caught.value.hint or "")
    if why == "":
        target.shop.payload().rollback()
        target.shop.payload().cleanup()
    assert target.snapshot() == target.old


def test_a_directory_in_the_place_of_the_file_is_not_touched(tmp_path: Path) -> None:
    target = FileTarget(tmp_path / "device", SHIPPED / "single-file", existed=False)
    target.path.mkdir()
    target.download()
    with pytest.raises(ModuleError) as caught:
        target.shop.payload().install()
    assert "is a directory" in (caught.value.hint or "")
    assert list(target.path.iterdir()) == []


# --- directory


@pytest.mark.parametrize("place", ["/", "//", "", "\n", "etc", "/tmp/..", "/tmp/../etc", "/tmp/.", "/./"])
def test_a_directory_that_must_not_be_replaced_is_refused(tmp_path: Path, place: str) -> None:
    target = DirectoryTarget(tmp_path / "device", SHIPPED / "directory", existed=True)
    target.shop.download({**target.payload_files(), "dest_dir": place.encode()})
    with pytest.raises(ModuleError) as caught:
        target.shop.payload().install()
    assert "dest_dir" in (caught.value.hint or "")


def test_a_file_in_the_place_of_the_directory_is_not_touched(tmp_path: Path) -> None:
    target = DirectoryTarget(tmp_path / "device", SHIPPED / "directory", existed=False)
    target.path.write_text("a file")
    target.download()
    with pytest.raises(ModuleError) as caught:
        target.shop.payload().install()
    assert "not a directory" in (caught.value.hint or "")
    assert target.path.read_text() == "a file"


def test_an_archive_that_is_broken_changes_nothing(tmp_path: Path) -> None:
    target = DirectoryTarget(tmp_path / "device", SHIPPED / "directory", existed=True)
    files = dict(target.payload_files())
    target.shop.download({**files, "update.tar": files["update.tar"][:1500] + b"broken"})
    with pytest.raises(ModuleError):
        target.shop.payload().install()
    target.shop.payload().rollback()
    target.shop.payload().cleanup()
    assert target.snapshot() == target.old


def test_what_an_earlier_update_left_behind_is_not_in_the_way(tmp_path: Path) -> None:
    target = DirectoryTarget(tmp_path / "device", SHIPPED / "directory", existed=True)
    for name in (".app.conf.new", ".app.conf.former"):
        (target.parent / name).mkdir()
        (target.parent / name / "garbage").touch()
    target.download()
    target.shop.payload().install()
    assert target.is_new()
    target.shop.payload().rollback()
    target.shop.payload().cleanup()
    assert target.snapshot() == target.old
