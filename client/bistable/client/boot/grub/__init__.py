"""GRUB: environment blocks that its script reads and saves, and that we write ourselves, without its tools.

Two layouts: ours (`environment`, two copies in raw places, with the scheme of `boot.uboot.slots`), and that of Mender's
integration (`twodirs`, with the scheme of `boot.uboot.mender`), for devices on which that integration's programs are
missing or broken.

| call     | ours                                | Mender's                                             |
|----------|-------------------------------------|------------------------------------------------------|
| status   | as the newest valid copy says       | as the copy says that the locks let the script read  |
| primary  | as for U-Boot, see `boot.table`     | as for U-Boot, see `boot.uboot.mender`               |
| forbid   | one block written, to the old copy  | copy 2 under its lock, then copy 1 under its lock    |
| activate | the same; 1 to 9 tries              | the same; one try                                    |
| confirm  | the same                            | the same                                             |
| restore  | the same; the other one is forbidden| the same; the other one can no longer be forbidden   |
| rearm    | the same                            | the same                                             |
| probe    | the same values, as the next copy   | a variable that the script does not know             |
"""
