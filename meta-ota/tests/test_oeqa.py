"""The cases for `bitbake -c testimage`, run by the real oeqa on a device that answers from a table."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from layer_files import LAYER, SERIES
from ota_builds import sources

CASES = LAYER / "lib" / "oeqa" / "runtime" / "cases"

# In a process of its own: there, the module `bistable` is the one with the cases.
DRIVER = """
import json, logging, sys
from oeqa.runtime.context import OERuntimeTestContext
given = json.load(sys.stdin)
class Target:
    def run(self, command, *_args, **_more):
        for words, answer in given["answers"].items():
            if words in command:
                return answer
        return 127, command + ": not found"
target = Target()
target.ip = "127.0.0.1"
context = OERuntimeTestContext(given["variables"], logging.getLogger(), target, set(given["packages"]), "")
context.loadTests(given["cases"], modules=["ssh", "bistable"])
result = context.runTests()
bad = [*result.failures, *result.errors]
print(json.dumps({
    "ran": result.testsRun,
    "bad": {case.id().rpartition(".")[2]: text for case, text in bad},
    "skipped": {case.id().rpartition(".")[2]: text for case, text in result.skipped},
}))
"""

SSH = """
from oeqa.runtime.case import OERuntimeTestCase
class SSHTest(OERuntimeTestCase):
    def test_ssh(self):
        pass
"""
"""Stands in for the case that waits for the network of the device."""

SLOT = {"device": "/dev/vda3", "bootable": True, "good": True, "tries_left": None}
STATUS = {
    "artifact": "release-1",
    "device_type": "acorn-2",
    "slots": {"running": "a", "next": "a", "state": {"a": SLOT, "b": SLOT | {"bootable": False, "good": False}}},
}
DOCTOR = {
    "faults": 0,
    "findings": [
        {"area": "boot loader", "grade": "good", "what": "it can be written: what was written was read back"},
        {"area": "keys", "grade": "good", "what": "/etc/bistable/keys/public.pem"},
        {"area": "watchdog", "grade": "note", "what": "none is set"},
    ],
}
VARIABLES = {
    "BISTABLE_BOOTLOADER": "uboot",
    "BISTABLE_DEVICE_TYPE": "acorn-2",
    "BISTABLE_SIGNING_KEY": "/keys/private.pem",
    "BISTABLE_START": "service",
    "BISTABLE_VERIFY_KEYS": "/keys/public.pem",
    "DISTRO_FEATURES": "systemd bistable",
    "MLPREFIX": "",
}
ANSWERS: dict[str, tuple[int, str]] = {
    "bistablectl --version": (0, "bistablectl 0.1.0"),
    "bistablectl status": (0, json.dumps(STATUS)),
    "bistablectl doctor": (0, json.dumps(DOCTOR)),
    "artifact_info": (0, "artifact_name=release-1"),
    "/proc/mounts": (0, "/dev/vda3 / ext4 rw 0 0\n/dev/vda5 /data ext4 rw 0 0"),
    "readlink -f /var/lib/bistable": (0, "/data/bistable"),
    "stat -c %d / /data": (0, "64771\n64773"),
    "touch /data": (0, ""),
    "fw_printenv -n bistable_order": (0, "a b"),
    "fw_printenv -n bistable_seen": (0, "1"),
    "test -s /etc/bistable/keys/public.pem": (0, ""),
    "is-enabled bistabled.service": (0, "enabled"),
    "is-failed": (1, ""),
}

Outcome = dict[str, Any]


def outcome(
    folder: Path, series: str, variables: dict[str, str] | None = None, /, **answers: tuple[int, str]
) -> Outcome:
    """Run the cases; an answer of the device is named by what it is about."""
    here = sources(series)
    (folder / "ssh.py").write_text(SSH)
    named = {command: answers.get(name, ANSWERS[command]) for command, name in zip(ANSWERS, NAMES, strict=True)}
    given = {
        "answers": named,
        "cases": [str(folder), str(CASES)],
        "packages": ["bistable-client", "dropbear"],
        "variables": VARIABLES | (variables or {}),
    }
    done = subprocess.run(
        [sys.executable, "-c", DRIVER],
        input=json.dumps(given),
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{here}/openembedded-core/meta/lib:{here}/bitbake/lib"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: Outcome = json.loads(done.stdout.splitlines()[-1])
    return found


NAMES = (
    "version",
    "status",
    "doctor",
    "name",
    "mounts",
    "memory",
    "devices",
    "written",
    "order",
    "seen",
    "key",
    "enabled",
    "failed",
)


@pytest.mark.parametrize("series", SERIES)
def test_a_device_as_it_should_be_passes_all_cases(series: str, tmp_path: Path) -> None:
    assert outcome(tmp_path, series) == {"ran": 9, "bad": {}, "skipped": {}}


@pytest.mark.parametrize(
    ("answer", "case"),
    [
        ({"version": (127, "not found")}, "test_client_is_there"),
        ({"doctor": (1, json.dumps(DOCTOR | {"faults": 1}))}, "test_doctor_finds_no_faults"),
        ({"status": (0, json.dumps(STATUS | {"slots": None}))}, "test_slot_a_runs_and_is_good"),
        ({"name": (0, "artifact_name=release-2")}, "test_device_is_what_it_was_built_as"),
        ({"mounts": (0, "/dev/vda3 / ext4 rw 0 0")}, "test_data_partition_is_mounted_outside_of_the_slots"),
        ({"devices": (0, "64771\n64771")}, "test_data_partition_is_mounted_outside_of_the_slots"),
        ({"written": (1, "Read-only file system")}, "test_data_partition_is_mounted_outside_of_the_slots"),
        ({"seen": (0, "0")}, "test_client_and_boot_loader_share_one_memory"),
        ({"order": (1, "Cannot initialize environment")}, "test_client_and_boot_loader_share_one_memory"),
        ({"key": (1, "")}, "test_keys_are_installed_and_trusted"),
        ({"enabled": (1, "disabled")}, "test_what_leads_updates_starts_by_itself"),
        ({"failed": (0, "failed")}, "test_what_leads_updates_starts_by_itself"),
    ],
)
def test_a_device_that_is_not_as_it_should_be_fails_the_case(
    answer: dict[str, tuple[int, str]], case: str, tmp_path: Path
) -> None:
    assert case in outcome(tmp_path, "wrynose", **answer)["bad"]


def test_what_the_build_does_not_have_is_skipped_with_the_reason(tmp_path: Path) -> None:
    found = outcome(tmp_path, "wrynose", {"BISTABLE_SIGNING_KEY": "none", "DISTRO_FEATURES": "sysvinit bistable"})
    assert found["bad"] == {}
    assert found["skipped"] == {
        "test_keys_are_installed_and_trusted": "artifacts of this build are not signed",
        "test_what_leads_updates_starts_by_itself": "systemd is not there, whose units are looked at",
    }
