"""Files and names that are still there after a power cut."""

import os
from pathlib import Path

import pytest

from bistable.client.files import rename


def test_a_renamed_file_is_synced_under_its_new_name_as_fat_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(str(Path(f"/proc/self/fd/{number}").readlink())))
    old, new = tmp_path / "bistable-b+3.conf", tmp_path / "bistable-b.conf"
    old.write_bytes(b"title b")
    new.write_bytes(b"what was there")
    rename(old, new)
    assert synced == [str(new), str(tmp_path)]
    assert (new.read_bytes(), old.exists()) == (b"title b", False)
