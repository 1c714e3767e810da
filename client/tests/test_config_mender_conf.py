"""mender.conf is read as the Mender client reads it."""

import json
from pathlib import Path
from typing import Any

import pytest
from client_config import Etc

from bistable.client.config import LogLevel, Settings
from bistable.client.config.menderconf import IGNORED, KEYS
from bistable.client.errors import ConfigError

WHOLE: dict[str, Any] = {
    "ArtifactVerifyKeys": ["/keys/1", "/keys/2"],
    "BootUtilitiesGetNextActivePart": "my-printenv",
    "BootUtilitiesSetActivePart": "/usr/bin/my-setenv",
    "DaemonLogLevel": "warning",
    "DeviceTypeFile": "/data/type",
    "HttpsClient": {"Certificate": "/c.pem", "Key": "/k.pem"},
    "InventoryPollIntervalSeconds": 11,
    "ModuleTimeoutSeconds": 12,
    "RetryDownloadCount": 13,
    "RetryPollCount": 14,
    "RetryPollIntervalSeconds": 15,
    "RootfsPartA": "/dev/a",
    "RootfsPartB": "/dev/b",
    "Security": {"AuthPrivateKey": "pkcs11:object=key"},
    "ServerCertificate": "/ca.pem",
    "Servers": [{"ServerURL": "https://one/"}, {"ServerURL": "https://two"}],
    "SkipVerify": True,
    "StateScriptRetryIntervalSeconds": 16,
    "StateScriptRetryTimeoutSeconds": 17,
    "StateScriptTimeoutSeconds": 18,
    "TenantToken": "token",
    "UpdateControlMapBootExpirationTimeSeconds": 19,
    "UpdateControlMapExpirationTimeSeconds": 20,
    "UpdateLogPath": "/data/logs",
    "UpdatePollIntervalSeconds": 21,
}
"""Every key that means something, with a value that is not the default."""


@pytest.fixture
def etc(tmp_path: Path) -> Etc:
    return Etc(tmp_path)


def refused(etc: Etc) -> str:
    with pytest.raises(ConfigError) as caught:
        etc.load()
    return str(caught.value)


def test_every_key_is_read(etc: Etc) -> None:
    etc.mender(**WHOLE)
    loaded = etc.load()
    assert (loaded.warnings, loaded.ignored) == ((), ())
    settings = loaded.settings
    assert settings.trust.verify_keys == (Path("/keys/1"), Path("/keys/2"))
    assert (settings.boot.printenv, settings.boot.setenv) == ("my-printenv", "/usr/bin/my-setenv")
    assert settings.log.level is LogLevel.WARNING
    assert settings.device.device_type_file == Path("/data/type")
    assert (settings.slots.a, settings.slots.b) == (Path("/dev/a"), Path("/dev/b"))
    fetch = settings.fetch
    assert (fetch.client_certificate, fetch.client_key, fetch.ca_file) == (
        Path("/c.pem"),
        Path("/k.pem"),
        Path("/ca.pem"),
    )
    assert (fetch.retries, fetch.skip_verify) == (13, True)
    assert settings.modules.timeout == 12
    assert (settings.scripts.retry_interval, settings.scripts.retry_timeout, settings.scripts.timeout) == (16, 17, 18)
    server = settings.server
    assert (server.inventory_interval, server.retry_count, server.retry_interval, server.poll_interval) == (
        11,
        14,
        15,
        21,
    )
    assert (server.map_boot_expiration, server.map_expiration) == (19, 20)
    assert (server.urls, server.auth_key) == (("https://one", "https://two"), Path("pkcs11:object=key"))
    assert (server.log_dir, server.tenant_token and server.tenant_token.value) == (Path("/data/logs"), "token")


def test_the_list_of_keys_above_is_whole() -> None:
    names = {f"{key}.{inner}" for key in ("HttpsClient", "Security") for inner in WHOLE[key]}
    exclusive = {"ServerURL", "ArtifactVerifyKey"}
    assert names | WHOLE.keys() - {"HttpsClient", "Security"} | exclusive == KEYS.keys()


def test_single_forms_are_read(etc: Etc) -> None:
    etc.mender(ServerURL="https://one/", ArtifactVerifyKey="/key")
    assert (etc.settings.server.urls, etc.settings.trust.verify_keys) == (("https://one",), (Path("/key"),))


@pytest.mark.parametrize("empty", [{"ServerURL": "", "SkipVerify": False, "UpdatePollIntervalSeconds": 0}, {}])
def test_zero_and_empty_mean_that_nothing_is_said(etc: Etc, empty: dict[str, Any]) -> None:
    etc.mender(**empty, RootfsPartA=None, Servers=[], ArtifactVerifyKey="", ArtifactVerifyKeys=[])
    assert etc.settings == Settings()


def test_the_main_file_goes_over_the_fallback_key_by_key_inside_objects_too(etc: Etc) -> None:
    etc.fallback(RootfsPartA="/dev/1", RootfsPartB="/dev/2", HttpsClient={"Certificate": "/c1", "Key": "/k1"})
    etc.mender(RootfsPartB="/dev/3", HttpsClient={"Key": "/k2"})
    settings = etc.settings
    assert (settings.slots.a, settings.slots.b) == (Path("/dev/1"), Path("/dev/3"))
    assert (settings.fetch.client_certificate, settings.fetch.client_key) == (Path("/c1"), Path("/k2"))


def test_an_empty_value_in_the_main_file_takes_the_fallbacks_away(etc: Etc) -> None:
    etc.fallback(ServerCertificate="/ca").mender(ServerCertificate="")
    assert etc.settings.fetch.ca_file is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"ServerURL": "https://one"}, {"Servers": [{"ServerURL": "https://two"}]}),
        ({"ArtifactVerifyKey": "/one"}, {"ArtifactVerifyKeys": ["/two"]}),
    ],
)
def test_two_forms_of_one_thing_are_refused_in_one_file_and_the_main_files_counts(
    etc: Etc, one: dict[str, Any], other: dict[str, Any]
) -> None:
    etc.mender(**one, **other)
    assert refused(etc) == f"cannot use {etc.paths.mender}: it has both {next(iter(one))} and {next(iter(other))}"
    for main, fallback in ((one, other), (other, one)):
        etc.mender(**main).fallback(**fallback)
        loaded = etc.load()
        found = str([*loaded.settings.server.urls, *loaded.settings.trust.verify_keys])
        assert ("one" if main is one else "two") in found
        assert loaded.warnings == (
            f"{etc.paths.mender_fallback}: {next(iter(fallback))} does not count, since {etc.paths.mender} has "
            + next(iter(main)),
        )


def test_keys_are_taken_in_any_case_with_a_warning(etc: Etc) -> None:
    etc.mender(rootfsparta="/dev/a", httpsclient={"KEY": "/k"})
    loaded = etc.load()
    assert (loaded.settings.slots.a, loaded.settings.fetch.client_key) == (Path("/dev/a"), Path("/k"))
    says = "Mender from 4.0 on takes only that spelling"
    assert loaded.warnings == (
        f"{etc.paths.mender}: the key 'rootfsparta' is taken as RootfsPartA; {says}",
        f"{etc.paths.mender}: the key 'httpsclient' is taken as HttpsClient; {says}",
        f"{etc.paths.mender}: the key 'HttpsClient.KEY' is taken as HttpsClient.Key; {says}",
    )


def test_one_key_in_two_spellings_is_refused(etc: Etc) -> None:
    etc.mender(rootfsparta="/dev/a", RootfsPartA="/dev/b")
    assert refused(etc) == f"cannot use {etc.paths.mender}: RootfsPartA stands there twice, in different spelling"


def test_of_a_key_that_stands_there_twice_the_last_one_counts(etc: Etc) -> None:
    etc.paths.mender.write_text('{"RootfsPartA": "/dev/a", "RootfsPartA": "/dev/b"}')
    loaded = etc.load()
    assert loaded.settings.slots.a == Path("/dev/b")
    assert loaded.warnings == (f"{etc.paths.mender}: the key 'RootfsPartA' stands there twice; the last one counts",)


@pytest.mark.parametrize(
    ("conf", "what"),
    [
        ({"RootfsPart": "/x"}, "the key 'RootfsPart' is not known; did you mean 'RootfsPartB'?"),
        ({"Zzz": 1}, "the key 'Zzz' is not known"),
        ({"HttpsClient": {"Keys": "/x"}}, "the key 'HttpsClient.Keys' is not known; did you mean 'HttpsClient.Key'?"),
        ({"HttpsClient.Key": "/x"}, "the key 'HttpsClient.Key' is not known"),
        ({"Servers": [{"ServerUrls": "x"}]}, "the key 'ServerUrls' in Servers is not known; did you mean 'ServerURL'?"),
    ],
)
def test_keys_that_are_not_known_are_warned_about_by_name(etc: Etc, conf: dict[str, Any], what: str) -> None:
    etc.mender(**conf)
    assert etc.load().warnings == (f"{etc.paths.mender}: {what}",)
    assert etc.settings == Settings()


@pytest.mark.parametrize("name", IGNORED)
def test_keys_that_are_known_and_mean_nothing_are_listed_with_the_reason(etc: Etc, name: str) -> None:
    outer, _, inner = name.partition(".")
    etc.mender(**{outer: {inner: "x"} if inner else "x"})
    loaded = etc.load()
    assert loaded.ignored == (f"{etc.paths.mender}: {name} is read and ignored: {IGNORED[name]}",)
    assert (loaded.warnings, loaded.settings) == ((), Settings())


@pytest.mark.parametrize(
    ("conf", "why"),
    [
        ({"RootfsPartA": 1}, "RootfsPartA must be a text, not a number"),
        ({"UpdatePollIntervalSeconds": "1800"}, "UpdatePollIntervalSeconds must be a whole number, not a text"),
        ({"UpdatePollIntervalSeconds": 1.0}, "UpdatePollIntervalSeconds must be a whole number, not a number"),
        ({"UpdatePollIntervalSeconds": True}, "UpdatePollIntervalSeconds must be a whole number, not true or false"),
        ({"UpdatePollIntervalSeconds": -1}, "UpdatePollIntervalSeconds must be whole seconds, 1 or more, not -1"),
        ({"RetryDownloadCount": 20000}, "RetryDownloadCount must be a whole number, from 1 to 10000, not 20000"),
        ({"SkipVerify": "true"}, "SkipVerify must be true or false, not a text"),
        ({"ArtifactVerifyKeys": "/key"}, "ArtifactVerifyKeys must be a list of texts, not a text"),
        ({"ArtifactVerifyKeys": [1]}, "ArtifactVerifyKeys must be a list of texts, not a list"),
        ({"HttpsClient": "x"}, "HttpsClient must be an object, not a text"),
        ({"DeviceTypeFile": "type"}, "DeviceTypeFile must be an absolute path, not 'type'"),
        (
            {"DaemonLogLevel": "loud"},
            'DaemonLogLevel must be "error", "warning", "info" or "debug", not \'loud\'',
        ),
        ({"TenantToken": ["hidden"]}, "TenantToken must be a text, not a list"),
    ],
)
def test_wrong_values_are_refused_with_file_and_key(etc: Etc, conf: dict[str, Any], why: str) -> None:
    etc.mender(**conf)
    assert refused(etc) == f"cannot use {etc.paths.mender}: {why}"


@pytest.mark.parametrize("servers", [["https://x"], [{"ServerURL": 1}]])
def test_servers_that_are_none_are_refused(etc: Etc, servers: list[Any]) -> None:
    etc.mender(Servers=servers)
    assert "Servers must be a list of objects such as" in refused(etc)


@pytest.mark.parametrize(
    ("level", "expected"),
    [("panic", LogLevel.ERROR), ("WARN", LogLevel.WARNING), ("trace", LogLevel.DEBUG), ("Info", LogLevel.INFO)],
)
def test_the_levels_of_both_clients_are_understood(etc: Etc, level: str, expected: LogLevel) -> None:
    etc.mender(DaemonLogLevel=level)
    assert etc.settings.log.level is expected


@pytest.mark.parametrize("text", ["{", "", "[]", "null", "[" * 100_000, '{"a": ' + "1" * 5000 + "}", "{'a': 1}"])
def test_what_is_no_json_object_is_refused(etc: Etc, text: str) -> None:
    etc.paths.mender.write_text(text)
    assert refused(etc).startswith(f"cannot use {etc.paths.mender}: ")


def test_an_error_of_json_names_the_line(etc: Etc) -> None:
    etc.paths.mender.write_text('{\n "TenantToken": "hidden",\n}')
    with pytest.raises(ConfigError) as caught:
        etc.load()
    assert str(caught.value.where) == f"{etc.paths.mender}, line 3"
    assert "hidden" not in str(caught.value)


def test_a_byte_order_mark_does_no_harm(etc: Etc) -> None:
    etc.paths.mender.write_bytes(b"\xef\xbb\xbf" + json.dumps({"RootfsPartA": "/dev/a"}).encode())
    assert etc.settings.slots.a == Path("/dev/a")
