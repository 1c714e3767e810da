"""Sizes in words."""


def bytes_text(size: int) -> str:
    """Return a size as board.toml has it: in the largest unit that says it exactly."""
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size and size % (1 << power) == 0:
            return f"{size >> power} {unit}"
    return f"{size} bytes" if size else "0"
