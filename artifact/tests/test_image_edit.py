"""Files inside an ext image are changed in place, without mounting it, and the image stays sound."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_samples import AS_ROOT, EXT4_TOOLS, ODD_NAMES, SBIN, call, is_clean, make_rootfs, needs, run_as_nobody

from bistable.artifact.errors import BistableError, MachineError, RejectedError, RequestError
from bistable.artifact.image import (
    Change,
    Entry,
    ImageKind,
    ImageOptions,
    Kind,
    compare_images,
    copy_in,
    list_directory,
    make_directory,
    make_image,
    make_symlink,
    open_image,
    read_file,
    remove,
    remove_tree,
)
from bistable.artifact.image import edit as edit_module
from bistable.artifact.image.debugfs import Script, run_script

pytestmark = EXT4_TOOLS

WHEN = 1_650_000_000


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("original")
    (top / "rootfs").mkdir()
    make_image(make_rootfs(top / "rootfs"), top / "image", ImageOptions(size=12 << 20))
    return top / "image"


@pytest.fixture
def image(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(original, tmp_path / "image"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source file; with 'odd' \"name\""
    path.write_bytes(b"new content")
    path.chmod(0o750)
    return path


def entry(image: Path, path: str) -> Entry:
    parent, _, name = path.rpartition("/")
    return next(entry for entry in list_directory(image, parent or "/") if entry.name == name)


def content(image: Path, path: str) -> bytes:
    parts: list[bytes] = []
    read_file(image, path, parts.append)
    return b"".join(parts)


def changed(old: Path, new: Path) -> dict[str, tuple[Change, ...]]:
    return {change.path: change.changes for change in compare_images(old, new)}


# --- copying in


def test_a_new_file_has_the_sources_content_and_mode_and_belongs_to_root(image: Path, source: Path) -> None:
    copy_in(image, source, "/etc/new", epoch=WHEN)
    made = entry(image, "/etc/new")
    assert content(image, "/etc/new") == b"new content"
    assert (made.mode, made.uid, made.gid, made.mtime) == (0o750, 0, 0, WHEN)


def test_nothing_else_changes(original: Path, image: Path, source: Path) -> None:
    copy_in(image, source, "/etc/new", epoch=WHEN)
    assert changed(original, image) == {"/etc/new": (Change.ADDED,)}


def test_mode_and_owner_can_be_given(image: Path, source: Path) -> None:
    copy_in(image, source, "/etc/new", epoch=WHEN, mode=0o6711, uid=100_000, gid=70_000)
    made = entry(image, "/etc/new")
    assert (made.mode, made.uid, made.gid) == (0o6711, 100_000, 70_000)


def test_special_bits_of_the_source_are_not_taken_over_silently(image: Path, source: Path) -> None:
    source.chmod(0o4755)
    copy_in(image, source, "/etc/new", epoch=WHEN)
    assert entry(image, "/etc/new").mode == 0o755


def test_a_replaced_file_keeps_its_mode_and_owner(image: Path, source: Path) -> None:
    copy_in(image, source, "/etc/shadow", epoch=WHEN, uid=7, gid=8)
    source.write_bytes(b"newer")
    copy_in(image, source, "/etc/shadow", epoch=WHEN)
    made = entry(image, "/etc/shadow")
    assert (content(image, "/etc/shadow"), made.mode, made.uid, made.gid) == (b"newer", 0o400, 7, 8)


def test_the_room_of_a_replaced_file_is_free_again(image: Path, source: Path) -> None:
    source.write_bytes(os.urandom(3 << 20))
    for _ in range(8):  # more than the image holds
        copy_in(image, source, "/etc/large", epoch=WHEN)
    assert content(image, "/etc/large") == source.read_bytes()


def test_links_on_the_way_and_at_the_end_are_followed(image: Path, source: Path) -> None:
    assert copy_in(image, source, "/bin/added", epoch=WHEN) == "/usr/bin/added"
    assert copy_in(image, source, "/etc/up", epoch=WHEN) == "/usr/bin/tool"
    assert entry(image, "/etc/up").kind is Kind.SYMLINK


def test_other_hard_links_keep_the_old_content(image: Path, source: Path) -> None:
    old = content(image, "/usr/bin/tool")
    copy_in(image, source, "/usr/bin/tool", epoch=WHEN)
    assert content(image, "/usr/bin/applet-007") == old
    assert entry(image, "/usr/bin/applet-007").links == 200


def test_a_replaced_file_keeps_its_label_but_no_capability(image: Path, source: Path) -> None:
    call("debugfs", "-w", "-R", "ea_set /etc/shadow security.selinux system_u:object_r:shadow_t:s0", image)
    call("debugfs", "-w", "-R", "ea_set /etc/shadow security.capability x", image)
    copy_in(image, source, "/etc/shadow", epoch=WHEN)
    assert entry(image, "/etc/shadow").attributes == (("security.selinux", b"system_u:object_r:shadow_t:s0"),)


def test_a_file_larger_than_the_free_room_is_refused_with_both_numbers(image: Path, source: Path) -> None:
    source.write_bytes(b"")
    os.truncate(source, 1 << 30)
    with pytest.raises(RequestError, match=r"1073741824 bytes.* \d+ bytes are free"):
        copy_in(image, source, "/etc/large", epoch=WHEN)


def test_an_empty_file_can_be_copied_in(image: Path, source: Path) -> None:
    source.write_bytes(b"")
    copy_in(image, source, "/etc/new", epoch=WHEN)
    assert entry(image, "/etc/new").size == 0


@pytest.mark.parametrize("path", ["/usr", "/", "/usr/bin/..", "/pipe"])
def test_only_files_are_replaced(path: str, image: Path, source: Path) -> None:
    with pytest.raises(RequestError, match="cannot replace"):
        copy_in(image, source, path, epoch=WHEN)


@pytest.mark.parametrize("path", ["/nothing/file", "/usr/bin/tool/file", "/dangling/file"])
def test_the_directory_must_be_there(path: str, image: Path, source: Path) -> None:
    with pytest.raises(RequestError, match="cannot find the directory"):
        copy_in(image, source, path, epoch=WHEN)


def test_the_source_must_be_a_file_that_is_there(image: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="does not exist"):
        copy_in(image, tmp_path / "nothing", "/etc/new", epoch=WHEN)
    with pytest.raises(RequestError):
        copy_in(image, tmp_path, "/etc/new", epoch=WHEN)


# --- the other changes


def test_a_directory_is_made(original: Path, image: Path) -> None:
    assert make_directory(image, "/bin/new", epoch=WHEN, mode=0o1777, uid=5, gid=6) == "/usr/bin/new"
    made = entry(image, "/usr/bin/new")
    assert (made.kind, made.mode, made.uid, made.gid, made.mtime) == (Kind.DIRECTORY, 0o1777, 5, 6, WHEN)
    assert changed(original, image) == {"/usr/bin/new": (Change.ADDED,)}


@pytest.mark.parametrize("target", ["x", "/usr/bin/tool", "l" * 59, "l" * 60, "l" * 900, 'with "quotes" and blanks'])
def test_a_link_is_made(target: str, image: Path) -> None:
    make_symlink(image, "/etc/link", target, epoch=WHEN)
    assert entry(image, "/etc/link").target == target
    assert is_clean(image)


@pytest.mark.parametrize("target", ["", "l" * 901, "a\nb"])
def test_a_link_that_cannot_be_made_is_refused(target: str, image: Path) -> None:
    with pytest.raises(RequestError):
        make_symlink(image, "/etc/link", target, epoch=WHEN)


@pytest.mark.parametrize("path", ["/etc", "/", "/etc/up", "/dangling", "/usr/bin/tool"])
def test_nothing_is_made_where_something_is(path: str, image: Path) -> None:
    with pytest.raises(RequestError, match="is there already"):
        make_directory(image, path, epoch=WHEN)
    with pytest.raises(RequestError, match="is there already"):
        make_symlink(image, path, "target", epoch=WHEN)


@pytest.mark.parametrize("path", ["/etc/os-release", "/pipe", "/empty-directory", "/sparse", "/bin/applet-003"])
def test_one_entry_is_removed(path: str, original: Path, image: Path) -> None:
    remove(image, path, epoch=WHEN)
    assert changed(original, image) == {path.replace("/bin", "/usr/bin"): (Change.REMOVED,)}


def test_removing_a_link_leaves_what_it_points_to(original: Path, image: Path) -> None:
    remove(image, "/etc/up", epoch=WHEN)
    assert changed(original, image) == {"/etc/up": (Change.REMOVED,)}


def test_a_directory_with_content_is_removed_only_as_a_tree(image: Path) -> None:
    with pytest.raises(RequestError, match="not empty"):
        remove(image, "/deep", epoch=WHEN)
    assert remove_tree(image, "/deep", epoch=WHEN) == 5
    assert "deep" not in {entry.name for entry in list_directory(image, "/")}


def test_a_tree_with_many_entries_and_hard_links_is_removed(original: Path, image: Path) -> None:
    with open_image(image) as volume:
        before = volume.superblock.free_blocks  # type: ignore[attr-defined]
    assert remove_tree(image, "/many", epoch=WHEN) == 301
    assert remove_tree(image, "/bin/../bin", epoch=WHEN) == 203
    gone = changed(original, image)
    assert set(gone.values()) == {(Change.REMOVED,)}
    assert {path.split("/")[1] for path in gone} == {"many", "usr"}
    with open_image(image) as volume:
        assert volume.superblock.free_blocks > before  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", ["/", "/..", "/lost+found"])
def test_what_the_file_system_needs_is_not_removed(path: str, image: Path) -> None:
    with pytest.raises(RequestError, match="needs it"):
        remove_tree(image, path, epoch=WHEN)


def test_what_is_not_there_cannot_be_removed(image: Path) -> None:
    with pytest.raises(RequestError, match="not there"):
        remove(image, "/etc/nothing", epoch=WHEN)


@pytest.mark.parametrize("epoch", [0, 1, WHEN, 2**31 - 1])
def test_any_time_keeps_the_image_sound(epoch: int, image: Path, source: Path) -> None:
    copy_in(image, source, "/etc/os-release", epoch=epoch)
    remove(image, "/etc/shadow", epoch=epoch)
    assert is_clean(image)


@pytest.mark.parametrize("epoch", [-1, 2**31])
def test_a_time_that_cannot_be_stored_is_refused(epoch: int, image: Path, source: Path) -> None:
    with pytest.raises(RequestError, match="cannot use the time"):
        copy_in(image, source, "/etc/new", epoch=epoch)


def test_the_same_changes_give_the_same_bytes(original: Path, image: Path, source: Path, tmp_path: Path) -> None:
    twin = Path(shutil.copy(original, tmp_path / "twin? with an odd name"))
    for target in (image, twin):
        copy_in(target, source, "/etc/shadow", epoch=WHEN)
        make_directory(target, "/etc/dir", epoch=WHEN)
        make_symlink(target, "/etc/dir/link", "..", epoch=WHEN)
        remove_tree(target, "/odd", epoch=WHEN)
        os.utime(source, (1, 1))
    assert image.read_bytes() == twin.read_bytes()


@AS_ROOT
def test_root_and_nobody_make_the_same_changes(original: Path, image: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        top.chmod(0o755)
        (top / "source").write_bytes(b"content")
        (top / "source").chmod(0o644)
        by_nobody = Path(shutil.copy(original, top / "by-nobody"))
        os.chown(by_nobody, 65534, 65534)
        run_as_nobody(
            f"""
image = Path(arguments[0])
copy_in(image, Path(arguments[1]), "/etc/shadow", epoch={WHEN}, uid=5)
remove_tree(image, "/odd", epoch={WHEN})
""",
            *(by_nobody, top / "source"),
        )
        copy_in(image, top / "source", "/etc/shadow", epoch=WHEN, uid=5)
        remove_tree(image, "/odd", epoch=WHEN)
        assert image.read_bytes() == by_nobody.read_bytes()


# --- names that look like commands


@pytest.mark.parametrize("name", [*ODD_NAMES, "rm etc", "!reboot", "'", "trailing ", " leading", "not-\udcff-utf8"])
def test_odd_names_are_names(name: str, original: Path, image: Path, source: Path) -> None:
    copy_in(image, source, f"/etc/{name}", epoch=WHEN)
    make_directory(image, f"/empty-directory/{name}", epoch=WHEN)
    copy_in(image, source, f"/empty-directory/{name}/{name}", epoch=WHEN)
    assert set(changed(original, image)) == {
        f"/etc/{name}",
        f"/empty-directory/{name}",
        f"/empty-directory/{name}/{name}",
    }
    assert content(image, f"/empty-directory/{name}/{name}") == b"new content"
    remove_tree(image, f"/empty-directory/{name}", epoch=WHEN)
    remove(image, f"/etc/{name}", epoch=WHEN)
    assert changed(original, image) == {}


@pytest.mark.parametrize("name", ["a\nrm /etc/shadow", "a\rb", "a\x00b", "n" * 256, "ü" * 128])
def test_names_that_cannot_be_said_are_refused_and_nothing_happens(
    name: str, original: Path, image: Path, source: Path
) -> None:
    with pytest.raises(RequestError):
        copy_in(image, source, f"/etc/{name}", epoch=WHEN)
    with pytest.raises(RequestError):
        make_directory(image, f"/etc/{name}", epoch=WHEN)
    assert image.read_bytes() == original.read_bytes()


NAME = st.text(min_size=1, max_size=40).filter(lambda name: name not in {".", ".."} and "/" not in name)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAME)
def test_any_name_is_a_name_or_is_refused(name: str, original: Path, tmp_path: Path) -> None:
    image = Path(shutil.copy(original, tmp_path / "image"))
    try:
        make_directory(image, f"/empty-directory/{name}", epoch=WHEN)
    except RequestError:
        assert image.read_bytes() == original.read_bytes()
    except UnicodeEncodeError:
        assert any("\ud800" <= letter <= "\udfff" for letter in name)
    else:
        assert changed(original, image) == {f"/empty-directory/{name}": (Change.ADDED,)}


# --- images that cannot be changed, and tools that fail


def test_a_hashed_directory_can_be_added_to_and_taken_from(image: Path, source: Path) -> None:
    subprocess.run(["e2fsck", "-fyD", image], env={**os.environ, "PATH": SBIN}, capture_output=True, check=False)
    for number in range(3):
        copy_in(image, source, f"/many/added-{number}-{'z' * 200}", epoch=WHEN)
    remove(image, f"/many/entry-0007-{'y' * 40}", epoch=WHEN)
    assert len(list_directory(image, "/many")) == 302
    assert is_clean(image)


@pytest.mark.parametrize("kind", ["ext2", "ext3"])
def test_older_generations_can_be_changed(kind: str, source: Path, tmp_path: Path) -> None:
    image = tmp_path / "image"
    call("mke2fs", "-q", "-F", "-t", kind, image, "8M")
    copy_in(image, source, "/file", epoch=WHEN)
    assert content(image, "/file") == b"new content"


def test_an_image_with_an_unwritten_journal_is_refused(image: Path, source: Path) -> None:
    call("debugfs", "-w", "-R", "feature needs_recovery", image)
    with pytest.raises(RejectedError, match="journal"):
        copy_in(image, source, "/file", epoch=WHEN)


def test_an_image_that_is_marked_as_not_clean_is_refused(image: Path, source: Path) -> None:
    call("debugfs", "-w", "-R", "dirty", image)
    with pytest.raises(RejectedError, match="not clean"):
        copy_in(image, source, "/file", epoch=WHEN)


def test_an_image_that_was_damaged_before_is_refused_and_not_touched(image: Path, source: Path) -> None:
    call("debugfs", "-w", "-R", "clri /etc/shadow", image)
    before = image.read_bytes()
    with pytest.raises(RejectedError, match="e2fsck finds faults") as caught:
        copy_in(image, source, "/etc/new", epoch=WHEN)
    assert caught.value.hint is not None
    assert "Pass" in caught.value.hint
    assert image.read_bytes() == before


@needs("mksquashfs")
@pytest.mark.parametrize(
    "change",
    [
        lambda image, source: copy_in(image, source, "/x", epoch=WHEN),
        lambda image, source: make_directory(image, "/x", epoch=WHEN),
        lambda image, source: remove(image, "/x", epoch=WHEN),
    ],
)
def test_other_kinds_cannot_be_changed(change: Callable[[Path, Path], object], source: Path, tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()
    call("mksquashfs", tmp_path / "top", tmp_path / "image", "-quiet", "-no-progress")
    with pytest.raises(RequestError, match=f"it is {ImageKind.SQUASHFS.value}") as caught:
        change(tmp_path / "image", source)
    assert caught.value.hint is not None
    assert "build other kinds again" in caught.value.hint


def test_an_error_that_debugfs_only_prints_is_an_error(
    image: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The name is taken after all: debugfs says so, and ends with status 0.
    monkeypatch.setattr(edit_module, "_replaceable", lambda place: None)
    with pytest.raises(MachineError) as caught:
        copy_in(image, source, "/etc/shadow", epoch=WHEN)
    assert caught.value.hint is not None
    assert "already exists" in caught.value.hint


def test_damage_done_by_a_change_is_found(image: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_and_damage(file: BinaryIO, script: Script, *, cwd: Path) -> None:
        run_script(file, script, cwd=cwd)
        call("debugfs", "-w", "-R", "clri /etc/os-release", image)

    monkeypatch.setattr(edit_module, "run_script", run_and_damage)
    with pytest.raises(BistableError, match="e2fsck finds faults"):
        copy_in(image, source, "/etc/new", epoch=WHEN)
