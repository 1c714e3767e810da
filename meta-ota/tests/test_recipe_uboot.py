"""U-Boot gets the options of the slots, and one that does not fit stops the build."""

import pytest
from layer_build import Bench, Recipe, RefusedError, bench
from layer_files import LAYER, STUB

__all__ = ["bench"]

RECIPE = STUB / "recipes" / "boot" / "u-boot_2026.01.bb"
APPEND = LAYER / "recipes-bsp" / "u-boot" / "u-boot_%.bbappend"
FRAGMENT = "CONFIG_CMD_SETEXPR=y\nCONFIG_ENV_OFFSET=0x4400000\n"


def configured(bench: Bench, board: str, *, loader: str = "uboot-environment", switch: str | None = None) -> Recipe:
    """Configure U-Boot of a board whose configuration is that text."""
    (bench.top / "board.config").write_text(board)
    more = {} if switch is None else {"switch": switch}
    settings = f'STUB_UBOOT_CONFIG = "{bench.top}/board.config"\n'
    if switch is None:
        settings += f'BISTABLE_BOOTLOADER = "{loader}"\n'
    recipe = bench.build(settings, machine="acorn", **more).recipe(RECIPE, APPEND)
    deployed = recipe.path("DEPLOY_DIR_IMAGE") / "bistable"
    deployed.mkdir(parents=True)
    (deployed / "uboot.config").write_text(FRAGMENT)
    recipe.path("S").mkdir(parents=True)
    recipe.run("do_configure")
    return recipe


def configuration(recipe: Recipe) -> str:
    """Return the configuration that U-Boot is built with."""
    return (recipe.path("B") / ".config").read_text()


def test_u_boot_gets_the_options_of_the_slots(bench: Bench) -> None:
    recipe = configured(bench, "CONFIG_ARM=y\n")
    assert configuration(recipe) == "CONFIG_ARM=y\n" + FRAGMENT
    assert f"make -C {recipe.value('S')} O={recipe.value('B')} olddefconfig" in recipe.log.text
    assert "bistable-slots:do_deploy" in recipe.flag("do_configure", "depends")


def test_u_boot_is_left_alone_where_something_else_boots(bench: Bench) -> None:
    # The processor of this machine has U-Boot only; the recipe asks the variable and nothing else.
    recipe = configured(bench, "CONFIG_ARM=y\n")
    recipe.set(BISTABLE_BOOTLOADER="grub")
    recipe.run("do_configure")
    assert configuration(recipe) == "CONFIG_ARM=y\n"


def test_u_boot_is_left_alone_without_the_switch(bench: Bench) -> None:
    recipe = configured(bench, "CONFIG_ARM=y\n", switch="")
    assert configuration(recipe) == "CONFIG_ARM=y\n"
    assert recipe.flag("do_configure", "depends") == []


def test_a_u_boot_that_reads_elsewhere_stops_the_build_with_both_values(bench: Bench) -> None:
    recipe = configured(bench, "CONFIG_ARM=y\n")
    path = recipe.path("B") / ".config"
    path.write_text(FRAGMENT.replace("0x4400000", "0x3F0000"))
    with pytest.raises(RefusedError) as refused:
        recipe.run("bistable_check_uboot")
    message = str(refused.value)
    assert f"{path} does not fit the slots:" in message
    assert "CONFIG_ENV_OFFSET is 0x3F0000 in U-Boot's configuration, and has to be 0x4400000" in message


def test_an_option_that_other_options_take_away_stops_the_build(bench: Bench) -> None:
    recipe = configured(bench, "CONFIG_ARM=y\n")
    recipe.set(STUB_MAKE="sed -i /SETEXPR/d ${B}/.config")
    with pytest.raises(RefusedError, match="CONFIG_CMD_SETEXPR is not there in U-Boot's configuration"):
        recipe.run("do_configure")


def test_each_of_several_configurations_is_looked_at(bench: Bench) -> None:
    recipe = configured(bench, "CONFIG_ARM=y\n")
    other = recipe.path("B") / "acorn_defconfig" / ".config"
    other.parent.mkdir()
    other.write_text("CONFIG_ARM=y\n")
    with pytest.raises(RefusedError, match=r"acorn_defconfig/\.config does not fit"):
        recipe.run("bistable_check_uboot")


def test_where_the_board_keeps_its_own_environment_is_not_installed(bench: Bench) -> None:
    recipe = configured(bench, "CONFIG_ARM=y\n")
    places = recipe.path("D") / "etc" / "fw_env.config"
    places.parent.mkdir(parents=True)
    places.write_text("/dev/mtd0 0 0x1000\n")
    recipe.run("bistable_drop_environment_config")
    assert not places.parent.exists()
    assert "bistable_drop_environment_config" in recipe.flag("do_install", "postfuncs")


def test_grub_gets_the_modules_that_its_script_needs(bench: Bench) -> None:
    grub = STUB / "recipes" / "boot" / "grub-efi_2.14.bb"
    append = LAYER / "recipes-bsp" / "grub" / "grub-efi_%.bbappend"
    without = bench.build(switch="").recipe(grub, append).words("GRUB_BUILDIN")
    with_it = bench.build().recipe(grub, append).words("GRUB_BUILDIN")
    assert {"loadenv", "regexp", "reboot", "part_gpt"} <= set(with_it)
    assert "regexp" not in without
