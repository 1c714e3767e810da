"""Debian's mender client 3.4.0 installs what we write, on a device that is a directory with a fake boot loader."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from forge import KEYS
from peers import attempt, call, needs

from bistable.artifact import (
    Codec,
    Extras,
    HeadEdit,
    InputBytes,
    Options,
    Script,
    WriteRequest,
    modify_artifact,
    module_request,
    read_signer,
    recompress_artifact,
    repair_artifact,
    rootfs_request,
    sign_artifact,
    write_artifact,
)

BUSYBOX = shutil.which("busybox")
pytestmark = [
    *needs("mender"),
    pytest.mark.skipif(BUSYBOX is None, reason="the program busybox is not installed"),
]

CODECS = ["none", "gzip", "xz"]
FOLDERS = ["bin", "dev", "tmp", "log/env", "etc/mender/scripts", "var/lib/mender", "usr/share/mender/modules/v3"]
APPLETS = ["sh", "cat", "ls", "cp", "mkdir", "touch", "sed", "rm"]
IMAGE = os.urandom(1 << 20) + bytes(1 << 20) + b"text\n" * 200_000 + b"odd"
RSA, EC = read_signer(KEYS / "rsa3072.key"), read_signer(KEYS / "ec256.key")

MODULE = """#!/bin/sh
echo "$1" >> /log/calls
case "$1" in
  SupportsRollback) echo Yes ;;
  ArtifactInstall) cp -r "$2" /log/tree ;;
esac
"""

STREAMING_MODULE = """#!/bin/sh
echo "$1" >> /log/calls
if [ "$1" = Download ]; then
  mkdir -p /log/streamed
  while file=$(cat stream-next) && [ -n "$file" ]; do
    cat "$file" > "/log/streamed/${file#streams/}"
  done
fi
"""

PRINTENV = """#!/bin/sh
[ $# -eq 0 ] && set -- $(ls /log/env)
for key in "$@"; do
  [ -f "/log/env/$key" ] && echo "$key=$(cat "/log/env/$key")"
done
exit 0
"""

SETENV = """#!/bin/sh
# Called as `fw_setenv -s -`, with lines of `key=value` or `key value`.
sed 's/[= ]/ /' | while read -r key value; do
  [ -z "$key" ] || echo "$value" > "/log/env/$key"
done
"""


def as_root() -> list[str]:
    """Return what makes a process root, in a namespace of its own if need be."""
    return [] if os.geteuid() == 0 else ["unshare", "--map-root-user"]


class Device:
    """A root file system with the client, one update module, and a place where it leaves its traces."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log = root / "log"
        for name in FOLDERS:
            (root / name).mkdir(parents=True)
        self._install(Path(shutil.which("mender") or ""), "bin/mender")
        self._install(Path(BUSYBOX or ""), "bin/busybox")
        for applet in APPLETS:
            (root / "bin" / applet).symlink_to("busybox")
        self.program("bin/fw_printenv", PRINTENV)
        self.program("bin/fw_setenv", SETENV)
        self.program("usr/share/mender/modules/v3/mod", MODULE)
        (root / "dev/null").touch()
        (root / "etc/mender/artifact_info").write_text("artifact_name=factory\n")
        (root / "var/lib/mender/device_type").write_text("device_type=board\n")
        self.configure()

    def _install(self, program: Path, place: str) -> None:
        shutil.copy(program, self.root / place)
        for library in re.findall(r"/\S+", attempt("ldd", program).stdout):
            if not Path(library).is_file():
                continue
            (self.root / library[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, self.root / library[1:])

    def program(self, place: str, text: str) -> None:
        (self.root / place).write_text(text)
        (self.root / place).chmod(0o755)

    def configure(self, **settings: Any) -> None:
        (self.root / "etc/mender/mender.conf").write_text(json.dumps({"ServerURL": "https://nowhere", **settings}))

    def trust(self, key: str) -> None:
        shutil.copy(KEYS / f"{key}.pub", self.root / "etc/mender/key.pem")
        self.configure(ArtifactVerifyKey="/etc/mender/key.pem")

    def client(self, *words: str) -> CompletedProcess[str]:
        command: list[str | Path] = [*as_root(), "chroot", self.root, "/bin/mender", "--no-syslog", *words]
        return attempt(*command, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})

    def install(self, request: WriteRequest, codec: str = "gzip", **options: Any) -> None:
        write_artifact(self.root / "artifact", request, Options(codec=Codec.parse(codec), **options))
        self.install_written()

    def install_written(self) -> None:
        done = self.client("install", "/artifact")
        assert done.returncode == 0, done.stderr

    def refuses(self, words: str) -> None:
        done = self.client("install", "/artifact")
        assert done.returncode != 0
        assert words in done.stderr
        assert not (self.log / "tree").exists()

    def commit(self) -> dict[str, str]:
        done = self.client("commit")
        assert done.returncode == 0, done.stderr
        return self.provides()

    def provides(self) -> dict[str, str]:
        lines = self.client("show-provides").stdout.splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def calls(self) -> list[str]:
        return (self.log / "calls").read_text().split()

    def files(self, folder: str = "tree/files") -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.log / folder).iterdir()}

    def header(self, name: str) -> bytes:
        return (self.log / "tree/header" / name).read_bytes()

    def environment(self) -> dict[str, str]:
        return {path.name: path.read_text().strip() for path in (self.log / "env").iterdir()}


@pytest.fixture
def device(tmp_path: Path) -> Device:
    if as_root() and attempt(*as_root(), "true").returncode:
        pytest.skip("a chroot needs root, or a kernel that lets users have their own namespace")
    return Device(tmp_path / "device")


def data(name: str, content: bytes) -> InputBytes:
    return InputBytes(name=name, content=content)


FILES = {"image": IMAGE, "empty": b"", "b.c,d_e-F": b"x" * 513}


def module(files: dict[str, bytes] | None = None, **more: Any) -> WriteRequest:
    items = [data(name, content) for name, content in (FILES if files is None else files).items()]
    return module_request("mod", items, name="release-1", device_types=["board", "other"], **more)


def script(name: str, exit_code: int = 0) -> Script:
    return Script(name=name, content=f"#!/bin/sh\necho {name} >> /log/calls\nexit {exit_code}\n".encode())


# --- modules


@pytest.mark.parametrize("codec", CODECS)
def test_a_module_gets_the_files_and_the_header(device: Device, codec: str) -> None:
    extras = Extras(group="group", provides={"a": "b"}, clears=("a.*",))
    device.install(module(extras=extras, meta_data=b'{"a": {"b": [1, 2]}, "c": "<&>"}'), codec)
    assert device.files() == FILES
    assert json.loads(device.header("header-info"))["artifact_provides"] == {
        "artifact_name": "release-1",
        "artifact_group": "group",
    }
    assert json.loads(device.header("type-info")) == {
        "type": "mod",
        "artifact_provides": {"a": "b", "rootfs-image.mod.version": "release-1"},
        "clears_artifact_provides": ["a.*", "rootfs-image.mod.*"],
    }
    assert json.loads(device.header("meta-data")) == {"a": {"b": [1, 2]}, "c": "<&>"}
    assert device.header("payload_type") == b"mod"
    expected = {
        "artifact_name": "release-1",
        "artifact_group": "group",
        "a": "b",
        "rootfs-image.mod.version": "release-1",
    }
    assert device.commit() == expected


@pytest.mark.parametrize("codec", CODECS)
def test_a_module_can_take_files_as_streams(device: Device, codec: str) -> None:
    device.program("usr/share/mender/modules/v3/mod", STREAMING_MODULE)
    device.install(module(), codec)
    assert device.files("streamed") == FILES


@pytest.mark.parametrize("count", [0, 1, 300])
def test_any_number_of_files_is_installed(device: Device, count: int) -> None:
    files = {f"file-{n}": b"x" * n * 5 for n in range(count)}
    device.install(module(files))
    assert (device.files() if count else {}) == files


def test_scripts_run_in_order(device: Device) -> None:
    names = [
        "ArtifactInstall_Enter_01",
        "ArtifactInstall_Enter_00_first",
        "ArtifactInstall_Leave_00",
        "ArtifactCommit_Leave_99",
    ]
    device.install(module({}, extras=Extras(scripts=[script(name) for name in names])))
    device.commit()
    calls = [
        call for call in device.calls() if call.startswith(("Artifact", "Download")) and call != "ArtifactVerifyReboot"
    ]
    assert calls == [
        "Download",
        "ArtifactInstall_Enter_00_first",
        "ArtifactInstall_Enter_01",
        "ArtifactInstall",
        "ArtifactInstall_Leave_00",
        "ArtifactCommit",
        "ArtifactCommit_Leave_99",
    ]


def test_a_script_that_fails_stops_the_installation(device: Device) -> None:
    failing = script("ArtifactInstall_Enter_00", exit_code=1)
    write_artifact(
        device.root / "artifact", module({}, extras=Extras(scripts=[failing])), Options(codec=Codec.parse("gzip"))
    )
    assert device.client("install", "/artifact").returncode != 0
    assert "ArtifactInstall" not in device.calls()


def test_a_rollback_leaves_what_the_device_provides(device: Device) -> None:
    device.install(module())
    assert device.client("rollback").returncode == 0
    assert "rootfs-image.mod.version" not in device.provides()


def test_patterns_clear_what_they_match_and_nothing_else(device: Device) -> None:
    first = Extras(provides={"keep": "1", "gone.a": "1", "gone.b.c": "1"})
    device.install(module({}, extras=first))
    device.commit()
    shutil.rmtree(device.log / "tree")
    device.install(module({}, extras=Extras(clears=("gone.*",), provides={"new": "2"})))
    assert device.commit() == {
        "artifact_name": "release-1",
        "keep": "1",
        "new": "2",
        "rootfs-image.mod.version": "release-1",
    }


@pytest.mark.parametrize("patterns", [[], None], ids=["empty list", "no list"])
def test_this_client_takes_an_empty_list_of_patterns_for_none_and_clears_all(
    device: Device, patterns: list[str] | None
) -> None:
    device.install(module({}, extras=Extras(provides={"keep": "1"})))
    assert device.commit()["keep"] == "1"
    shutil.rmtree(device.log / "tree")
    write_artifact(
        device.root / "artifact", module({}, extras=Extras(default_clears=False)), Options(codec=Codec.parse("gzip"))
    )
    modify_artifact(device.root / "artifact", device.root / "artifact", HeadEdit(clears=patterns))
    device.install_written()
    assert "keep" not in device.commit()


# --- whom it is for


def test_another_device_type_is_refused(device: Device) -> None:
    (device.root / "var/lib/mender/device_type").write_text("device_type=another\n")
    write_artifact(device.root / "artifact", module(), Options(codec=Codec.parse("gzip")))
    device.refuses("not compatible with device another")


@pytest.mark.parametrize(
    "extras", [Extras(depends={"a": "1"}), Extras(depends_names=("other",)), Extras(depends_groups=("g",))]
)
def test_what_it_depends_on_must_be_there(device: Device, extras: Extras) -> None:
    write_artifact(device.root / "artifact", module(extras=extras), Options(codec=Codec.parse("gzip")))
    device.refuses("depend")


def test_what_it_depends_on_is_found(device: Device) -> None:
    device.install(module({}, extras=Extras(provides={"a": "1"}, group="g")))
    device.commit()
    shutil.rmtree(device.log / "tree")
    depends = Extras(depends={"a": "1"}, depends_names=("x", "release-1"), depends_groups=("g",))
    device.install(module({}, extras=depends))


# --- signatures


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(("signer", "key"), [(RSA, "rsa3072"), (EC, "ec256")], ids=["RSA", "P-256"])
def test_a_signature_is_verified(device: Device, signer: Any, key: str, codec: str) -> None:
    device.trust(key)
    device.install(module(), codec, signer=signer)
    assert device.files() == FILES


def test_another_key_and_no_signature_are_refused(device: Device) -> None:
    device.trust("rsa2048")
    for signer in (RSA, EC, None):
        write_artifact(device.root / "artifact", module(), Options(codec=Codec.parse("gzip"), signer=signer))
        device.refuses("sign")


CHANGES: dict[str, Callable[[Path], Any]] = {
    "signed": lambda path: sign_artifact(path, path, EC),
    "modified": lambda path: modify_artifact(path, path, HeadEdit(provides={"x": "y"}), signer=EC),
    "recompressed": lambda path: [
        sign_artifact(path, path, EC),
        recompress_artifact(path, path, Options(codec=Codec.parse("xz:1"))),
    ],
    "repaired": lambda path: repair_artifact(path, path, signer=EC),
}


@pytest.mark.parametrize("change", [pytest.param(change, id=name) for name, change in CHANGES.items()])
@pytest.mark.parametrize("codec", CODECS)
def test_what_was_changed_is_installed(device: Device, change: Callable[[Path], Any], codec: str) -> None:
    device.trust("ec256")
    write_artifact(device.root / "artifact", module(), Options(codec=Codec.parse(codec), signer=RSA))
    change(device.root / "artifact")
    device.install_written()
    assert device.files() == FILES


# --- root file systems


@pytest.fixture
def partition(device: Device, tmp_path: Path) -> Iterator[Path]:
    """Give the passive partition, a loop device of a file; the active one needs to be there by name only."""
    if os.geteuid() != 0:
        pytest.skip("loop devices need root")
    content = tmp_path / "partition"
    with content.open("wb") as file:
        file.truncate(8 << 20)
    made = attempt("losetup", "--find", "--show", content)
    if made.returncode:
        pytest.skip(f"no loop device: {made.stderr.strip()}")
    node = made.stdout.strip()
    try:
        os.mknod(device.root / "dev/passive2", 0o60600, Path(node).stat().st_rdev)
        (device.root / "dev/active1").touch()
        device.program("bin/mount", "#!/bin/sh\necho '/dev/active1 on / type ext4 (rw)'\n")
        for key, value in {"mender_boot_part": "1", "upgrade_available": "0"}.items():
            (device.log / "env" / key).write_text(value + "\n")
        device.configure(RootfsPartA="/dev/active1", RootfsPartB="/dev/passive2")
        yield content
    finally:
        call("losetup", "--detach", node)


def rootfs(**more: Any) -> WriteRequest:
    return rootfs_request(data("rootfs.ext4", IMAGE), name="release-1", device_types=["board"], **more)


@pytest.mark.parametrize("codec", CODECS)
def test_a_root_file_system_is_written_to_the_passive_partition(device: Device, partition: Path, codec: str) -> None:
    device.install(rootfs(), codec)
    call("sync", partition)
    assert partition.read_bytes()[: len(IMAGE)] == IMAGE
    environment = device.environment()
    assert (environment["mender_boot_part"], environment["upgrade_available"]) == ("2", "1")


def test_a_committed_root_file_system_is_what_the_device_provides(device: Device, partition: Path) -> None:
    request = rootfs()
    device.install(request)
    provides = device.commit()
    assert provides["rootfs-image.version"] == "release-1"
    assert re.fullmatch("[0-9a-f]{64}", provides["rootfs-image.checksum"])
    assert device.environment()["upgrade_available"] == "0"


def test_a_signed_root_file_system_is_written(device: Device, partition: Path) -> None:
    shutil.copy(KEYS / "ec256.pub", device.root / "etc/mender/key.pem")
    device.configure(RootfsPartA="/dev/active1", RootfsPartB="/dev/passive2", ArtifactVerifyKey="/etc/mender/key.pem")
    device.install(rootfs(), signer=EC)
    call("sync", partition)
    assert partition.read_bytes()[: len(IMAGE)] == IMAGE


# --- what this client does not take


def test_zstd_is_not_for_this_client(device: Device) -> None:
    write_artifact(device.root / "artifact", module(), Options())
    device.refuses("header.tar.zst")
