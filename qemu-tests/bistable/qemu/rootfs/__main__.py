"""Put a small system for a machine in QEMU into a folder.

python -m bistable.qemu.rootfs ARCHITECTURE FOLDER
"""

import argparse
import shutil
import sys
from pathlib import Path

from bistable.artifact.errors import BistableError
from bistable.qemu.rootfs.build import Profile, base_system, copied
from bistable.qemu.rootfs.kernel import PACKAGE


def main() -> int:
    """Make the folder; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bistable.qemu.rootfs", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("architecture", choices=sorted(PACKAGE), help="as Debian calls it")
    parser.add_argument("folder", type=Path, help="where it goes; what is there is replaced")
    parser.add_argument(
        "--profile", type=Profile, choices=list(Profile), default=Profile.SMALL, help="what kind of system"
    )
    options = parser.parse_args()
    try:
        found = base_system(options.architecture, options.profile)
        shutil.rmtree(options.folder, ignore_errors=True)
        copied(found, options.folder)
    except BistableError as e:
        sys.stderr.write(f"error: {e.what}\n  {e.hint or ''}\n")
        return e.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
