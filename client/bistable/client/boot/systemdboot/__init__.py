"""systemd-boot, from version 250 on: an entry for each slot, whose file name holds its tries.

Entries are files `loader/entries/bistable-<slot>[+LEFT[-DONE]].conf` of type #1 (Boot Loader Specification). Before
systemd-boot starts one with a counter, it renames it: one LEFT less, one DONE more. It goes through the entries in this
order, and starts the first one without asking:

1. those that have tries left, or no counter, before those with `+0`;
2. those with a `sort-key` before those without, by `sort-key`: ours all have `bistable`;
3. the higher `version` first: each activation writes the next number;
4. the later name first.

An entry whose kernel is not there is passed over, and nothing is counted. An entry with `+0` is not removed, and booted
if there is nothing else. If a kernel is there and cannot be started, its try is used up, and systemd-boot returns to
the firmware: that has to start the machine again by itself, or a watchdog has to.

| a slot is | its entry               |
|-----------|-------------------------|
| good      | `bistable-a.conf`       |
| on trial  | `bistable-a+2-1.conf`   |
| used up   | `bistable-a+0-3.conf`   |
| forbidden | none                    |

What the calls refuse, and what they make of this, stands in the table of `boot.table`; they do it like this:

| call     | on the boot partition                                                                              |
|----------|----------------------------------------------------------------------------------------------------|
| status   | nothing; `tries_left` is LEFT                                                                      |
| primary  | nothing; the first one in the order above                                                          |
| place    | kernel and initial RAM disk to `EFI/bistable/<slot>/linux.efi` and `initrd.img`                     |
| forbid   | removes the slot's entry                                                                           |
| activate | writes an entry with all tries and the highest version                                             |
| confirm  | renames the entry to the name without a counter (what `systemd-bless-boot` does)                    |
| restore  | the same, and removes the other slot's entry                                                       |
| rearm    | renames the entry to the name with all tries                                                       |

Each step leaves an entry of a good slot, whose file is not touched. The kernel's arguments of a slot, with `root=...`
and `bistable.slot=<slot>`, stand in `EFI/bistable/<slot>/options`: they belong to the device, and no update changes
them. The canary is what systemd-boot says it started (EFI variable LoaderEntrySelected).

`systemd-bless-boot.service` has to be masked: it would confirm a trial before this client has looked whether it is
well. A default, in `loader.conf` or in an EFI variable, would be started whatever is counted; there must be none.
"""
