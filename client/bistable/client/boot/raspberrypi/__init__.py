"""The firmware of the Raspberry Pi: a boot partition for each slot, `autoboot.txt`, and the word `tryboot`.

The firmware reads `autoboot.txt` from the first FAT partition, at most 512 bytes of it:

    [all]
    tryboot_a_b=1
    boot_partition=2
    [tryboot]
    boot_partition=3

It boots from the partition in `[all]`, unless the restart was asked for with the argument `0 tryboot`; then from the
one in `[tryboot]`. It forgets that word before it starts anything: any other reset, a power cut or a watchdog's for
example, boots from `[all]` again. So a trial has one try, and nothing has to count. That also means:

- A power cut during a trial ends it, also while it waits for its commit: there is nothing that could give it its try
  again (no `rearm`).
- The slot in `[all]` has nothing to fall back to. If it does not come up, the firmware does not try the other one.
- Whoever restarts the device has to say the word. It is kept in /run until the restart: where systemd runs, in the
  file from which it takes the argument of any restart, so that `reboot` by hand does as well. Elsewhere only this
  client's own restart says it.

Each slot has a boot partition with `config.txt`, a kernel and a `cmdline.txt` which names the slot: `root=...` and
`bistable.slot=a` or `b`. This, and `/`, is how the running slot is known. The firmware says in the device tree from
which partition it booted; if that is not the partition of the running slot, the settings are wrong (canary).

| slot is   | `[all]`   | `[tryboot]` | word in /run |
|-----------|-----------|-------------|--------------|
| good      | it        | whatever    | whatever     |
| on trial  | the other | it          | yes          |
| given up  | the other | it          | no           |
| forbidden | the other | the other   | no           |

| call     | refused when                                         | writes                                             |
|----------|------------------------------------------------------|----------------------------------------------------|
| status   |                                                      | nothing; the firmware does not tell a try from none|
| primary  |                                                      | nothing; `[tryboot]` if the word is there          |
| forbid   | it runs; it is the one in `[all]`                    | no word, `[tryboot]` = the other                   |
| activate | it is the one in `[all]`                             | `[tryboot]` = it, the word                         |
| confirm  | it does not run; it is in neither of both            | no word, `[all]` and `[tryboot]` = it              |
| restore  | it is in `[tryboot]` only: on trial, or given up     | no word, `[all]` and `[tryboot]` = it              |

After `confirm` nothing says any more that the other slot was good, so `restore` has to believe its caller.
"""
