"""Whether a device runs from its slots as the build means it: cases for `bitbake -c testimage`."""
# ruff: noqa: D102, PT009 - the framework prints names, and messages of unittest

import json

from oeqa.core.decorator.depends import OETestDepends
from oeqa.runtime.case import OERuntimeTestCase
from oeqa.runtime.decorator.package import OEHasPackage

# What the layer computes is imported by bitbake, and not here: its folder is on the path of neither.
UNITS = {"service": "bistabled.service", "timer": "bistable-once.timer", "by-hand": "bistable-recover.service"}


class BistableTest(OERuntimeTestCase):
    """A freshly flashed device: nothing has been installed on it yet."""

    def output(self, command):
        """Return what a command on the device wrote to standard output; it has to end well."""
        status, output = self.target.run(f"{command} 2>/dev/null")
        self.assertEqual(status, 0, msg=f"{command}: exit code {status}: {output}")
        return output

    def answer(self, command):
        """Return what `bistablectl` says of the device."""
        status, output = self.target.run(f"bistablectl {command} --json 2>/dev/null")
        try:
            return json.loads(output)
        except ValueError:
            self.fail(f"bistablectl {command}: exit code {status}: {output}")

    def findings(self, area):
        """Return what the doctor found in an area."""
        return [found for found in self.answer("doctor")["findings"] if found["area"] == area]

    @OETestDepends(["ssh.SSHTest.test_ssh"])
    @OEHasPackage(["bistable-client"])
    def test_client_is_there(self):
        self.assertIn("bistablectl", self.output("bistablectl --version"))

    @OETestDepends(["bistable.BistableTest.test_client_is_there"])
    def test_doctor_finds_no_faults(self):
        found = self.answer("doctor")
        bad = [f"{each['area']}: {each['what']}" for each in found["findings"] if each["grade"] == "bad"]
        self.assertEqual(found["faults"], 0, msg="\n".join(bad))

    @OETestDepends(["bistable.BistableTest.test_client_is_there"])
    def test_slot_a_runs_and_is_good(self):
        slots = self.answer("status")["slots"]
        self.assertIsNotNone(slots, msg="the client knows of no slots")
        self.assertEqual((slots["running"], slots["next"]), ("a", "a"))
        self.assertTrue(slots["state"]["a"]["good"])
        self.assertFalse(slots["state"]["b"]["bootable"], msg="slot b would be booted, and nothing was installed there")

    @OETestDepends(["bistable.BistableTest.test_client_is_there"])
    def test_device_is_what_it_was_built_as(self):
        status = self.answer("status")
        self.assertEqual(status["device_type"], self.td["BISTABLE_DEVICE_TYPE"])
        # The name of the artifact is that of the image, which is not known here.
        self.assertIn(f"artifact_name={status['artifact']}", self.output("cat /etc/mender/artifact_info"))

    @OETestDepends(["bistable.BistableTest.test_client_is_there"])
    def test_data_partition_is_mounted_outside_of_the_slots(self):
        places = [line.split()[:2] for line in self.output("cat /proc/mounts").splitlines()]
        devices = {place: device for device, place in places}
        self.assertIn("/data", devices, msg="the data partition is not mounted")
        self.assertEqual(self.output("readlink -f /var/lib/bistable").strip(), "/data/bistable")
        numbers = self.output("stat -c %d / /data").split()
        self.assertNotEqual(numbers[0], numbers[1], msg="/data lies in the slot")
        self.output("touch /data/.written && rm /data/.written")

    @OETestDepends(["bistable.BistableTest.test_client_is_there"])
    def test_client_and_boot_loader_share_one_memory(self):
        found = self.findings("boot loader")
        self.assertIn("good", [each["grade"] for each in found], msg=f"nothing good: {found}")
        wrong = [each["what"] for each in found if each["grade"] in ("bad", "doubt")]
        self.assertEqual(wrong, [])
        if self.td["BISTABLE_BOOTLOADER"].startswith("uboot"):
            self.assertEqual(self.output("fw_printenv -n bistable_order").split()[:1], ["a"])
            seen = self.output("fw_printenv -n bistable_seen").strip()
            self.assertEqual(seen, "1", msg="no canary: U-Boot ran another boot script, or saves elsewhere")

    @OETestDepends(["bistable.BistableTest.test_client_is_there"])
    def test_keys_are_installed_and_trusted(self):
        if self.td["BISTABLE_SIGNING_KEY"] == "none" and not self.td.get("BISTABLE_SIGN_COMMAND"):
            self.skipTest("artifacts of this build are not signed")
        for path in self.td["BISTABLE_VERIFY_KEYS"].split():
            self.output(f"test -s /etc/bistable/keys/{path.rpartition('/')[2]}")
        wrong = [each["what"] for each in self.findings("keys") if each["grade"] in ("bad", "doubt")]
        self.assertEqual(wrong, [])

    @OETestDepends(["bistable.BistableTest.test_client_is_there"])
    def test_what_leads_updates_starts_by_itself(self):
        if "systemd" not in self.td["DISTRO_FEATURES"].split():
            self.skipTest("systemd is not there, whose units are looked at")
        unit = UNITS[self.td["BISTABLE_START"]]
        self.assertEqual(self.output(f"systemctl is-enabled {unit}").strip(), "enabled")
        status, output = self.target.run(f"systemctl --quiet is-failed {unit}")
        self.assertNotEqual(status, 0, msg=f"{unit} has failed: {output}")
