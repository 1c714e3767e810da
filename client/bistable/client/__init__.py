"""The device half: installs update artifacts, switches slots, commits or rolls back, whatever is interrupted."""
