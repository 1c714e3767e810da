"""Boot real disks in QEMU: machines, consoles, and power that is cut. For development; never in the wheel."""
