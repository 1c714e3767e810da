"""Bringing a board up: the suite that proves that it updates safely, its report, and a look at a live device."""
