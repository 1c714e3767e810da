"""The custom back end: handlers as they exist for RAUC, handlers that fail, and power cuts between the verbs."""

from pathlib import Path

import pytest
from client_boot import PAIR, A, B
from client_boot_devices import CustomDevice

from bistable.client.boot import Bootloader, BootSettings, CurrentSlot, Rearming, make_bootloader
from bistable.client.errors import BootError, ConfigError

PLAIN_HANDLER = """#!/bin/bash
# In the manner of the handler in RAUC's own test suite: no counting, no get-current, nothing said of a bad primary.
file="$(dirname "$0")/plain"
echo "$@" >> "$(dirname "$0")/calls"
value() { grep "^$1=" "$file" | cut -d= -f2; }
case "$1" in
    get-state) value "STATE_$2" ;;
    set-state) sed -i "s/^STATE_$2=.*/STATE_$2=$3/" "$file" ;;
    get-primary) p=$(value PRIMARY); if [ "$(value "STATE_$p")" = good ]; then echo "$p"; fi ;;
    set-primary) sed -i "s/^PRIMARY=.*/PRIMARY=$2/" "$file" ;;
esac
"""


def handler(folder: Path, text: str) -> Path:
    path = folder / "handler"
    path.write_text(text)
    path.chmod(0o755)
    return path


def loader(path: Path, *, timeout: float = 20) -> Bootloader:
    return make_bootloader(BootSettings(backend="custom", handler=path, timeout=timeout), PAIR, booted=lambda: A)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    (tmp_path / "plain").write_text("PRIMARY=a\nSTATE_a=good\nSTATE_b=good\n")
    return handler(tmp_path, PLAIN_HANDLER)


def test_a_handler_that_knows_four_verbs_is_enough(plain: Path) -> None:
    state = plain.with_name("plain")
    loader(plain).forbid(B)
    assert state.read_text() == "PRIMARY=a\nSTATE_a=good\nSTATE_b=bad\n"
    loader(plain).activate(B)
    assert state.read_text() == "PRIMARY=b\nSTATE_a=good\nSTATE_b=good\n"
    assert loader(plain).primary() == B
    loader(plain).restore(A)
    assert state.read_text() == "PRIMARY=a\nSTATE_a=good\nSTATE_b=bad\n"


def test_without_being_told_what_runs_a_handler_without_get_current_still_does(plain: Path) -> None:
    unsure = make_bootloader(BootSettings(backend="custom", handler=plain), PAIR)
    unsure.forbid(B)
    assert isinstance(unsure, CurrentSlot)
    with pytest.raises(BootError, match="get-current printed '', neither 'a' nor 'b'"):
        unsure.current()


def test_it_is_called_as_rauc_calls_it(plain: Path) -> None:
    loader(plain).confirm(A)
    assert plain.with_name("calls").read_text() == "get-primary\nset-state a good\nget-primary\n"


def test_what_runs_is_asked_once_as_only_a_reboot_changes_it(tmp_path: Path) -> None:
    path = handler(tmp_path, '#!/bin/sh\necho "$1" >> "$(dirname "$0")/calls"\n[ "$1" != get-current ] || echo b\n')
    found = loader(path)
    assert isinstance(found, CurrentSlot)
    assert [found.current(), found.current()] == [B, B]
    assert (tmp_path / "calls").read_text() == "get-current\n"


def test_nothing_can_be_rearmed(plain: Path) -> None:
    assert not isinstance(loader(plain), Rearming)


def test_a_primary_that_is_bad_is_an_error_where_a_slot_is_asked_for(plain: Path) -> None:
    plain.with_name("plain").write_text("PRIMARY=a\nSTATE_a=bad\nSTATE_b=bad\n")
    with pytest.raises(BootError, match="get-primary printed ''"):
        loader(plain).primary()
    with pytest.raises(BootError, match=r"cannot activate slot b: .* says that slot a is bad"):
        loader(plain).activate(B)
    with pytest.raises(BootError, match=r"cannot forbid slot b: .* says that slot a is bad"):
        loader(plain).forbid(B)


def test_the_running_slot_can_be_restored_even_if_its_counter_ran_out(plain: Path) -> None:
    plain.with_name("plain").write_text("PRIMARY=b\nSTATE_a=bad\nSTATE_b=good\n")
    loader(plain).restore(A)
    assert plain.with_name("plain").read_text() == "PRIMARY=a\nSTATE_a=good\nSTATE_b=bad\n"


def test_another_slot_that_is_bad_is_not_gone_back_to(plain: Path) -> None:
    plain.with_name("plain").write_text("PRIMARY=a\nSTATE_a=good\nSTATE_b=bad\n")
    with pytest.raises(BootError, match=r"cannot go back to slot b: .* says that slot b is bad"):
        loader(plain).restore(B)


def test_a_set_primary_without_effect_is_found_out(tmp_path: Path) -> None:
    path = handler(tmp_path, '#!/bin/sh\ncase "$1" in get-primary) echo a ;; get-state) echo good ;; esac\n')
    with pytest.raises(BootError, match=r"cannot activate slot b: after set-primary, get-primary of .* does not name"):
        loader(path).activate(B)


def test_a_state_that_is_neither_good_nor_bad_is_an_error(tmp_path: Path) -> None:
    path = handler(tmp_path, "#!/bin/sh\necho '  fine '\n")
    with pytest.raises(BootError, match="get-state printed 'fine', neither 'good' nor 'bad'"):
        loader(path).status(A)


def test_an_unknown_slot_is_an_error_that_names_the_setting(tmp_path: Path) -> None:
    path = handler(tmp_path, "#!/bin/sh\necho system0\n")
    with pytest.raises(BootError, match="get-primary printed 'system0', neither 'a' nor 'b'") as caught:
        loader(path).primary()
    assert caught.value.hint == "give the boot loader's names of the slots in the configuration"


def test_a_handler_that_fails_says_why(tmp_path: Path) -> None:
    path = handler(tmp_path, "#!/bin/sh\necho 'no such mtd' >&2\nexit 3\n")
    with pytest.raises(
        BootError, match=r"cannot get-primary with the boot loader's handler: .* exit status 3"
    ) as caught:
        loader(path).primary()
    assert caught.value.hint == "no such mtd"


def test_a_handler_that_hangs_is_ended(tmp_path: Path) -> None:
    path = handler(tmp_path, "#!/bin/sh\nsleep 600\n")
    with pytest.raises(BootError, match=r"not done after 0.2 s"):
        loader(path, timeout=0.2).primary()


def test_a_missing_handler_is_named(tmp_path: Path) -> None:
    with pytest.raises(BootError, match="handler: not found"):
        loader(tmp_path / "handler").primary()


def test_without_a_handler_there_is_no_custom_boot_loader() -> None:
    with pytest.raises(ConfigError, match="no handler is configured"):
        make_bootloader(BootSettings(backend="custom"), PAIR)


@pytest.mark.parametrize("fails_at", range(1, 12))
def test_power_that_fails_between_two_verbs_leaves_something_that_boots(fails_at: int, tmp_path: Path) -> None:
    device = CustomDevice(tmp_path)
    counter = tmp_path / "counter"
    counter.write_text("0\n")
    real = tmp_path / "real"
    device.handler.rename(real)
    handler(
        tmp_path,
        f'#!/bin/sh\nn=$(($(cat "{counter}") + 1)); echo $n > "{counter}"\n'
        f'[ $n != {fails_at} ] || exit 1\nexec "{real}" "$@"\n',
    )
    written = False
    try:
        device.loader.forbid(B)
        written = True
        device.loader.activate(B)
        assert device.power_on() == B
        device.loader.restore(A)
    except BootError:
        pass
    assert device.power_on(broken=set() if written else {"b"}) in {A, B}
