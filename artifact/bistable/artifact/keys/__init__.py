"""Keys, signers and certificates. FORMAT.md §4."""
