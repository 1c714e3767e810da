"""The maps of a device: kept before anybody acts on them, one pool for all threads, written down not too often."""

import json
from dataclasses import dataclass, field
from threading import Thread

import pytest
from client_maps import APPLICATION, DEPLOYMENT, OTHER, MemoryValues, at, made, text_of

from bistable.client.deployment.keptmaps import KeptMaps, MapSettings
from bistable.client.errors import StoreError
from bistable.client.maps import KEEP_KEY, LOCAL_MAPS, Action, MapError, Source
from bistable.client.model import Point

ONCE = {"action": "pause", "on_action_executed": "continue"}
SETTINGS = MapSettings(life=3600.0, boot_life=600.0)


@dataclass
class Bench:
    """A store, a clock, and the processes of a client one after the other."""

    values: MemoryValues = field(default_factory=MemoryValues)
    settings: MapSettings = SETTINGS
    now: float = 0.0
    boot: int = 1
    changes: int = 0

    def start(self) -> KeptMaps:
        return KeptMaps(
            self.values,
            self.settings,
            boot_id=f"boot-{self.boot}",
            clock=lambda: self.now,
            on_change=self._changed,
        )

    def reboot(self, now: float = 0.0) -> KeptMaps:
        self.boot, self.now = self.boot + 1, now
        return self.start()

    def _changed(self) -> None:
        self.changes += 1


# --- from an application


def test_an_application_is_told_to_send_its_map_again_at_half_of_its_life() -> None:
    bench = Bench(settings=MapSettings(life=41.0, boot_life=600.0))
    maps = bench.start()
    assert maps.set_local(text_of(install="pause")) == 20
    assert maps.set_local(text_of()) == 20
    assert not maps.pool().entries


def test_a_map_for_one_deployment_gets_its_id_or_has_it() -> None:
    maps = Bench().start()
    maps.set_local(json.dumps({"states": {"ArtifactInstall_Enter": {"action": "pause"}}}), deployment=DEPLOYMENT)
    assert maps.look(at()).action is Action.PAUSE
    assert maps.look(at(deployment=OTHER)).action is Action.CONTINUE
    with pytest.raises(MapError):
        maps.set_local(text_of(APPLICATION, install="pause"), deployment=DEPLOYMENT)


def test_a_map_that_is_not_valid_changes_nothing() -> None:
    bench = Bench()
    with pytest.raises(MapError):
        bench.start().set_local("{}")
    assert (bench.values.writes, bench.changes) == (0, 0)


def test_the_limit_holds_for_applications_and_not_for_the_server() -> None:
    maps = Bench().start()
    for number in range(1000):
        text = text_of(f"{number:08}{APPLICATION[8:]}", install="pause")
        if number < LOCAL_MAPS:
            maps.set_local(text)
        else:
            with pytest.raises(MapError):
                maps.set_local(text)
    maps.set_server(DEPLOYMENT, made(DEPLOYMENT, install="fail"))
    assert len(maps.pool().entries) == LOCAL_MAPS + 1
    assert maps.decide(at()).action is Action.FAIL


# --- told, and kept


def test_every_change_is_told_and_nothing_else_is() -> None:
    bench = Bench()
    maps = bench.start()
    maps.set_local(text_of(install="pause"))
    maps.set_local(text_of(install="pause"))
    maps.set_server(DEPLOYMENT, made(DEPLOYMENT, commit="pause"))
    assert bench.changes == 3
    maps.set_server(DEPLOYMENT, None)
    maps.set_server(DEPLOYMENT, None)
    maps.decide(at())
    maps.forget_expired()
    maps.tick()
    assert bench.changes == 4


def test_what_was_changed_can_be_asked_in_the_thread_that_is_told() -> None:
    bench, seen = Bench(), []
    maps = KeptMaps(
        bench.values, SETTINGS, boot_id="b", clock=lambda: 0.0, on_change=lambda: seen.append(maps.look(at()).action)
    )
    maps.set_local(text_of(install="pause"))
    assert seen == [Action.PAUSE]


def test_that_maps_were_asked_is_kept_before_the_answer_is_given() -> None:
    bench = Bench()
    maps = bench.start()
    maps.set_local(text_of(install={"action": "continue", "on_action_executed": "fail"}))
    bench.values.fails = True
    with pytest.raises(StoreError):
        maps.decide(at())
    bench.values.fails = False
    assert maps.decide(at()).action is Action.CONTINUE
    after = bench.start()
    after.set_local(text_of(OTHER, commit="pause"))
    assert after.decide(at()).action is Action.FAIL


def test_asking_again_writes_nothing() -> None:
    bench = Bench()
    maps = bench.start()
    maps.set_local(text_of(install="pause"))
    maps.decide(at())
    before = bench.values.writes
    for _ in range(10):
        assert maps.decide(at()).action is Action.PAUSE
    assert bench.values.writes == before


def test_a_device_without_maps_writes_nothing() -> None:
    bench = Bench()
    maps = bench.start()
    for point in Point:
        maps.decide(at(point))
    maps.forget_expired()
    maps.end_deployment(DEPLOYMENT)
    maps.tick()
    assert bench.values.writes == 0
    assert maps.wait() is None


def test_what_cannot_be_kept_has_not_happened() -> None:
    bench = Bench()
    maps = bench.start()
    maps.set_local(text_of(install="pause"))
    bench.values.fails = True
    with pytest.raises(StoreError):
        maps.set_local(text_of())
    assert maps.look(at()).action is Action.PAUSE
    assert bench.changes == 1


def test_a_deployment_that_is_over_leaves_nothing() -> None:
    bench = Bench()
    maps = bench.start()
    maps.set_server(DEPLOYMENT, made(DEPLOYMENT, install="pause"))
    maps.set_local(text_of(DEPLOYMENT, 3, install="pause"), deployment=DEPLOYMENT)
    maps.end_deployment(DEPLOYMENT)
    assert not bench.start().pool().entries
    assert bench.values.kept[KEEP_KEY] == ""


def test_expired_maps_are_forgotten_on_demand() -> None:
    bench = Bench()
    maps = bench.start()
    maps.set_local(text_of(install="pause"))
    bench.now = 3600.0
    maps.forget_expired()
    assert not maps.pool().entries


# --- found again


def test_maps_and_their_last_answer_are_there_after_a_restart_and_a_reboot() -> None:
    bench = Bench()
    maps = bench.start()
    maps.set_local(text_of(install=ONCE))
    assert maps.decide(at()).action is Action.PAUSE
    for maps in (bench.start(), bench.reboot(20.0), bench.reboot()):
        assert maps.decide(at()).action is Action.PAUSE
        assert maps.merged(DEPLOYMENT)[Point.INSTALL].action is Action.PAUSE


def test_what_cannot_be_read_is_forgotten() -> None:
    bench = Bench()
    bench.values.kept[KEEP_KEY] = "no maps"
    maps = bench.start()
    assert not maps.pool().entries
    maps.set_local(text_of(install="pause"))
    assert bench.start().look(at()).action is Action.PAUSE


def test_maps_of_the_client_in_go_live_for_their_boot_life() -> None:
    bench = Bench()
    bench.values.kept[KEEP_KEY] = json.dumps({"active": [json.loads(text_of(install="pause"))], "expired": None})
    assert bench.start().look(at()).by[0].until == 600.0


def test_a_server_map_survives_as_one_of_the_server() -> None:
    bench = Bench()
    maps = bench.start()
    maps.set_server(DEPLOYMENT, made(DEPLOYMENT, install="pause"))
    after = bench.reboot(30.0)
    assert after.has_server_map(DEPLOYMENT)
    assert after.look(at()).by[0].source is Source.SERVER
    assert not after.refresh_due(DEPLOYMENT)
    bench.now += 1800.0
    assert after.refresh_due(DEPLOYMENT)


# --- time


def test_a_power_cut_gives_back_at_most_what_went_by_since_lives_were_written_down() -> None:
    bench = Bench()
    maps = bench.start()
    maps.set_local(text_of(install="pause"))
    while bench.now < 3000.0:
        wait = maps.wait()
        assert wait is not None
        bench.now += wait
        maps.tick()
    (entry,) = bench.reboot().pool().entries.values()
    assert entry.expires <= 3600.0 - 3000.0 + 360.0
    assert bench.values.writes < 15


def test_boots_that_are_cut_off_at_once_wear_a_life_down_all_the_same() -> None:
    bench = Bench()
    maps = bench.start()
    maps.set_local(text_of(install="pause"))
    for _ in range(400):
        maps = bench.reboot(10.0)
    until = maps.look(at()).by[0].until
    assert until is not None
    assert until < 20.0


def test_whoever_waits_as_told_sees_a_map_expire_and_never_waits_in_circles() -> None:
    bench = Bench(settings=MapSettings(life=70.0, boot_life=600.0))
    maps = bench.start()
    maps.set_local(text_of(install="pause"))
    waits = 0
    while maps.look(at()).action is Action.PAUSE:
        wait = maps.wait()
        assert wait is not None
        assert wait > 0
        bench.now += wait
        maps.tick()
        waits += 1
    assert bench.now == pytest.approx(70.0)
    assert waits <= 3


def test_a_server_that_is_gone_is_asked_for_ever_and_nothing_is_written_for_that() -> None:
    bench = Bench()
    maps = bench.start()
    maps.set_server(DEPLOYMENT, made(DEPLOYMENT, install="pause"))
    while bench.now < 1e6:
        bench.now += maps.wait() or 1e9
        maps.tick()
    assert bench.now < 1e6 + SETTINGS.ask_every
    assert bench.values.writes < 15
    assert maps.refresh_due(DEPLOYMENT)


# --- threads


def test_no_change_of_one_thread_is_lost_to_another() -> None:
    bench = Bench()
    maps = bench.start()

    def insert(first: int) -> None:
        for number in range(first, first + 20):
            maps.set_local(text_of(f"{number:08}{APPLICATION[8:]}", install=ONCE))
            maps.decide(at())

    threads = [Thread(target=insert, args=(first,)) for first in (0, 20, 40, 60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(maps.pool().entries) == 80
    assert len(bench.start().pool().entries) == 80
