"""What a device needs to boot one of two slots, and what it would boot, told from the bytes on its disk."""
