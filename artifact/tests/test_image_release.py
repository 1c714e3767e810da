"""What a root file system says of itself, and which packages are installed in it, is read out of its image."""

from pathlib import Path

import pytest
from image_samples import EXT4_TOOLS, needs

from bistable.artifact.errors import LimitError, RejectedError, UnsupportedError
from bistable.artifact.image import (
    ImageKind,
    ImageOptions,
    Package,
    installed_packages,
    make_image,
    read_release,
)

pytestmark = EXT4_TOOLS

DPKG = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Version: 2.36-9+deb12u4
Description: GNU C Library: Shared libraries
 Contains the standard libraries.
 Package: not-a-package

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0

Package: held
Status: hold ok installed
Version: 2:1.0~rc1
Architecture: all
"""
OPKG = """\
Package: busybox
Version: 1.36.1-r0
Status: install user installed
Architecture: cortexa53
License: GPL-2.0-only & bzip2-1.0.4
Installed-Time: 1700000000

Package: half
Version: 1
Status: install user unpacked
Architecture: all
"""
APK = """\
C:Q1abc=
P:musl
V:1.2.4-r2
A:x86_64
L:MIT
F:lib
R:ld-musl-x86_64.so.1

P:busybox
V:1.36.1-r5
A:x86_64
L:GPL-2.0-only
"""


def build(tmp_path: Path, files: dict[str, str], kind: ImageKind = ImageKind.EXT4) -> Path:
    top = tmp_path / "top"
    for name, text in {"etc/hostname": "x\n", **files}.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)
    return make_image(top, tmp_path / "image", ImageOptions(kind=kind)).path


def test_the_release_is_read_with_shell_quotes_and_comments(tmp_path: Path) -> None:
    image = build(
        tmp_path,
        {"etc/os-release": '# comment\nID=poky\nPRETTY_NAME="Poky \\"5.0\\""\nVERSION=\'a b\'\nODD="open\nnothing\n'},
    )
    assert dict(read_release(image).os_release) == {
        "ID": "poky",
        "PRETTY_NAME": 'Poky "5.0"',
        "VERSION": "a b",
        "ODD": '"open',
    }


def test_the_release_is_found_through_its_usual_link(tmp_path: Path) -> None:
    (tmp_path / "top/etc").mkdir(parents=True)
    (tmp_path / "top/etc/os-release").symlink_to("../usr/lib/os-release")
    assert read_release(build(tmp_path, {"usr/lib/os-release": "ID=debian\n"})).os_release["ID"] == "debian"


def test_the_artifact_name_is_what_the_image_was_built_with(tmp_path: Path) -> None:
    image = build(tmp_path, {"etc/mender/artifact_info": "artifact_name=release-7\nartifact_group=lab\n"})
    release = read_release(image)
    assert release.artifact_name == "release-7"
    assert release.artifact_info["artifact_group"] == "lab"


def test_what_is_missing_is_told_as_missing(tmp_path: Path) -> None:
    release = read_release(build(tmp_path, {}))
    assert not release.os_release
    assert release.artifact_name is None
    assert not release.has_client_configuration
    assert release.package_database is None


def test_the_clients_configuration_is_seen(tmp_path: Path) -> None:
    assert read_release(build(tmp_path, {"etc/mender/mender.conf": "{}"})).has_client_configuration


@pytest.mark.parametrize(
    ("manager", "path"),
    [
        ("dpkg", "var/lib/dpkg/status"),
        ("opkg", "var/lib/opkg/status"),
        ("opkg", "usr/lib/opkg/status"),
        ("apk", "lib/apk/db/installed"),
        ("rpm", "var/lib/rpm/rpmdb.sqlite"),
        ("rpm", "usr/lib/sysimage/rpm/Packages.db"),
    ],
)
def test_the_package_manager_is_known_by_its_database(manager: str, path: str, tmp_path: Path) -> None:
    assert read_release(build(tmp_path, {path: "x"})).package_database == manager


def test_an_unreasonably_long_release_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LimitError):
        read_release(build(tmp_path, {"etc/os-release": "A=b\n" * 20_000}))


def test_installed_packages_of_dpkg_are_listed(tmp_path: Path) -> None:
    assert installed_packages(build(tmp_path, {"var/lib/dpkg/status": DPKG})) == (
        Package(name="held", version="2:1.0~rc1", architecture="all"),
        Package(name="libc6", version="2.36-9+deb12u4", architecture="amd64"),
    )


def test_installed_packages_of_opkg_are_listed_with_their_licences(tmp_path: Path) -> None:
    assert installed_packages(build(tmp_path, {"var/lib/opkg/status": OPKG})) == (
        Package(name="busybox", version="1.36.1-r0", architecture="cortexa53", license="GPL-2.0-only & bzip2-1.0.4"),
    )


def test_installed_packages_of_apk_are_listed_with_their_licences(tmp_path: Path) -> None:
    assert installed_packages(build(tmp_path, {"lib/apk/db/installed": APK})) == (
        Package(name="busybox", version="1.36.1-r5", architecture="x86_64", license="GPL-2.0-only"),
        Package(name="musl", version="1.2.4-r2", architecture="x86_64", license="MIT"),
    )


@needs("sqfstar", "unsquashfs")
def test_a_squashfs_image_is_read_the_same_way(tmp_path: Path) -> None:
    image = build(tmp_path, {"lib/apk/db/installed": APK, "etc/os-release": "ID=alpine\n"}, ImageKind.SQUASHFS)
    assert len(installed_packages(image)) == 2
    assert read_release(image).os_release["ID"] == "alpine"


def test_no_database_means_no_packages(tmp_path: Path) -> None:
    assert installed_packages(build(tmp_path, {})) == ()


def test_the_database_of_rpm_is_refused_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="rpm") as caught:
        installed_packages(build(tmp_path, {"var/lib/rpm/rpmdb.sqlite": "x"}))
    assert caught.value.hint is not None


def test_a_database_in_which_lines_cross_the_pieces_it_is_read_in_is_whole(tmp_path: Path) -> None:
    text = "".join(f"Package: p{number:06}\nStatus: install ok installed\nVersion: 1\n\n" for number in range(40_000))
    assert len(text) > 2 << 20
    assert len(installed_packages(build(tmp_path, {"var/lib/dpkg/status": text}))) == 40_000


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("var/lib/dpkg/status", DPKG + "\nno field\n"),
        ("var/lib/dpkg/status", DPKG + "\nStatus: install ok installed\nVersion: 1\n"),
        ("lib/apk/db/installed", APK + "\nP:zlib\nA:x86_64\n"),
    ],
)
def test_a_damaged_list_is_refused_rather_than_listed_in_part(path: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(RejectedError, match="cannot read the package list") as caught:
        installed_packages(build(tmp_path, {path: text}))
    assert caught.value.rule == "image.packages"


def test_small_letters_mean_other_fields_to_apk(tmp_path: Path) -> None:
    text = APK.replace("L:MIT", "L:MIT\np:so:libc.musl-x86_64.so.1=1\na:Q1def=")
    assert installed_packages(build(tmp_path, {"lib/apk/db/installed": text}))[1].name == "musl"


def test_a_line_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LimitError):
        installed_packages(build(tmp_path, {"var/lib/dpkg/status": "Package: " + "x" * (3 << 20)}))
