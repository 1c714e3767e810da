"""The modules deb, rpm and script, with the real dpkg and rpm where they are there."""

import os
import shutil
from pathlib import Path

import pytest
from client_modules import SHIPPED, Workshop
from peers import call

from bistable.client.errors import ModuleError

SPEC = """
Name: greeting
Version: {version}
Release: 1
Summary: A greeting
License: none
BuildArch: noarch
%description
A greeting.
%files
/usr/share/greeting
%install
mkdir -p %{{buildroot}}/usr/share
echo {version} > %{{buildroot}}/usr/share/greeting
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    return root


def shop_of(place: Path, module: str) -> Workshop:
    place.mkdir(exist_ok=True)
    return Workshop(place, SHIPPED / module)


# --- deb


@pytest.fixture
def debian(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a root directory into which dpkg installs; dpkg reads its options from a file in the home directory."""
    if shutil.which("dpkg") is None:
        pytest.skip("the program dpkg is not installed")
    for name in ("var/lib/dpkg/info", "var/lib/dpkg/updates"):
        (root / name).mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    options = [
        f"root={root}",
        f"log={tmp_path}/dpkg.log",
        "force-not-root",
        "force-bad-path",
        "force-script-chrootless",
    ]
    (tmp_path / ".dpkg.cfg").write_text("\n".join(options) + "\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    return root


def deb(place: Path, version: str, conffile: str) -> bytes:
    tree = place / f"greeting-{version}"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "etc").mkdir()
    (tree / "etc/greeting").write_text(conffile)
    (tree / "DEBIAN/conffiles").write_text("/etc/greeting\n")
    (tree / "DEBIAN/control").write_text(
        f"Package: greeting\nVersion: {version}\nArchitecture: all\nMaintainer: A <a@example.com>\nDescription: none\n"
    )
    call("dpkg-deb", "--build", "--root-owner-group", "-Zxz", tree, place / "built.deb")
    return (place / "built.deb").read_bytes()


def installed_deb(root: Path) -> str:
    return call(
        "dpkg-query", f"--admindir={root}/var/lib/dpkg", "-W", "-f", "${Version} ${db:Status-Status}", "greeting"
    )


def test_debian_packages_are_installed_and_upgraded_and_nobody_is_asked(debian: Path, tmp_path: Path) -> None:
    shop = shop_of(tmp_path / "device", "deb")
    shop.download({"-greeting_1.deb": deb(tmp_path, "1", "of version 1\n")})
    assert not shop.payload().supports_rollback()
    for _ in range(2):
        shop.payload().install()
        assert installed_deb(debian) == "1 installed"
    (debian / "etc/greeting").write_text("changed on the device\n")
    shop.payload().cleanup()
    shop.download({"greeting_2.deb": deb(tmp_path, "2", "of version 2\n")})
    shop.payload().install()
    assert installed_deb(debian) == "2 installed"
    assert (debian / "etc/greeting").read_text() == "changed on the device\n"


def test_a_broken_debian_package_is_an_error(debian: Path, tmp_path: Path) -> None:
    shop = shop_of(tmp_path / "device", "deb")
    shop.download({"a.deb": b"not a package"})
    with pytest.raises(ModuleError) as caught:
        shop.payload().install()
    assert "a.deb" in (caught.value.hint or "")


@pytest.mark.parametrize("module", ["deb", "rpm"])
def test_a_payload_without_packages_is_an_error(tmp_path: Path, module: str) -> None:
    if shutil.which({"deb": "dpkg"}.get(module, module)) is None:
        pytest.skip(f"the program for {module} is not installed")
    shop = shop_of(tmp_path / "device", module)
    shop.download({"readme.txt": b""})
    with pytest.raises(ModuleError) as caught:
        shop.payload().install()
    assert f"the payload has no *.{module}" in (caught.value.hint or "")


@pytest.mark.parametrize(("module", "program"), [("deb", "dpkg"), ("rpm", "rpm"), ("docker", "docker")])
def test_a_module_whose_program_is_missing_says_so_before_anything_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, program: str
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(ModuleError) as caught:
        shop_of(tmp_path / "device", module).download({})
    assert f"{program} is not installed" in (caught.value.hint or "")


# --- rpm


@pytest.fixture
def red_hat(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a root directory into which rpm installs: the real one, by way of a program that says where."""
    program = shutil.which("rpm")
    if program is None or shutil.which("rpmbuild") is None:
        pytest.skip("the program rpm is not installed")
    if os.geteuid() != 0:
        pytest.skip("rpm changes its root, which needs root")
    programs = tmp_path / "programs"
    programs.mkdir()
    # On Debian rpm wants to be told that this is not the system's own package manager.
    text = f"""#!/bin/sh
[ "$1" != --upgrade ] || set -- "$@" --nodeps
exec {program} --root "{root}" --force-debian "$@"
"""
    (programs / "rpm").write_text(text)
    (programs / "rpm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return root


def rpm(place: Path, version: str) -> bytes:
    (place / "greeting.spec").write_text(SPEC.format(version=version))
    call("rpmbuild", "-bb", "--nodeps", "--define", f"_topdir {place}/build", place / "greeting.spec")
    return next((place / "build/RPMS").rglob(f"*-{version}-*.rpm")).read_bytes()


def test_rpm_packages_are_installed_upgraded_and_downgraded(red_hat: Path, tmp_path: Path) -> None:
    shop = shop_of(tmp_path / "device", "rpm")
    for version in ("1", "2", "1"):
        shop.download({f"greeting-{version}.rpm": rpm(tmp_path, version)})
        assert not shop.payload().supports_rollback()
        for _ in range(2):
            shop.payload().install()
            assert call("rpm", "-q", "--qf", "%{VERSION}", "greeting") == version
            assert (red_hat / "usr/share/greeting").read_text() == f"{version}\n"
        shop.payload().cleanup()


def test_a_broken_rpm_package_is_an_error(red_hat: Path, tmp_path: Path) -> None:
    shop = shop_of(tmp_path / "device", "rpm")
    shop.download({"a.rpm": b"not a package"})
    with pytest.raises(ModuleError, match="ArtifactInstall"):
        shop.payload().install()


# --- script


def program(line: str) -> bytes:
    return f"#!/bin/sh\n{line}\n".encode()


def test_programs_run_in_the_order_of_their_names(tmp_path: Path) -> None:
    shop = shop_of(tmp_path / "device", "script")
    log = tmp_path / "said"
    shop.download(
        {"b": program(f"echo b >> {log}"), "a": program(f"echo a >> {log}"), "-c": program(f"echo c >> {log}")}
    )
    shop.payload().install()
    assert log.read_text().split() == ["c", "a", "b"]
    assert not shop.payload().supports_rollback()


def test_a_program_that_fails_ends_the_installation_and_its_status_is_told(tmp_path: Path) -> None:
    shop = shop_of(tmp_path / "device", "script")
    shop.download({"a": program("exit 42"), "b": program(f": > {tmp_path}/b")})
    with pytest.raises(ModuleError, match="exit status 42") as caught:
        shop.payload().install()
    assert caught.value.hint == "script: a ended with exit status 42"
    assert not (tmp_path / "b").exists()


def test_after_a_power_cut_the_programs_that_ended_well_are_not_run_again(tmp_path: Path) -> None:
    shop = shop_of(tmp_path / "device", "script")
    log = tmp_path / "said"
    cut = f"echo b >> {log}; [ -e {tmp_path}/cut ] || {{ : > {tmp_path}/cut; kill -KILL $PPID; exit 1; }}"
    shop.download({"a": program(f"echo a >> {log}"), "b": program(cut), "c": program(f"echo c >> {log}")})
    with pytest.raises(ModuleError, match="SIGKILL"):
        shop.payload().install()
    shop.payload().install()
    assert log.read_text().split() == ["a", "b", "b", "c"]


def test_a_payload_of_no_programs_is_nothing_to_do(tmp_path: Path) -> None:
    shop = shop_of(tmp_path / "device", "script")
    shop.download({})
    shop.payload().install()


# --- all


def test_the_modules_are_clean_shell() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("the program shellcheck is not installed")
    call("shellcheck", *(path for path in SHIPPED.iterdir() if not path.is_symlink()))


@pytest.mark.parametrize("path", sorted(SHIPPED.iterdir()), ids=lambda path: path.name)
def test_unknown_calls_print_nothing_and_succeed(path: Path, tmp_path: Path) -> None:
    assert os.access(path, os.X_OK)
    for name in ("files", "header", "tmp"):
        (tmp_path / name).mkdir()
    for unknown in ("ProvidePayloadFileSizes", "SupportsAugmentedArtifacts", "ArtifactCommit", "Cleanup", "Whatever"):
        assert call(path, unknown, tmp_path) == ""
