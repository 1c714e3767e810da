"""The Download call: files through FIFOs or into the tree, and all the ways in which a module can misbehave in it."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from client_modules import RUNNING, TAKES_STREAMS, Workshop, gone, open_descriptors, shape

from bistable.artifact.errors import RejectedError
from bistable.artifact.model import Header, HeaderInfo, TypeInfo
from bistable.client.errors import AbortedError, ModuleError
from bistable.client.modules import Limits, ModuleTree

LARGE = os.urandom(3_000_000)
FILES = {"small": b"one line\n", "large": LARGE, "empty": b"", "b.c,d_e-F": b"x" * 70_000}

TAKES_ONE = 'file=$(cat stream-next); cat "$file" > /dev/null;'


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


# --- as it should be


def test_a_module_takes_the_files_as_streams(shop: Workshop) -> None:
    shop.program(Download=TAKES_STREAMS)
    shop.download(FILES)
    assert shop.stored("tmp") == FILES
    assert not {"files", "streams", "stream-next"} & set(shape(shop.tree))
    assert shop.calls() == ["ProvidePayloadFileSizes", "Download"]


def test_files_come_in_the_order_of_the_artifact(shop: Workshop) -> None:
    shop.program(
        Download='while file=$(cat stream-next) && [ "$file" ]; do echo "$file" >> tmp/list; cat "$file"; done'
    )
    shop.download({"z": b"", "a": b"", "m": b""})
    assert (shop.tree / "tmp/list").read_text() == "streams/z\nstreams/a\nstreams/m\n"


def test_during_the_download_the_places_for_streams_are_fifos(shop: Workshop) -> None:
    shop.program(Download=f"ls -lR > {shop.place}/seen")
    shop.download({"a": b"x"})
    seen = (shop.place / "seen").read_text()
    assert "prw------- 1" in next(line for line in seen.splitlines() if line.endswith("stream-next"))
    assert "./streams:" in seen


def test_a_module_that_asks_for_sizes_gets_them(shop: Workshop) -> None:
    shop.program(
        ProvidePayloadFileSizes="echo Yes",
        DownloadWithFileSizes='while read -r line < stream-next; do echo "$line" >> tmp/list; cat "${line% *}"; done',
    )
    shop.download(FILES)
    sizes = [f"streams/{name} {len(content)}" for name, content in FILES.items()]
    assert (shop.tree / "tmp/list").read_text().splitlines() == sizes
    assert shop.calls() == ["ProvidePayloadFileSizes", "DownloadWithFileSizes"]


@pytest.mark.parametrize(
    "answer", [":", "echo No", "exit 1", "echo usage: mod CALL; exit 0", "kill -SEGV $$", "echo yes >&2"]
)
def test_a_module_that_does_not_know_the_question_for_sizes_is_not_told_them(shop: Workshop, answer: str) -> None:
    shop.program(ProvidePayloadFileSizes=answer)
    shop.download({"a": b"x"})
    assert shop.calls() == ["ProvidePayloadFileSizes", "Download"]


def test_the_question_for_sizes_can_be_left_out(shop: Workshop) -> None:
    shop.program()
    shop.more["asks_for_sizes"] = False
    shop.download({"a": b"x"})
    assert shop.calls() == ["Download"]


def test_files_that_a_module_does_not_ask_for_are_stored_for_it(shop: Workshop) -> None:
    shop.program()
    shop.download(FILES)
    assert shop.stored() == FILES
    kinds = {path: entry[:2] for path, entry in shape(shop.tree).items() if path.startswith("files")}
    assert kinds == {"files": ("directory", 0o700), **{f"files/{name}": ("file", 0o600) for name in FILES}}
    assert not {"streams", "stream-next"} & set(shape(shop.tree))


@pytest.mark.parametrize("does", [":", TAKES_STREAMS])
def test_a_payload_without_files_is_downloaded(shop: Workshop, does: str) -> None:
    shop.program(Download=does)
    shop.download({})
    assert ("files" in shape(shop.tree)) is (does == ":")


def test_many_files_are_taken(shop: Workshop) -> None:
    files = {f"file-{n}": b"x" * n for n in range(200)}
    shop.program(Download=TAKES_STREAMS)
    shop.download(files)
    assert shop.stored("tmp") == files


def test_a_module_may_end_without_asking_whether_there_is_more(shop: Workshop) -> None:
    shop.program(Download=TAKES_ONE)
    shop.download({"a": LARGE})
    assert "files" not in shape(shop.tree)


def test_a_module_may_read_just_as_much_as_it_was_told(shop: Workshop) -> None:
    shop.program(
        ProvidePayloadFileSizes="echo Yes",
        DownloadWithFileSizes='read -r name size < stream-next; head -c "$size" "$name" > tmp/got; cat stream-next',
    )
    shop.download({"a": LARGE})
    assert shop.stored("tmp") == {"got": LARGE}


def test_a_module_may_take_a_file_in_the_background(shop: Workshop) -> None:
    shop.program(
        Download="""
        first=$(cat stream-next)
        (while [ ! -e tmp/go ]; do sleep 0.01; done; cat "$first" > tmp/first) &
        (sleep 0.3; : > tmp/go) &
        second=$(cat stream-next)
        cat "$second" > tmp/second
        cat stream-next
        wait"""
    )
    shop.download({"a": LARGE, "b": b"b"})
    assert (shop.tree / "tmp/first").read_bytes() == LARGE
    assert (shop.tree / "tmp/second").read_bytes() == b"b"


def test_a_module_that_talks_much_before_it_reads_is_listened_to(shop: Workshop) -> None:
    noise = "head -c 300000 /dev/zero | tr '\\0' '\\n' >&2"
    shop.program(Download=f'file=$(cat stream-next); {noise}; cat "$file" | (sleep 0; {noise}; cat) > tmp/got')
    shop.download({"a": LARGE})
    assert shop.stored("tmp") == {"got": LARGE}


# --- as it should not be


MISBEHAVIOUR = {
    "fails before it asks": ("echo why >&2; exit 3", "exit status 3"),
    "fails after the name": ("cat stream-next > /dev/null; echo why >&2; exit 3", "exit status 3"),
    "fails in the middle of a file": ('head -c 100 "$(cat stream-next)" > /dev/null; exit 3', "exit status 3"),
    "is killed in the middle of a file": (
        'file=$(cat stream-next); (head -c 100 > /dev/null; kill -KILL $$) < "$file"',
        "ended by SIGKILL",
    ),
    "fails at the end": (f"{TAKES_STREAMS} exit 3", "exit status 3"),
    "ends after the name": ("cat stream-next > /dev/null", "it ended without having read large"),
    "ends in the middle of a file": (
        'head -c 100 "$(cat stream-next)" > /dev/null',
        "it stopped reading large before its end",
    ),
    "ends before the last file": (TAKES_ONE, "the update module ended before it took all payload files"),
    "opens stream-next and ends": (": < stream-next", "without having read"),
    "stops in the middle of a file and asks for more": (
        'head -c 100 "$(cat stream-next)" > /dev/null; cat stream-next',
        "it stopped reading large before its end",
    ),
    "stops in the middle of a file and hangs": (
        'head -c 100 "$(cat stream-next)" > /dev/null; sleep 600',
        "it stopped reading large before its end",
    ),
    "leaves a file unread and asks for more": (
        "cat stream-next > /dev/null; cat stream-next",
        "it asks for the next stream without having read large",
    ),
    "removes stream-next": ("rm stream-next; sleep 600", "cannot open .*stream-next"),
    "leaves a child that holds a file open": (
        'sleep 600 3< "$(cat stream-next)" & echo $! > "$log.child"; sleep 0.2',
        "it ended before it had read all of large",
    ),
    "leaves a child that holds stream-next open": (
        'sleep 600 3< stream-next & echo $! > "$log.child"; sleep 0.2',
        "it ended without having read large",
    ),
}


@pytest.mark.parametrize(("does", "why"), MISBEHAVIOUR.values(), ids=MISBEHAVIOUR)
def test_a_module_that_misbehaves_ends_the_download(shop: Workshop, does: str, why: str) -> None:
    shop.program(Download=does)
    shop.more["patience"] = 0.3
    before = open_descriptors()
    with pytest.raises(ModuleError, match=why):
        shop.download({"large": LARGE, "small": b"x"})
    assert open_descriptors() <= before
    child = Path(f"{shop.log}.child")
    assert not child.exists() or gone(int(child.read_text()))
    shop.payload().cleanup()
    assert not shop.tree.exists()


HANGS = {
    "before it asks": "sleep 600",
    "after the name": "cat stream-next; sleep 600",
    "with a file open": 'file=$(cat stream-next); sleep 600 < "$file"',
    "after all files": f"{TAKES_STREAMS} sleep 600",
    "asking after the end": f"{TAKES_STREAMS} while :; do cat stream-next; sleep 0.02; done",
    "in a child": "sleep 600 & wait",
}


@pytest.mark.parametrize("does", HANGS.values(), ids=HANGS)
def test_a_module_that_hangs_is_ended_when_its_time_is_over(shop: Workshop, does: str) -> None:
    shop.program(Download=f'echo $$ > "$log.pid"; {does}')
    shop.limits = Limits(call=1, grace=60)
    before = open_descriptors()
    with pytest.raises(ModuleError, match=r"cannot do Download .* not done after 1 s"):
        shop.download({"large": LARGE})
    assert open_descriptors() <= before
    assert gone(int(Path(f"{shop.log}.pid").read_text()))


def test_a_question_that_is_not_answered_in_time_ends_the_download(shop: Workshop) -> None:
    shop.program(ProvidePayloadFileSizes="sleep 600")
    shop.limits = Limits(call=0.3, grace=60)
    with pytest.raises(ModuleError, match=r"cannot do ProvidePayloadFileSizes .* not done"):
        shop.download({})
    assert shop.calls() == ["ProvidePayloadFileSizes"]


@pytest.mark.parametrize("does", [":", TAKES_STREAMS], ids=["stored", "streamed"])
def test_a_file_with_another_digest_is_never_whole_for_a_module(shop: Workshop, does: str) -> None:
    def damage(stored: bytes) -> bytes:
        place = stored.index(LARGE) + len(LARGE) - 1
        return stored[:place] + bytes([stored[place] ^ 1]) + stored[place + 1 :]

    shop.program(Download=does.replace("done", 'echo whole > "$log.whole"; done'))
    with pytest.raises(RejectedError, match="SHA-256 is not the one in the manifest"):
        shop.download({"a": LARGE}, damage=damage)
    assert not Path(f"{shop.log}.whole").exists()


@pytest.mark.parametrize("does", ["sleep 600", ":", TAKES_STREAMS, "cat stream-next; sleep 600"])
def test_whoever_watches_may_end_the_download(shop: Workshop, does: str) -> None:
    looks = []

    def check() -> None:
        looks.append(1)
        if len(looks) == 5:
            raise AbortedError("somebody said so")

    shop.program(Download=f'echo $$ > "$log.pid"; {does}')
    shop.more["check"] = check
    with pytest.raises(AbortedError):
        shop.download({"large": LARGE})
    assert gone(int(Path(f"{shop.log}.pid").read_text()))


class Named:
    """An incoming file whose name nobody checked."""

    def __init__(self, name: str) -> None:
        self.name, self.size = name, 0

    def chunks(self) -> list[bytes]:
        return []

    def finish(self) -> None: ...


HEADER = Header(
    info=HeaderInfo(payload_type="mod", artifact_name="release-1", device_types=("board",)),
    type_info=TypeInfo(payload_type="mod"),
)


@pytest.mark.parametrize("name", ["", ".", "..", "../up", "/etc/passwd", "a/b", "a b", "a\nb", "a\0"])
@pytest.mark.parametrize("does", [":", TAKES_STREAMS], ids=["stored", "streamed"])
def test_a_file_name_never_leads_out_of_the_tree(shop: Workshop, name: str, does: str) -> None:
    shop.program(Download=does)
    with pytest.raises(ModuleError, match="its name is not allowed"):
        shop.payload(HEADER).download([Named(name)])  # type: ignore[list-item]
    assert not (shop.tree.parent / "up").exists()


def test_a_full_disk_is_said(shop: Workshop, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    shop.program()
    small = shop.tree.parent
    small.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "none", small], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount here: {mounted.stderr.decode().strip()}")
    try:
        with pytest.raises(ModuleError, match=r"cannot store the payload file large .* No space left") as caught:
            shop.download({"large": LARGE})
        assert caught.value.hint is not None
    finally:
        subprocess.run(["umount", small], check=True)


def test_what_cannot_be_made_is_said(shop: Workshop) -> None:
    shop.tree.parent.parent.mkdir(parents=True)
    shop.tree.parent.write_text("a file where a directory has to be")
    with pytest.raises(ModuleError, match=r"cannot (prepare|remove) "):
        ModuleTree(shop.tree).build(HEADER, RUNNING)


CUT = """
import os, sys
sys.path[:0] = {paths!r}
from pathlib import Path
from client_modules import Workshop
shop = Workshop(Path({place!r}))
shop.download({{"a": os.urandom(3_000_000), "b": b"x"}})
"""


@pytest.mark.parametrize(
    "does",
    [
        "kill -KILL $PPID",
        "cat stream-next; kill -KILL $PPID; sleep 600",
        'file=$(cat stream-next); (head -c 9; kill -KILL $PPID; cat) < "$file" > /dev/null',
        f"{TAKES_ONE} kill -KILL $PPID; cat stream-next",
    ],
)
def test_a_download_whose_runner_was_killed_can_be_done_again(shop: Workshop, does: str) -> None:
    shop.program(Download=f'echo $$ >> "$log.pid"; if mkdir "$log.cut"; then {does}; exit 0; fi; {TAKES_STREAMS}')
    code = CUT.format(paths=[path for path in sys.path if path.endswith("tests")], place=str(shop.place))
    first = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, timeout=60)
    assert first.returncode == -signal.SIGKILL
    for pid in map(int, Path(f"{shop.log}.pid").read_text().split()):
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # in a power cut it would be gone, too
    shop.download({"a": LARGE})
    assert shop.stored("tmp") == {"a": LARGE}
