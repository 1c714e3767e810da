"""UEFI itself as the boot loader: BootNext for a trial, BootOrder for what stays.

Each slot has a boot entry, `Boot####`, that loads `EFI/bistable/<slot>/linux.efi` from the boot partition; the kernel's
arguments, with `root=...` and `bistable.slot=<slot>`, are in it. It is found by its description, `bistable a` or
`bistable b`, or by the number in the settings. Entries are made when the device is set up; nothing here makes one.

The firmware takes the entry in BootNext once: it deletes BootNext before it starts anything. Otherwise it goes through
BootOrder and starts the first entry that it can load. So a trial has one try, whatever `boot.tries` says; whether the
firmware really deletes BootNext, and keeps what was written, depends on who made it. An entry that loads and then hangs
is not given up by the firmware: a watchdog has to reset the machine.

| a slot is                         | in BootOrder | BootNext   |
|-----------------------------------|--------------|------------|
| good                              | yes          | not it     |
| on trial                          | no           | it         |
| running on trial, or given up     | no           | not it     |
| forbidden                         | no           | not it     |

| call     | refused when                                        | writes, in this order                               |
|----------|-----------------------------------------------------|-----------------------------------------------------|
| status   |                                                     | nothing; `tries_left` is 1 if BootNext is it        |
| primary  |                                                     | nothing; BootNext, or the first slot in BootOrder   |
| place    |                                                     | kernel and initial RAM disk to the boot partition   |
| forbid   | it runs; the other is not good                      | no BootNext; BootOrder without it                   |
| activate | it runs and is good; the other is not good          | BootOrder = the other, ..., not it; BootNext = it   |
| confirm  | it does not run                                     | BootOrder = it, ...; no BootNext                    |
| restore  | it is not good, and does not run or the other is    | no BootNext; BootOrder = it, ..., without the other |
| rearm    | it does not run                                     | BootNext = it, if it is not good                    |

Entries of others (a shell, the network) stay in BootOrder, behind. A trial that was given up while it still runs is not
told from one that was not: `confirm` believes its caller. The canary is BootCurrent: the entry that the firmware says
it started has to be that of the running slot.
"""
