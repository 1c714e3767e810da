"""A device on the bench: its serial line, its power, its root shell, and a server for its artifacts."""
