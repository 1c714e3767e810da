"""What the client replaces or renames on a boot partition is whole after a power cut: FAT forgets sizes otherwise."""

from pathlib import Path

import pytest

from bistable.qemu.kinds import Kind
from bistable.tools.disk.fat import read_fat
from boot_bench import bench

WRITES = """\
from pathlib import Path
from bistable.client.files import rename, replacing
boot = Path("{boot}")
for name in ("first", "replaced", "replaced", "renamed"):
    with replacing(boot / name) as file:
        file.write(name.encode() * 100)
rename(boot / "renamed", boot / "new")
"""


@pytest.mark.boots
def test_files_on_fat_are_whole_when_the_power_goes_right_after_they_were_written(tmp_path: Path) -> None:
    with bench(Kind.X86_64_SYSTEMD_BOOT, tmp_path) as it:
        it.device.boot()
        boot = it.device.run("grep vfat /proc/mounts | cut -d ' ' -f 2").output.strip()
        it.device.run(f"cat > /run/writes.py <<'END'\n{WRITES.format(boot=boot)}END\npython3 /run/writes.py")
        it.device.cut_power()
        assert it.disk is not None
        start = it.rig.geometry.partition("boot").start
        found = {name: read_fat(it.disk, start, name, limit=4096) for name in ("first", "replaced", "renamed", "new")}
    assert found == {"first": b"first" * 100, "replaced": b"replaced" * 100, "renamed": None, "new": b"renamed" * 100}
