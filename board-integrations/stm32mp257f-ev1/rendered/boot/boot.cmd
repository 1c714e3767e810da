# Rendered from board.toml by `bistable board render`; changes here are lost.
# Chooses one of two slots. Made by Bistable; what it does is described in its reference.
if test -z "${kernel_addr_r}"; then
echo "bistable: kernel_addr_r is not set: this U-Boot does not say where a kernel goes"
reset
fi
setenv bistable_a_good
setenv bistable_a_tries
setenv bistable_b_good
setenv bistable_b_tries
setenv bistable_order
setenv bistable_seen
setenv bistable_names 'bistable_a_good bistable_a_tries bistable_b_good bistable_b_tries bistable_order bistable_seen'
setenv bistable_c0 bad
setenv bistable_c1 bad
setenv bistable_f 0
setenv bistable_current none
setenv bistable_m0 ${kernel_addr_r}
setexpr bistable_m1 ${kernel_addr_r} + 200
setexpr bistable_t ${bistable_m1} + 200
setexpr bistable_w ${bistable_t} + 200
mmc dev 0
if part start mmc 0 5 bistable_x; then
setexpr bistable_p ${bistable_x} + 0
setexpr bistable_q ${bistable_x} + 2000
if mmc read ${bistable_m0} ${bistable_p} 1 && cp.b ${bistable_m0} ${bistable_t} 4 && setexpr bistable_x ${bistable_m0} + 5 && setexpr bistable_y ${bistable_t} + 4 && cp.b ${bistable_x} ${bistable_y} 1fb && env import -c ${bistable_t} 1ff ${bistable_names}; then
setenv bistable_c0 ok
setexpr bistable_x ${bistable_m0} + 4
setexpr.b bistable_f0 *${bistable_x}
fi
if mmc read ${bistable_m1} ${bistable_q} 1 && cp.b ${bistable_m1} ${bistable_t} 4 && setexpr bistable_x ${bistable_m1} + 5 && setexpr bistable_y ${bistable_t} + 4 && cp.b ${bistable_x} ${bistable_y} 1fb && env import -c ${bistable_t} 1ff ${bistable_names}; then
setenv bistable_c1 ok
setexpr bistable_x ${bistable_m1} + 4
setexpr.b bistable_f1 *${bistable_x}
fi
fi
if test ${bistable_c0} = ok; then setenv bistable_current 0; fi
if test ${bistable_c1} = ok; then
if test ${bistable_c0} = bad; then
setenv bistable_current 1
else
if itest ${bistable_f1} -gt ${bistable_f0}; then setenv bistable_current 1; fi
if itest ${bistable_f0} == ff && itest ${bistable_f1} == 0; then setenv bistable_current 1; fi
if itest ${bistable_f1} == ff && itest ${bistable_f0} == 0; then setenv bistable_current 0; fi
fi
fi
# p is what is written next, q the current copy. Each import above set the variables: take those that count.
setenv bistable_a_good
setenv bistable_a_tries
setenv bistable_b_good
setenv bistable_b_tries
setenv bistable_order
setenv bistable_seen
if test ${bistable_current} = 0; then
setenv bistable_f ${bistable_f0}
setenv bistable_x ${bistable_p}
setenv bistable_p ${bistable_q}
setenv bistable_q ${bistable_x}
cp.b ${bistable_m0} ${bistable_t} 4 && setexpr bistable_x ${bistable_m0} + 5 && setexpr bistable_y ${bistable_t} + 4 && cp.b ${bistable_x} ${bistable_y} 1fb && env import -c ${bistable_t} 1ff ${bistable_names}
fi
if test ${bistable_current} = 1; then
setenv bistable_f ${bistable_f1}
cp.b ${bistable_m1} ${bistable_t} 4 && setexpr bistable_x ${bistable_m1} + 5 && setexpr bistable_y ${bistable_t} + 4 && cp.b ${bistable_x} ${bistable_y} 1fb && env import -c ${bistable_t} 1ff ${bistable_names}
fi
# The counter and the places change only when what was written has been read back.
setenv bistable_save 'setexpr bistable_g ${bistable_f} + 1 && env export -c -s 1ff ${bistable_t} ${bistable_names} && cp.b ${bistable_t} ${bistable_w} 4 && setexpr bistable_x ${bistable_w} + 4 && mw.b ${bistable_x} ${bistable_g} 1 && setexpr bistable_x ${bistable_w} + 5 && setexpr bistable_y ${bistable_t} + 4 && cp.b ${bistable_y} ${bistable_x} 1fb && mmc write ${bistable_w} ${bistable_p} 1 && mmc read ${bistable_m0} ${bistable_p} 1 && cmp.b ${bistable_m0} ${bistable_w} 200 && setenv bistable_f ${bistable_g} && setenv bistable_x ${bistable_p} && setenv bistable_p ${bistable_q} && setenv bistable_q ${bistable_x}'
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
if test -z "${bistable_watchdog}"; then setenv bistable_watchdog watchdog; fi
if test -n "${bistable_watchdog}"; then
if wdt dev ${bistable_watchdog} && wdt start 60000; then true; else echo "bistable: cannot start the watchdog"; fi
fi
for bistable_s in ${bistable_order}; do
if test ${bistable_s} = a; then
setenv bistable_n ${bistable_a_tries}
if test ${bistable_a_good} = 1; then
echo "bistable: booting slot a"
setenv bootargs 'root=PARTUUID=2a476fa8-abd9-5df4-bfc6-65106846a7f2 console=ttySTM0,115200 rootwait panic=10 bistable.slot=a'
if load mmc 0:6 ${kernel_addr_r} /boot/Image; then
if load mmc 0:6 ${fdt_addr_r} /boot/stm32mp257f-ev1.dtb; then
booti ${kernel_addr_r} - ${fdt_addr_r}
fi
fi
echo "bistable: slot a cannot be loaded"

elif test ${bistable_n} = 0; then
echo "bistable: passed over slot a: no tries left"
elif setexpr bistable_a_tries ${bistable_n} - 1 && run bistable_save; then
echo "bistable: trying slot a, ${bistable_a_tries} tries left"
setenv bootargs 'root=PARTUUID=2a476fa8-abd9-5df4-bfc6-65106846a7f2 console=ttySTM0,115200 rootwait panic=10 bistable.slot=a'
if load mmc 0:6 ${kernel_addr_r} /boot/Image; then
if load mmc 0:6 ${fdt_addr_r} /boot/stm32mp257f-ev1.dtb; then
booti ${kernel_addr_r} - ${fdt_addr_r}
fi
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
setenv bootargs 'root=PARTUUID=b5993ea8-dbde-5005-931a-d4ed09f21776 console=ttySTM0,115200 rootwait panic=10 bistable.slot=b'
if load mmc 0:7 ${kernel_addr_r} /boot/Image; then
if load mmc 0:7 ${fdt_addr_r} /boot/stm32mp257f-ev1.dtb; then
booti ${kernel_addr_r} - ${fdt_addr_r}
fi
fi
echo "bistable: slot b cannot be loaded"

elif test ${bistable_n} = 0; then
echo "bistable: passed over slot b: no tries left"
elif setexpr bistable_b_tries ${bistable_n} - 1 && run bistable_save; then
echo "bistable: trying slot b, ${bistable_b_tries} tries left"
setenv bootargs 'root=PARTUUID=b5993ea8-dbde-5005-931a-d4ed09f21776 console=ttySTM0,115200 rootwait panic=10 bistable.slot=b'
if load mmc 0:7 ${kernel_addr_r} /boot/Image; then
if load mmc 0:7 ${fdt_addr_r} /boot/stm32mp257f-ev1.dtb; then
booti ${kernel_addr_r} - ${fdt_addr_r}
fi
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
setenv bootargs 'root=PARTUUID=2a476fa8-abd9-5df4-bfc6-65106846a7f2 console=ttySTM0,115200 rootwait panic=10 bistable.slot=a'
if load mmc 0:6 ${kernel_addr_r} /boot/Image; then
if load mmc 0:6 ${fdt_addr_r} /boot/stm32mp257f-ev1.dtb; then
booti ${kernel_addr_r} - ${fdt_addr_r}
fi
fi
echo "bistable: slot a cannot be loaded"

fi
if test ${bistable_s} = b; then
echo "bistable: booting slot b"
setenv bootargs 'root=PARTUUID=b5993ea8-dbde-5005-931a-d4ed09f21776 console=ttySTM0,115200 rootwait panic=10 bistable.slot=b'
if load mmc 0:7 ${kernel_addr_r} /boot/Image; then
if load mmc 0:7 ${fdt_addr_r} /boot/stm32mp257f-ev1.dtb; then
booti ${kernel_addr_r} - ${fdt_addr_r}
fi
fi
echo "bistable: slot b cannot be loaded"

fi
done
reset
