"""What is prepared on the host and what the client makes of it on the device are one thing."""

from pathlib import Path

from boot_plans import plan_for

from bistable.client.boot.grub.environment import GrubEnvironment, RawBlocks
from bistable.client.boot.places import Place
from bistable.client.boot.uboot.slots import parse_table
from bistable.client.config.settings import GRUB_COPIES
from bistable.client.model import SlotName
from bistable.tools.boot import decide, prepare_boot
from bistable.tools.boot.plan import Loader
from bistable.tools.disk import load_layout
from bistable.tools.disk.geometry import boot_plan, place

PLAN = plan_for(Loader.GRUB)
NAMES = (SlotName("a"), SlotName("b"))


def partition(folder: Path) -> tuple[Path, GrubEnvironment]:
    """A partition as an image has it, and the client's view of it."""
    data = bytearray(1 << 20)
    for offset, part in prepare_boot(PLAN).environment.items():
        data[offset : offset + len(part)] = part
    path = folder / "boot-env"
    path.write_bytes(data)
    assert PLAN.environment is not None
    first, second = (Place(path=path, offset=offset) for offset in PLAN.environment.offsets)
    return path, GrubEnvironment(RawBlocks(first, second, timeout=1))


def test_the_client_reads_a_new_image(tmp_path: Path) -> None:
    _, environment = partition(tmp_path)
    table = parse_table(environment.read(), NAMES, where="the test")
    assert (table.order, set(table.good)) == (NAMES[:1], {NAMES[0]})
    assert environment.faults() == ()


def test_what_the_client_writes_is_what_the_boot_script_goes_by(tmp_path: Path) -> None:
    path, environment = partition(tmp_path)
    environment.write({"bistable_order": "b a", "bistable_b_tries": "3"})
    decision = decide(PLAN, path.read_bytes())
    assert (decision.slot, decision.counted, decision.order) == ("b", True, ("b", "a"))


def test_the_directory_by_which_grub_finds_the_copies_is_not_taken_for_something_else(tmp_path: Path) -> None:
    path, environment = partition(tmp_path)
    assert PLAN.environment is not None
    data = bytearray(path.read_bytes())
    for offset in PLAN.environment.offsets:
        data[offset : offset + 1024] = b"\xff" * 1024
    path.write_bytes(data)
    assert environment.read()["bistable_order"] == "a b"
    environment.write({"bistable_order": "a", "bistable_a_good": "1"})
    assert decide(PLAN, path.read_bytes()).order == ("a",)


def test_without_a_setting_the_client_looks_where_an_image_has_the_copies() -> None:
    plan = boot_plan(load_layout("x86-grub"), place(load_layout("x86-grub")))
    assert plan.environment is not None
    assert [int(copy.partition("@")[2], 0) for copy in GRUB_COPIES] == list(plan.environment.offsets)
