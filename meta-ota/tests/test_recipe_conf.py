"""The recipes of what the client is told, and of what is done at boot."""

import tomllib

import pytest
from layer_artifacts import OWN_KEYS, PUBLIC
from layer_build import Bench, Recipe, RefusedError, bench
from layer_files import EXAMPLE_KEYS, KEYS

__all__ = ["bench"]

CONF = "recipes-ota/bistable-conf/bistable-conf_1.0.bb"
DATA = "recipes-ota/bistable-data/bistable-data_1.0.bb"


def installed(bench: Bench, settings: str, path: str = CONF) -> Recipe:
    """Return the recipe with its files installed, in a build with these settings."""
    recipe = bench.build(settings).recipe(path)
    recipe.run_all("do_unpack", *([] if path == DATA else ["do_compile"]), "do_install")
    return recipe


def test_devices_get_the_keys_and_the_settings_that_name_them(bench: Bench) -> None:
    recipe = installed(bench, OWN_KEYS + f'BISTABLE_VERIFY_KEYS = "{PUBLIC} {KEYS}/rsa2048.pub"\n')
    etc = recipe.path("D") / "etc" / "bistable"
    settings = tomllib.loads((etc / "conf.d" / "20-keys.toml").read_text())
    assert settings["trust"]["verify-keys"] == ["/etc/bistable/keys/ec256.pub", "/etc/bistable/keys/rsa2048.pub"]
    for name in ("ec256.pub", "rsa2048.pub"):
        assert (etc / "keys" / name).read_bytes() == (KEYS / name).read_bytes()
        assert (etc / "keys" / name).stat().st_mode & 0o777 == 0o644


def test_no_private_key_is_installed(bench: Bench) -> None:
    recipe = installed(bench, 'BISTABLE_EXAMPLE_KEYS = "1"\n')
    secret = (EXAMPLE_KEYS / "private.pem").read_text().splitlines()[1]
    files = [path for path in recipe.path("WORKDIR").rglob("*") if path.is_file()]
    assert any(path.name == "public.pem" for path in files)
    assert [path for path in files if secret in path.read_text()] == []


def test_servers_and_settings_of_your_own_go_to_the_client(bench: Bench) -> None:
    own = bench.top / "70-health.toml"
    own.write_text('[health]\ntimeout = "5min"\n')
    recipe = installed(
        bench, OWN_KEYS + f'BISTABLE_SERVER_URLS = "https://a.example.com"\nBISTABLE_CONFIG_FILES = "{own}"\n'
    )
    folder = recipe.path("D") / "etc/bistable/conf.d"
    assert sorted(path.name for path in folder.iterdir()) == ["20-keys.toml", "60-server.toml", "70-health.toml"]
    assert (folder / "70-health.toml").read_text() == own.read_text()


@pytest.mark.parametrize(
    ("start", "unit"),
    [("by-hand", "bistable-recover.service"), ("service", "bistabled.service"), ("timer", "bistable-once.timer")],
)
def test_who_leads_updates_decides_what_starts_by_itself(bench: Bench, start: str, unit: str) -> None:
    recipe = installed(bench, OWN_KEYS + f'BISTABLE_START = "{start}"\nBBFILE_COLLECTIONS += "meta-python"\n')
    preset = recipe.path("D") / "usr/lib/systemd/system-preset/50-bistable.preset"
    assert preset.read_text() == f"enable {unit}\n"
    assert (recipe.path("D") / "etc/default/bistable").read_text() == f"start={start}\n"


def refusal(bench: Bench, settings: str) -> str:
    """Return why the settings of the client cannot be made."""
    with pytest.raises(RefusedError) as refused:
        installed(bench, settings)
    return str(refused.value)


def test_two_keys_of_one_name_stop_the_build(bench: Bench) -> None:
    other = bench.top / "ec256.pub"
    other.write_bytes(PUBLIC.read_bytes())
    message = refusal(bench, OWN_KEYS + f'BISTABLE_VERIFY_KEYS = "{PUBLIC} {other}"\n')
    assert "BISTABLE_VERIFY_KEYS names a file ec256.pub, and there is another one with that name" in message


def test_a_service_without_its_dependency_stops_the_build(bench: Bench) -> None:
    message = refusal(bench, OWN_KEYS + 'BISTABLE_START = "service"\n')
    assert "BISTABLE_START is 'service', and without the layer meta-python" in message
    assert 'set BISTABLE_START = "by-hand"' in message


def test_a_timer_without_systemd_stops_the_build(bench: Bench) -> None:
    settings = OWN_KEYS + 'BISTABLE_START = "timer"\nBBFILE_COLLECTIONS += "meta-python"\n'
    message = refusal(bench, settings + 'DISTRO_FEATURES:remove = "systemd"\n')
    assert "BISTABLE_START is 'timer', and timers need systemd" in message


def test_settings_that_are_not_there_stop_the_build(bench: Bench) -> None:
    message = refusal(bench, OWN_KEYS + 'BISTABLE_CONFIG_FILES = "/nowhere/50-x.toml"\n')
    assert "BISTABLE_CONFIG_FILES: cannot read /nowhere/50-x.toml" in message


def test_a_key_that_is_not_there_stops_the_build(bench: Bench) -> None:
    message = refusal(bench, OWN_KEYS + 'BISTABLE_VERIFY_KEYS = "/nowhere/public.pem"\n')
    assert "BISTABLE_VERIFY_KEYS: cannot read /nowhere/public.pem" in message


# --- what is done at boot


def test_what_is_to_be_done_at_boot_is_said_to_the_script(bench: Bench) -> None:
    recipe = installed(bench, 'BISTABLE_PERSIST = "/home /var/lib/app"\n', DATA)
    root = recipe.path("D")
    assert (root / "usr/share/bistable/data.conf").read_text() == (
        'features="grow-data machine-id"\npersist="/home /var/lib/app"\n'
    )
    program = root / "usr/libexec/bistable/bistable-data"
    assert program.stat().st_mode & 0o777 == 0o755
    assert (
        "ExecStart=/usr/libexec/bistable/bistable-data start"
        in (root / "usr/lib/systemd/system/bistable-data.service").read_text().splitlines()
    )
    assert (root / "etc/init.d/bistable-data").readlink().as_posix() == "/usr/libexec/bistable/bistable-data"
