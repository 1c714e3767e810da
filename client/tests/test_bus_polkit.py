"""The real polkit reads our files, and decides by them and by a rule of the device."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from client_bus import DIST, Peer, Served, as_user, busctl, with_server

from bistable.client.bus import names

POLKITD = Path("/usr/lib/polkit-1/polkitd")
POLKIT = "org.freedesktop.PolicyKit1"

# The daemon has a user of its own, and asks the bus about those who call.
POLICY = f"""<policy user="polkitd"><allow own="{POLKIT}"/></policy>
<policy context="default"><allow send_destination="{POLKIT}"/></policy>"""

# Its directories are built in, and so it needs a view of its own of the file system.
START = """mount --bind "$1/actions" /usr/share/polkit-1/actions && mount --bind "$1/rules.d" /etc/polkit-1/rules.d &&
exec "$2" """

pytestmark = pytest.mark.peer


@pytest.fixture
def files() -> Iterator[Path]:
    """Return a folder with our actions, and with our example of a rule, for a user that there is."""
    as_user("nobody")
    if not POLKITD.exists():
        pytest.skip(f"the program {POLKITD} is not installed (Debian: polkitd)")
    # It reads them as a user of its own, who may not look into the folders of tests.
    with TemporaryDirectory(prefix="bistable-polkit-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        mounts = ["unshare", "--mount", "mount", "--bind", name, "/usr/share/polkit-1/actions"]
        if subprocess.run(mounts, capture_output=True, check=False).returncode:
            pytest.skip("it is not allowed here to mount anything")
        for part in ("actions", "rules.d"):
            (folder / part).mkdir()
        shutil.copy(DIST / "polkit-1/actions/io.bistable.updates.policy", folder / "actions")
        example = (DIST / "polkit-1/rules.d/50-bistable-updates.rules.sample").read_text()
        (folder / "rules.d/50-bistable-updates.rules").write_text(example.replace('"kiosk"', '"nobody"'))
        yield folder


async def start(served: Served, files: Path) -> asyncio.subprocess.Process:
    """Start polkit and wait until it is on the bus."""
    peer: Peer = await served.peer()
    await peer.listen(f"type='signal',member='NameOwnerChanged',arg0='{POLKIT}'")
    process = await asyncio.create_subprocess_exec(
        *("unshare", "--mount", "sh", "-c", START, "sh", str(files), str(POLKITD)),
        env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": served.bus.address},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    await peer.until(lambda message: message.member == "NameOwnerChanged" and message.body[0] == POLKIT)
    return process


@pytest.mark.parametrize(
    ("call", "user", "allowed"),
    [
        (["Pause", "ass", "1", "install", ""], "nobody", True),
        (["Continue", "ssb", "", "install", "false"], "nobody", True),
        (["Continue", "ssb", "", "install", "true"], "nobody", False),
        (["Commit"], "nobody", False),
        (["Abort", "ss", "", "no"], "nobody", False),
        (["GetHistory"], "nobody", True),
        (["Pause", "ass", "1", "install", ""], "daemon", False),
        (["Commit"], "root", True),
    ],
)
def test_the_real_polkit_decides(files: Path, call: list[str], user: str, allowed: bool) -> None:
    async def test(served: Served) -> None:
        process = await start(served, files)
        try:
            said = await served.stranger(*busctl("call", names.NAME, names.PATH, names.INTERFACE, *call), user=user)
        finally:
            process.kill()
            await process.wait()
        assert (said.code == 0) == allowed, said.err
        assert allowed or "may not do that" in said.err

    with_server(files, test, more=POLICY)
