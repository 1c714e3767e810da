"""A Jetson: a stand-in for NVIDIA's nvbootctrl, and what its firmware does at each start.

The firmware is modelled from its sources (github.com/NVIDIA/edk2-nvidia: BootChainDxe.c, L4TRootfsValidation.c). Tries
are counted in a register that keeps its content in a restart and loses it with the power. Where the sources leave it
open what nvbootctrl does, it does as little as possible here: it does not remove the result of an earlier request.
"""

import re
from pathlib import Path
from types import SimpleNamespace

from client_boot import PAIR, RESETS, A, B, Device

from bistable.client.boot import Bootloader, BootSettings, make_bootloader
from bistable.client.model import SlotName
from bistable.client.run import run
from bistable.tools.board.render.templates import rendered

TRIES = 3
"""RootfsRetryCountMax, as NVIDIA delivers it."""

NAMES = {A: "0", B: "1"}
VENDOR = "781e084c-a330-417c-b678-38e696380cb9"
UNBOOTABLE = 0xFF
NOTHING_TO_DO = 2

NVBOOTCTRL = """#!/bin/sh
# The commands that L4T r36 has, of those that matter here: mark-boot-successful is not among them.
cd "$(dirname "$0")/.."
value() { od -An -tu1 -j4 -N1 "efivars/$1-@VENDOR@" 2>/dev/null | tr -d ' '; }
put() { printf "\\\\007\\\\000\\\\000\\\\000\\\\$2\\\\000\\\\000\\\\000" >"efivars/$1-@VENDOR@"; }
letter() { [ "$1" = 0 ] && echo A || echo B; }
chain=$(cat chain)
read -r tries0 tries1 <register
[ "$1" != -t ] || shift 2
case $1 in
    get-current-slot) echo "$chain" ;;
    set-active-boot-slot) put BootChainFwNext "00$2" ;;
    verify)
        [ "$chain" = 1 ] || tries0=@TRIES@
        [ "$chain" = 0 ] || tries1=@TRIES@
        echo "$tries0 $tries1" >register
        [ "$chain" = 1 ] || put RootfsStatusSlotA 000
        [ "$chain" = 0 ] || put RootfsStatusSlotB 000
        rm -f efivars/BootChainFwStatus-@VENDOR@ ;;
    dump-slots-info)
        next=$(value BootChainFwNext)
        [ "$(value RootfsStatusSlotA)" = 255 ] && state0=unbootable || state0=normal
        [ "$(value RootfsStatusSlotB)" = 255 ] && state1=unbootable || state1=normal
        echo "Current rootfs slot: $(letter "$chain")           "
        echo "Active rootfs slot: $(letter "${next:-$chain}")           "
        echo "num_slots: 2"
        echo "slot: 0,             retry_count: $tries0,             status: $state0  "
        echo "slot: 1,             retry_count: $tries1,             status: $state1  " ;;
    *) echo "Usage: nvbootctrl [-t <bootloader|rootfs>] command" >&2; exit 1 ;;
esac
"""

CUT = """#!/bin/sh
# Power that fails: from a certain change on nothing has any effect.
here=$(dirname "$0")/..
calls=$(cat "$here/calls")
case "$*" in
    *dump-slots-info | *get-current-slot) ;;
    *)  calls=$((calls + 1))
        echo "$calls" >"$here/calls" ;;
esac
limit=$(cat "$here/limit")
if [ "$calls" -gt "$limit" ]; then echo "no power" >&2; exit 1; fi
exec "@PROGRAM@" "$@"
"""

ENOUGH = 1_000_000


class Jetson(Device):
    """A device with a Jetson, the handler, and the unit that calls `boot-ok`."""

    tries = TRIES

    def __init__(self, folder: Path, *, shell: str = "/bin/sh", unit: bool = True) -> None:
        super().__init__()
        self.folder, self.unit = folder, unit
        self.programs, self.variables = folder / "bin", folder / "efivars"
        for part in (self.programs, self.variables, folder / "data"):
            part.mkdir()
        self.save("chain", "0")
        self.set_variable("RootfsStatusSlotA", 0)
        self.set_variable("RootfsStatusSlotB", 0)
        self.program("nvbootctrl", NVBOOTCTRL.replace("@VENDOR@", VENDOR).replace("@TRIES@", str(TRIES)))
        # What a file system in memory has no use for; a real sync would wait for all of this computer's disks.
        self.program("chattr", '#!/bin/sh\n[ -e "$2" ]\n')
        self.program("sync", "#!/bin/sh\n")
        self.handler = folder / "handler"
        text = handler_text().replace("/sys/firmware/efi/efivars", str(self.variables))
        text = text.replace("/data/bistable/", f"{folder}/data/").replace("#!/bin/sh", f"#!{shell}", 1)
        # The programs here go before those of this computer.
        self.handler.write_text(re.sub(r"^set -eu$", f"set -eu\nPATH={self.programs}:$PATH", text, flags=re.MULTILINE))
        self.handler.chmod(0o755)
        self.power_on()

    def program(self, name: str, text: str) -> None:
        path = self.programs / name
        path.write_text(text)
        path.chmod(0o755)

    def count_changes(self, limit: int = ENOUGH) -> None:
        """Count the calls that change something from now on; after `limit` of them the power fails."""
        self.save("calls", "0")
        self.save("limit", str(limit))
        real = self.folder / "real"
        if not real.exists():
            real.mkdir()
            for name in ("nvbootctrl", "chattr", "sync"):
                (self.programs / name).rename(real / name)
                self.program(name, CUT.replace("@PROGRAM@", str(real / name)))
            for name in ("rm", "mv"):
                self.program(name, CUT.replace("@PROGRAM@", f"/bin/{name}"))

    @property
    def loader(self) -> Bootloader:
        settings = BootSettings(backend="custom", handler=self.handler, boot_names=NAMES)
        return make_bootloader(settings, PAIR, booted=self.booted)

    def memory(self) -> bytes:
        files = sorted([*self.variables.iterdir(), *(self.folder / "data").iterdir()])
        return b"".join(path.name.encode() + path.read_bytes() for path in files)

    def power_on(self, *, broken: set[str] | None = None) -> SlotName | None:  # type: ignore[override]
        """Switch it on: what the register held is lost."""
        self.save("register", "")
        return super().power_on(broken=broken)

    def restart(self, *, broken: set[str] | None = None) -> SlotName | None:
        """Restart it without taking the power away."""
        return super().power_on(broken=broken)

    def _boot(self) -> SlotName | None:
        for _ in range(RESETS):
            number = self._firmware()
            if number is None:
                return None
            slot = SlotName("ab"[number])
            if self.comes_up(slot):
                if self.unit:
                    self.running = slot
                    self.call("boot-ok")
                return slot
        return None

    def call(self, *words: str) -> str:
        return run([self.handler, *words], timeout=20, inherit=True).text.strip()

    def _firmware(self) -> int | None:
        """Return which slot it starts; None: its recovery."""
        for _ in range(RESETS):
            self._take_request()
            chain, other = int(self.load("chain")), 1 - int(self.load("chain"))
            tries = self._register()
            states = [self.variable(f"RootfsStatusSlot{letter}") for letter in "AB"]
            if states == [UNBOOTABLE, UNBOOTABLE]:
                self.save("register", "")
                return None
            if tries[chain] > 0:
                tries[chain] -= 1
                self.save("register", f"{tries[0]} {tries[1]}")
                return chain
            self.set_variable(f"RootfsStatusSlot{'AB'[chain]}", UNBOOTABLE)
            self.save("register", "")
            if tries[other] == 0:
                self.set_variable(f"RootfsStatusSlot{'AB'[other]}", UNBOOTABLE)
                return None
            self.set_variable("BootChainFwNext", other)
            self.remove("BootChainFwStatus")
        return None

    def _take_request(self) -> None:
        wanted = self.variable("BootChainFwNext")
        if wanted is None:
            return
        result = self.variable("BootChainFwStatus")
        chain = int(self.load("chain"))
        if result is None and wanted != chain:
            # A reset in between, to start the other boot chain.
            self.save("chain", str(wanted))
            self.set_variable("BootChainFwStatus", 0)
        elif result is None:
            self.set_variable("BootChainFwStatus", NOTHING_TO_DO)
        self.remove("BootChainFwNext")

    def _register(self) -> list[int]:
        held = self.load("register").split()
        if held:
            return [int(word) for word in held]
        return [0 if self.variable(f"RootfsStatusSlot{letter}") == UNBOOTABLE else TRIES for letter in "AB"]

    def save(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text + "\n")

    def load(self, name: str) -> str:
        return (self.folder / name).read_text().strip()

    def variable(self, name: str) -> int | None:
        path = self.variables / f"{name}-{VENDOR}"
        return path.read_bytes()[4] if path.exists() else None

    def set_variable(self, name: str, value: int) -> None:
        (self.variables / f"{name}-{VENDOR}").write_bytes(bytes([7, 0, 0, 0, value, 0, 0, 0]))

    def remove(self, name: str) -> None:
        (self.variables / f"{name}-{VENDOR}").unlink(missing_ok=True)


def handler_text(names: tuple[str, str] = ("0", "1")) -> str:
    """The handler as a board has it."""
    return rendered("handlers/nvbootctrl", {"vendor": SimpleNamespace(boot_names=names)}).decode()
