"""U-Boot, and what speaks like it: variables in a redundant environment, read and set with programs.

Two schemes use the same environment: `slots` (ours, the stronger one) and `mender` (what Mender's boot scripts for
U-Boot, GRUB and systemd-boot understand).
"""
