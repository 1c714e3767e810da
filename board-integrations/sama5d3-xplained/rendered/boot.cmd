# Rendered from board.toml by `bistable board render`; changes here are lost.
# Chooses one of two slots in UBI. Made by Bistable; what it does is described in its reference.
setenv fdt_addr_r 0x21000000
setenv kernel_addr_r 0x22000000
setenv scriptaddr 0x21800000
if test -z "${kernel_addr_r}"; then
echo "bistable: kernel_addr_r is not set: this U-Boot does not say where a kernel goes"
reset
fi
if ubi part ubi; then true; else
echo "bistable: there is no UBI on ubi"
reset
fi
# A power cut in a write leaves a copy of the environment that cannot be read. U-Boot then has the other one, but Linux
# has none: its tools give up where one cannot be read. What is saved goes to the broken one.
setenv bistable_c0 ok
if nand read ${kernel_addr_r} env 20000; then true; else setenv bistable_c0 broken; fi
setenv bistable_c1 ok
if nand read ${kernel_addr_r} env_redundant 20000; then true; else setenv bistable_c1 broken; fi
setenv bistable_current unknown
setenv bistable_save saveenv
if test ${bistable_c0} = broken || test ${bistable_c1} = broken; then
# What U-Boot says of it does not end its line.
echo
echo "bistable: a copy of the environment is broken, it is written anew"
if run bistable_save; then true; else echo "bistable: cannot save the environment"; fi
fi
# Only values that can be are used. The shell parses a value anew, between quotes: with a quote in it, "test" can be a
# syntax error, whose result is that of the command before. So there is a "false" before each, and what goes on is never
# the value itself.
setenv bistable_x
if false || test "x${bistable_order}" = "xa b"; then setenv bistable_x a b; fi
if false || test "x${bistable_order}" = "xb a"; then setenv bistable_x b a; fi
if false || test "x${bistable_order}" = "xa"; then setenv bistable_x a; fi
if false || test "x${bistable_order}" = "xb"; then setenv bistable_x b; fi
setenv bistable_order ${bistable_x}
if test -z "${bistable_order}"; then
echo "bistable: nothing is known of the slots"
setenv bistable_order a b
setenv bistable_a_good 0
setenv bistable_a_tries 3
setenv bistable_b_good 0
setenv bistable_b_tries 3
fi
setenv bistable_x 0
if false || test "x${bistable_seen}" = x1; then setenv bistable_x 1; fi
setenv bistable_seen ${bistable_x}
setenv bistable_x 0
if false || test "x${bistable_a_good}" = x1; then setenv bistable_x 1; fi
setenv bistable_a_good ${bistable_x}
setenv bistable_x 0
for bistable_d in 1 2 3 4 5 6 7 8 9; do
if false || test "x${bistable_a_tries}" = x${bistable_d}; then setenv bistable_x ${bistable_d}; fi
done
setenv bistable_a_tries ${bistable_x}
setenv bistable_is_a no
for bistable_s in ${bistable_order}; do
if test ${bistable_s} = a; then
setenv bistable_is_a ${bistable_a_tries}
if test ${bistable_a_good} = 1; then setenv bistable_is_a good; fi
fi
done
setenv bistable_x 0
if false || test "x${bistable_b_good}" = x1; then setenv bistable_x 1; fi
setenv bistable_b_good ${bistable_x}
setenv bistable_x 0
for bistable_d in 1 2 3 4 5 6 7 8 9; do
if false || test "x${bistable_b_tries}" = x${bistable_d}; then setenv bistable_x ${bistable_d}; fi
done
setenv bistable_b_tries ${bistable_x}
setenv bistable_is_b no
for bistable_s in ${bistable_order}; do
if test ${bistable_s} = b; then
setenv bistable_is_b ${bistable_b_tries}
if test ${bistable_b_good} = 1; then setenv bistable_is_b good; fi
fi
done
echo "bistable: copies=${bistable_c0},${bistable_c1} current=${bistable_current} order=${bistable_order} a=${bistable_is_a} b=${bistable_is_b}"
if test ${bistable_seen} = 0; then
setenv bistable_seen 1
if run bistable_save; then true; else echo "bistable: cannot save the environment"; fi
fi
# The name of the watchdog, as "wdt list" shows it, comes from the board.
if test -n "${bistable_watchdog}"; then
if wdt dev ${bistable_watchdog} && wdt start 60000; then true; else echo "bistable: cannot start the watchdog"; fi
fi
for bistable_s in ${bistable_order}; do
if test ${bistable_s} = a; then
setenv bistable_n ${bistable_a_tries}
if test ${bistable_a_good} = 1; then
echo "bistable: booting slot a"
setenv bootargs 'root=ubi0:rootfs-a rootfstype=ubifs ubi.mtd=ubi mtdparts=atmel_nand:256k(bootstrap),768k(uboot),256k(env_redundant),256k(env),-(ubi) console=ttyS0,115200 panic=10 bistable.slot=a'
if ubifsmount ubi0:rootfs-a; then
if ubifsload ${kernel_addr_r} /boot/zImage; then
if ubifsload ${fdt_addr_r} /boot/at91-sama5d3_xplained.dtb; then
bootz ${kernel_addr_r} - ${fdt_addr_r}
fi
fi
ubifsumount
fi
echo "bistable: slot a cannot be loaded"

elif test ${bistable_n} = 0; then
echo "bistable: passed over slot a: no tries left"
elif setexpr bistable_a_tries ${bistable_n} - 1 && run bistable_save; then
echo "bistable: trying slot a, ${bistable_a_tries} tries left"
setenv bootargs 'root=ubi0:rootfs-a rootfstype=ubifs ubi.mtd=ubi mtdparts=atmel_nand:256k(bootstrap),768k(uboot),256k(env_redundant),256k(env),-(ubi) console=ttyS0,115200 panic=10 bistable.slot=a'
if ubifsmount ubi0:rootfs-a; then
if ubifsload ${kernel_addr_r} /boot/zImage; then
if ubifsload ${fdt_addr_r} /boot/at91-sama5d3_xplained.dtb; then
bootz ${kernel_addr_r} - ${fdt_addr_r}
fi
fi
ubifsumount
fi
echo "bistable: slot a cannot be loaded"

reset
else
setenv bistable_a_tries ${bistable_n}
echo "bistable: cannot save the environment"
echo "bistable: passed over slot a: cannot count"
fi
fi
if test ${bistable_s} = b; then
setenv bistable_n ${bistable_b_tries}
if test ${bistable_b_good} = 1; then
echo "bistable: booting slot b"
setenv bootargs 'root=ubi0:rootfs-b rootfstype=ubifs ubi.mtd=ubi mtdparts=atmel_nand:256k(bootstrap),768k(uboot),256k(env_redundant),256k(env),-(ubi) console=ttyS0,115200 panic=10 bistable.slot=b'
if ubifsmount ubi0:rootfs-b; then
if ubifsload ${kernel_addr_r} /boot/zImage; then
if ubifsload ${fdt_addr_r} /boot/at91-sama5d3_xplained.dtb; then
bootz ${kernel_addr_r} - ${fdt_addr_r}
fi
fi
ubifsumount
fi
echo "bistable: slot b cannot be loaded"

elif test ${bistable_n} = 0; then
echo "bistable: passed over slot b: no tries left"
elif setexpr bistable_b_tries ${bistable_n} - 1 && run bistable_save; then
echo "bistable: trying slot b, ${bistable_b_tries} tries left"
setenv bootargs 'root=ubi0:rootfs-b rootfstype=ubifs ubi.mtd=ubi mtdparts=atmel_nand:256k(bootstrap),768k(uboot),256k(env_redundant),256k(env),-(ubi) console=ttyS0,115200 panic=10 bistable.slot=b'
if ubifsmount ubi0:rootfs-b; then
if ubifsload ${kernel_addr_r} /boot/zImage; then
if ubifsload ${fdt_addr_r} /boot/at91-sama5d3_xplained.dtb; then
bootz ${kernel_addr_r} - ${fdt_addr_r}
fi
fi
ubifsumount
fi
echo "bistable: slot b cannot be loaded"

reset
else
setenv bistable_b_tries ${bistable_n}
echo "bistable: cannot save the environment"
echo "bistable: passed over slot b: cannot count"
fi
fi
done
echo "bistable: nothing boots, all slots get their tries again"
setenv bistable_x no
for bistable_s in ${bistable_order}; do
if test ${bistable_s} = a && test ${bistable_a_good} = 0; then setenv bistable_a_tries 3; setenv bistable_x yes; fi
if test ${bistable_s} = b && test ${bistable_b_good} = 0; then setenv bistable_b_tries 3; setenv bistable_x yes; fi
done
# Where all slots are good there is nothing to save: an endless loop must not wear out the flash.
if test ${bistable_x} = no; then reset; fi
if run bistable_save; then reset; fi
echo "bistable: cannot save the environment"
# A reset would change nothing: what cannot be counted is better than nothing.
for bistable_s in ${bistable_order}; do
if test ${bistable_s} = a; then
echo "bistable: booting slot a"
setenv bootargs 'root=ubi0:rootfs-a rootfstype=ubifs ubi.mtd=ubi mtdparts=atmel_nand:256k(bootstrap),768k(uboot),256k(env_redundant),256k(env),-(ubi) console=ttyS0,115200 panic=10 bistable.slot=a'
if ubifsmount ubi0:rootfs-a; then
if ubifsload ${kernel_addr_r} /boot/zImage; then
if ubifsload ${fdt_addr_r} /boot/at91-sama5d3_xplained.dtb; then
bootz ${kernel_addr_r} - ${fdt_addr_r}
fi
fi
ubifsumount
fi
echo "bistable: slot a cannot be loaded"

fi
if test ${bistable_s} = b; then
echo "bistable: booting slot b"
setenv bootargs 'root=ubi0:rootfs-b rootfstype=ubifs ubi.mtd=ubi mtdparts=atmel_nand:256k(bootstrap),768k(uboot),256k(env_redundant),256k(env),-(ubi) console=ttyS0,115200 panic=10 bistable.slot=b'
if ubifsmount ubi0:rootfs-b; then
if ubifsload ${kernel_addr_r} /boot/zImage; then
if ubifsload ${fdt_addr_r} /boot/at91-sama5d3_xplained.dtb; then
bootz ${kernel_addr_r} - ${fdt_addr_r}
fi
fi
ubifsumount
fi
echo "bistable: slot b cannot be loaded"

fi
done
reset
