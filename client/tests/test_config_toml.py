"""The client's own configuration files."""

import os
from contextlib import suppress
from pathlib import Path

import pytest
from client_config import Etc
from hypothesis import given
from hypothesis import strategies as st

from bistable.client.config import BootBackend, ConfigPaths, LogLevel, Settings, load, only
from bistable.client.config.kinds import BOOT_BACKEND, shown
from bistable.client.config.load import _line
from bistable.client.errors import ConfigError


@pytest.fixture
def etc(tmp_path: Path) -> Etc:
    return Etc(tmp_path)


def refused(etc: Etc) -> str:
    with pytest.raises(ConfigError) as caught:
        etc.load()
    return str(caught.value)


def test_without_any_file_everything_is_as_declared(etc: Etc) -> None:
    loaded = etc.load()
    assert (loaded.settings, loaded.warnings, loaded.ignored, loaded.origins) == (Settings(), (), (), {})


def test_without_any_directory_everything_is_as_declared(tmp_path: Path) -> None:
    none = tmp_path / "none" / "none"
    assert load(ConfigPaths(own=none, drop_ins=none, mender=none, mender_fallback=none)).settings == Settings()


def test_values_are_typed(etc: Etc) -> None:
    etc.own(
        """
        [slots]
        a = "/dev/mmcblk0p2"
        b = "ubi0_1"
        [boot]
        backend = "custom"
        handler = "/usr/bin/handler"
        [trust]
        verify-keys = ["/a", "/b", "/a"]
        [install]
        skip-identical = false
        [health]
        deadline = 20
        units = ["a.service"]
        [log]
        level = "debug"
        """
    )
    settings = etc.settings
    assert (settings.slots.a, settings.slots.b) == (Path("/dev/mmcblk0p2"), Path("/dev/ubi0_1"))
    assert (settings.boot.backend, settings.boot.handler) == (BootBackend.CUSTOM, "/usr/bin/handler")
    assert settings.trust.verify_keys == (Path("/a"), Path("/b"))
    assert settings.install.skip_identical is False
    assert (settings.health.deadline, settings.health.units) == (20, ("a.service",))
    assert settings.log.level is LogLevel.DEBUG


def test_later_files_go_over_earlier_ones_key_by_key(etc: Etc) -> None:
    etc.fallback(UpdatePollIntervalSeconds=1, RetryDownloadCount=1, ModuleTimeoutSeconds=1, StateScriptTimeoutSeconds=1)
    etc.mender(RetryDownloadCount=2, ModuleTimeoutSeconds=2, StateScriptTimeoutSeconds=2)
    etc.own("[modules]\ntimeout = 3\n[scripts]\ntimeout = 3\n")
    etc.drop_in("10-a.toml", "[scripts]\ntimeout = 4\n").drop_in("9-b.toml", "[scripts]\ntimeout = 5\n")
    loaded = etc.load()
    settings = loaded.settings
    assert settings.server.poll_interval == 1
    assert settings.fetch.retries == 2
    assert settings.modules.timeout == 3
    assert settings.scripts.timeout == 5
    assert {name: str(origin) for name, origin in loaded.origins.items()} == {
        "server.poll-interval": f"{etc.paths.mender_fallback}:2",
        "fetch.retries": f"{etc.paths.mender}:2",
        "modules.timeout": f"{etc.paths.own}:2",
        "scripts.timeout": f"{etc.paths.drop_ins}/9-b.toml:2",
    }


def test_a_list_takes_the_place_of_an_earlier_list(etc: Etc) -> None:
    etc.mender(ArtifactVerifyKey="/old").own('[trust]\nverify-keys = ["/new"]')
    assert etc.settings.trust.verify_keys == (Path("/new"),)


def test_only_visible_toml_files_are_drop_ins(etc: Etc) -> None:
    wrong = "[log]\nlevel = 7"
    etc.drop_in("README", wrong).drop_in(".a.toml", wrong).drop_in("a.toml~", wrong).drop_in("a.toml.sample", wrong)
    assert etc.settings == Settings()


def test_a_file_named_by_hand_is_read_alone_in_the_form_that_its_name_says(etc: Etc, tmp_path: Path) -> None:
    for name, text in (("own.toml", '[slots]\na = "/dev/x"'), ("other.conf", '{"RootfsPartA": "/dev/x"}')):
        (tmp_path / name).write_text(text)
        assert load(only(tmp_path / name)).settings.slots.a == Path("/dev/x")


# --- what is warned about


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("[install]\nskip-identicl = true", "[install] skip-identicl is not known; did you mean 'skip-identical'?"),
        (
            "[install]\nskip_identical = true",
            "[install] skip_identical is not known; did you mean 'skip-identical'?",
        ),
        ("[install]\nzzz = true", "[install] zzz is not known"),
        ("[instal]\nskip-identical = true", "the table [instal] is not known; did you mean 'install'?"),
        ("level = 'info'", "the key 'level' outside any table is not known"),
    ],
)
def test_what_is_not_known_is_warned_about_by_name(etc: Etc, text: str, warning: str) -> None:
    etc.drop_in("50-x.toml", text)
    assert etc.load().warnings == (f"{etc.paths.drop_ins}/50-x.toml: {warning}",)
    assert etc.settings == Settings()


# --- what is refused


@pytest.mark.parametrize(
    ("table", "line", "why"),
    [
        ("install", "skip-identical = 'yes'", "must be true or false, not 'yes'"),
        ("install", "skip-identical = 1", "must be true or false, not 1"),
        ("boot", "tries = 0", "must be a whole number, from 1 to 9, not 0"),
        ("boot", "tries = 1.5", "must be a whole number, from 1 to 9, not 1.5"),
        ("boot", "tries = true", "must be a whole number, from 1 to 9, not True"),
        ("fetch", "retries = 10001", "must be a whole number, from 1 to 10000, not 10001"),
        ("health", "deadline = -1", "must be whole seconds, 1 or more, not -1"),
        ("health", "deadline = '5 min'", "must be whole seconds, 1 or more, not '5 min'"),
        ("health", "units = 'a.service'", "must be a list of texts, not 'a.service'"),
        ("device", "data-dir = 'data'", "must be an absolute path, not 'data'"),
        ("device", "data-dir = ''", "must be an absolute path, not ''"),
        ("trust", "verify-keys = ['/a', 'b']", "must be a list of absolute paths, not ['/a', 'b']"),
        ("slots", "a = 'dev/x'", "must be the path of a device, not 'dev/x'"),
        ("boot", "handler = './x'", "must be a program: its name or its absolute path, not './x'"),
        ("boot", "backend = 'lilo'", f"must be {BOOT_BACKEND.form}, not 'lilo'"),
        ("fetch", "client-key = 'key'", "must be the absolute path of a key, or a pkcs11: URI, not 'key'"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_file_and_key(etc: Etc, table: str, line: str, why: str) -> None:
    etc.drop_in("10-x.toml", f"[{table}]\n{line}\n")
    key = line.partition(" ")[0]
    with pytest.raises(ConfigError) as caught:
        etc.load()
    assert str(caught.value) == f"cannot use {etc.paths.drop_ins}/10-x.toml: [{table}] {key} {why}"
    assert str(caught.value.where) == f"{etc.paths.drop_ins}/10-x.toml, line 2"


@pytest.mark.parametrize("url", ["ftp://x", "https://", "x", "https://a b", "https://x:port", "https://[::1", 7])
def test_an_address_that_is_none_is_refused_and_not_shown(etc: Etc, url: str | int) -> None:
    etc.own(f"[server]\nurls = [{url!r}]")
    message = refused(etc)
    assert message == (
        f"cannot use {etc.paths.own}: [server] urls must be a list of addresses, such as https://updates.example.com"
    )


def test_a_secret_stands_in_no_message_and_in_no_value_that_is_shown(etc: Etc) -> None:
    etc.own("[server]\ntenant-token = 'hidden'\nurls = ['https://me:hidden@']")
    assert "hidden" not in refused(etc)
    etc.own("[server]\ntenant-token = ['hidden']")
    assert refused(etc).endswith("[server] tenant-token must be a text that is not empty")
    etc.own("[server]\ntenant-token = 'hidden'")
    token = etc.settings.server.tenant_token
    assert token is not None
    assert token.value == "hidden"
    assert "hidden" not in repr(etc.load()) + str(token) + f"{token}" + shown(token) + shown(("https://me:hidden@x",))


@pytest.mark.parametrize("text", ["[install", "a = ", "[log]\nlevel = 'a'\nlevel = 'b'", "x = " + "[" * 5000])
def test_what_is_no_toml_is_refused(etc: Etc, text: str) -> None:
    etc.own(text)
    assert refused(etc).startswith(f"cannot use {etc.paths.own}: not valid TOML")


def test_a_table_that_is_none_is_refused(etc: Etc) -> None:
    etc.own("install = 5")
    assert refused(etc) == f"cannot use {etc.paths.own}: install must be a table"


def test_bytes_that_are_no_text_are_refused(etc: Etc) -> None:
    etc.paths.own.write_bytes(b"# \xff")
    assert refused(etc) == f"cannot use {etc.paths.own}: it is not UTF-8 text (byte 2)"


def test_a_file_that_is_far_too_large_is_refused(etc: Etc) -> None:
    etc.own("#" * (1 << 20) + "#")
    assert "more than 1048576 bytes" in refused(etc)


def test_what_cannot_be_read_is_refused(etc: Etc) -> None:
    etc.paths.own.mkdir()
    assert refused(etc) == f"cannot read {etc.paths.own}: Is a directory"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_not_passed_over(etc: Etc) -> None:
    etc.own("").paths.own.chmod(0)
    assert refused(etc) == f"cannot read {etc.paths.own}: Permission denied"


def test_two_slots_on_one_partition_are_refused(etc: Etc) -> None:
    etc.mender(RootfsPartA="/dev/x").own('[slots]\nb = "/dev/x"')
    assert refused(etc) == f"cannot use {etc.paths.own}: RootfsPartA and [slots] b are the same"


# --- lines


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[a]\nx = 1\n[b]\nx = 2", 4),
        ("[b]\nx = 2\n[c]\nx = 1", 2),
        ("# x = 1\n\n [ b ]\n\n  x=2", 5),
        ("b.x = 2", 1),
        ("b = {x = 2}", None),
    ],
)
def test_the_line_of_a_key_is_found(text: str, line: int | None) -> None:
    assert _line(text, "b", "x") == line


@given(st.text(max_size=200))
def test_no_text_makes_the_parser_fail_otherwise(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    etc = Etc(tmp_path_factory.mktemp("etc"))
    etc.paths.own.write_text(text, errors="replace")
    with suppress(ConfigError):
        etc.load()
