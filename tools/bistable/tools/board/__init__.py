"""Boards: facts in `board.toml` (docs/reference/board.md), and all that is rendered, checked and tested by them."""
