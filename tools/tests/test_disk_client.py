"""The client in a root file system is complete, starts, and is what it is told to be."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from disk_samples import small_root

from bistable.artifact.errors import RequestError
from bistable.client.version import VERSION
from bistable.tools.boot.plan import Loader
from bistable.tools.disk.client import (
    Configuration,
    Start,
    client_source,
    install_client,
    look_for_packages,
    put_configuration,
)
from bistable.tools.disk.client.requirements import requirements
from bistable.tools.disk.tree import FolderTree

SOURCES = Path(__file__).resolve().parents[2]
KEYS = SOURCES / "artifact" / "tests" / "vectors" / "keys"
PACKAGES = "usr/lib/python3/dist-packages"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    top = small_root(tmp_path / "root")
    (top / PACKAGES).mkdir(parents=True)
    return top


def installed(packages: str) -> bytes:
    return "".join(
        f"Package: {name}\nStatus: install ok installed\nVersion: {version}\nArchitecture: all\n\n"
        for name, _, version in (item.partition("=") for item in packages.split())
    ).encode()


RUN = """
import sys
root, packages = sys.argv[1:]
sys.path[:0] = [packages]
sys.argv[1:] = ["--version"]
exec(open(root + "/usr/bin/bistablectl").read())
"""


def test_the_client_runs_from_where_it_was_put(root: Path) -> None:
    install_client(root)
    # Without site-packages: on a device there is nothing of how this computer has installed it.
    command = [sys.executable, "-I", "-S", "-c", RUN, str(root), str(root / PACKAGES)]
    assert VERSION in subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_nothing_of_the_client_asks_for_a_package_that_was_never_installed() -> None:
    asking = [path for path, content in client_source().code.items() if b"importlib.metadata" in content]
    assert [path for path in asking if path.parts[1] == "client"] == []


def test_units_modules_and_policies_are_where_the_distribution_looks(root: Path) -> None:
    install_client(root)
    for path in (
        "usr/lib/systemd/system/bistabled.service",
        "usr/lib/systemd/system/bistable-recover.service",
        "usr/lib/tmpfiles.d/bistable.conf",
        "usr/share/dbus-1/system.d/io.bistable.Updates1.conf",
        "usr/share/polkit-1/actions/io.bistable.updates.policy",
        "etc/bistable/conf.d/all-settings.toml.sample",
    ):
        assert (root / path).stat().st_mode & 0o777 == 0o644
    for path in (
        "usr/bin/bistabled",
        "usr/share/bistable/modules/v3/script",
        "usr/share/bistable/identity/device-identity",
    ):
        assert (root / path).stat().st_mode & 0o777 == 0o755
    assert not (root / "usr/share/dbus-1/system.d/io.mender.UpdateManager.conf").exists()
    assert (root / "etc/bistable/keys").is_dir()


def test_nothing_of_the_host_tools_or_of_caches_is_put(root: Path) -> None:
    install_client(root)
    names = {path.relative_to(root / PACKAGES).parts[1] for path in (root / PACKAGES).rglob("*.py")}
    assert names == {"artifact", "client"}
    assert [path for path in root.rglob("*") if path.name == "__pycache__" or path.suffix == ".pyc"] == []
    assert not (root / PACKAGES / "bistable" / "__init__.py").exists()


@pytest.mark.parametrize(
    ("start", "link"),
    [
        (Start.SERVICE, "multi-user.target.wants/bistabled.service"),
        (Start.TIMER, "timers.target.wants/bistable-once.timer"),
        (Start.BY_HAND, "multi-user.target.wants/bistable-recover.service"),
    ],
)
def test_exactly_the_unit_that_is_wanted_is_enabled(root: Path, start: Start, link: str) -> None:
    install_client(root, start=start)
    wants = root / "etc/systemd/system"
    assert [str(path.relative_to(wants)) for path in wants.rglob("*") if path.is_symlink()] == [link]
    target = (wants / link).readlink()
    assert (root / str(target).lstrip("/")).is_file()


def test_installing_it_again_changes_nothing(root: Path) -> None:
    install_client(root)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    install_client(root)
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def test_a_root_without_python_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no Python 3"):
        install_client(small_root(tmp_path / "root"))


def test_other_distributions_keep_packages_elsewhere(tmp_path: Path) -> None:
    top = small_root(tmp_path / "root")
    (top / "usr/lib/python3.12/site-packages").mkdir(parents=True)
    install_client(top)
    assert (top / "usr/lib/python3.12/site-packages/bistable/client/ctl/__init__.py").exists()


def test_a_folder_with_the_sources_gives_the_same_as_this_installation() -> None:
    assert client_source(SOURCES).code == client_source().code
    assert client_source(SOURCES).files == client_source().files


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / f"bistable-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in client_source().code.items():
            archive.writestr(str(name), content)
        archive.writestr("bistable/tools/disk/__init__.py", b"")
        archive.writestr(f"bistable-{VERSION}.dist-info/METADATA", b"")
    return path


def test_a_wheel_gives_the_client_without_the_tools(wheel: Path) -> None:
    assert client_source(wheel).code == client_source().code
    assert client_source(wheel).files == client_source().files


def test_a_wheel_may_bring_its_own_units(wheel: Path) -> None:
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr(f"bistable-{VERSION}.data/data/share/bistable/dist/systemd/x.service", b"unit")
    assert {str(path): content for path, content in client_source(wheel).files.items()} == {
        "systemd/x.service": b"unit"
    }


def test_a_wheel_of_another_version_needs_its_own_units(wheel: Path) -> None:
    other = wheel.rename(wheel.with_name("bistable-9.9-py3-none-any.whl"))
    with pytest.raises(RequestError, match="units and modules are not in it"):
        client_source(other)


@pytest.mark.parametrize("name", ["absent", "empty", "noise.whl", "other.whl"])
def test_what_is_no_client_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "noise.whl").write_bytes(b"noise")
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as archive:
        archive.writestr("other.py", b"")
    with pytest.raises(RequestError):
        client_source(tmp_path / name)


# --- what is said to it


def test_keys_servers_and_the_name_are_said_in_files_of_their_own(root: Path) -> None:
    wanted = Configuration(
        artifact_name="demo-2", verify_keys=(KEYS / "ec256.pub",), servers=('https://x.example/"odd"',)
    )
    put_configuration(FolderTree(root), wanted)
    assert (root / "etc/mender/artifact_info").read_text() == "artifact_name=demo-2\n"
    assert (root / "etc/bistable/keys/ec256.pub").read_bytes() == (KEYS / "ec256.pub").read_bytes()
    trust = tomllib.loads((root / "etc/bistable/conf.d/20-keys.toml").read_text())
    assert trust == {"trust": {"verify-keys": ["/etc/bistable/keys/ec256.pub"]}}
    server = tomllib.loads((root / "etc/bistable/conf.d/60-server.toml").read_text())
    assert server == {"server": {"urls": ['https://x.example/"odd"']}}


def test_what_is_not_said_leaves_no_file(root: Path) -> None:
    before = sorted(root.rglob("*"))
    put_configuration(FolderTree(root), Configuration())
    assert sorted(root.rglob("*")) == before


# --- what it needs


def test_look_for_packages_are_told_with_what_they_are_for(root: Path) -> None:
    (root / "var/lib/dpkg").mkdir(parents=True)
    (root / "var/lib/dpkg/status").write_bytes(installed("python3=3.11.2-1+b1 python3-cryptography=38"))
    needed = requirements(Loader.UBOOT, Start.SERVICE)
    found = look_for_packages(FolderTree(root), needed)
    assert [item.package for item in found.missing] == ["python3-zstandard", "libubootenv-tool", "python3-dbus-fast"]
    assert all(item.reason for item in found.missing)
    assert found.older == ("python3-cryptography is 38; the client is tested with 42 and later",)


def test_only_u_boot_needs_its_tools_and_only_the_service_the_bus() -> None:
    needed = {item.package for item in requirements(Loader.GRUB, Start.BY_HAND)}
    assert needed == {"python3", "python3-cryptography", "python3-zstandard"}


def test_a_python_that_is_too_old_is_refused(root: Path) -> None:
    (root / "var/lib/dpkg").mkdir(parents=True)
    (root / "var/lib/dpkg/status").write_bytes(installed("python3=3.9.2-3"))
    with pytest.raises(RequestError, match=r"is 3\.9"):
        look_for_packages(FolderTree(root), requirements(Loader.GRUB, Start.SERVICE))


def test_a_system_without_a_package_database_is_refused(root: Path) -> None:
    with pytest.raises(RequestError, match="cannot tell what is installed"):
        look_for_packages(FolderTree(root), requirements(Loader.GRUB, Start.SERVICE))
