"""UEFI itself as the boot loader: BootNext for a trial, BootOrder for what stays.

Each slot has a boot entry, `Boot####`, that loads `EFI/bistable/<slot>/linux.efi` from the boot partition; the kernel's
arguments, with `root=...` and `bistable.slot=<slot>`, are in it. It is found by its description, `bistable a` or
`bistable b`, or by the number in the settings.

On a new disk, or when the firmware has forgotten them, there are no entries, and the firmware starts `EFI/BOOT`: what
is there has to boot a slot, without counting. Each call that changes something makes the entries that are missing, with
the arguments in `EFI/bistable/<slot>/options`: the running slot's goes first, the other one's is not active. Entries
named in the settings are not made. The kernel of a forbidden slot is removed from the boot partition, so that nothing
can start it.

The firmware takes the entry in BootNext once: it deletes BootNext before it starts anything. Otherwise it goes through
BootOrder and starts the first active entry that it can load. So a trial has one try, whatever `boot.tries` says.
Whether the firmware really deletes BootNext, and keeps what was written, depends on who made it. An entry that loads
and then hangs is not given up by the firmware: a watchdog has to reset the machine.

Both entries stay in BootOrder for ever. Firmware made of EDK II takes a number that is not in there for free, and
overwrites the entry when a new disk appears.

| a slot is            | in BootOrder          | active | BootNext |
|----------------------|-----------------------|--------|----------|
| good                 | before the other      | yes    | not it   |
| on trial             | behind the other      | yes    | it       |
| tried, and not good  | behind the other      | yes    | not it   |
| forbidden            | behind the other      | no     | not it   |

A slot that was tried, or was good before the other one was confirmed, is still started if the first one cannot be
loaded at all.

| call     | refused when                                 | writes, in this order                                      |
|----------|----------------------------------------------|------------------------------------------------------------|
| status   |                                              | nothing; `tries_left` is 1 if BootNext is it               |
| primary  |                                              | nothing; BootNext, or the first active slot in BootOrder   |
| place    |                                              | kernel and initial RAM disk to the boot partition          |
| forbid   | it runs; it is before the other              | no BootNext; its entry is not active; its kernel is gone   |
| activate | it is before the other                       | its entry is active and in BootOrder; BootNext = it        |
| confirm  | it does not run; it is forbidden             | BootOrder = it, ...; no BootNext                           |
| restore  | it is on trial                               | its entry is active; no BootNext; BootOrder = it, ...; the |
|          |                                              | other one's entry is not active                            |
| rearm    | it does not run; it is forbidden             | BootNext = it, if it is not good                           |

Nothing says whether the slot behind was ever good, so `restore` has to believe its caller. Entries of others (a shell,
the network) stay in BootOrder, behind. The canary is BootCurrent: the entry that the firmware says it started must not
be that of the slot that does not run.
"""
