"""Updates on machines that boot: what is committed stays, and what does not come up is rolled back by the boot script."""

import pytest
from boot_bench import NO_KERNEL, bench
from bistable.qemu.kinds import Kind


@pytest.mark.boots
@pytest.mark.parametrize("kind", [Kind.X86_64_GRUB, Kind.ARM64_UBOOT], ids=str)
def test_an_update_stays_when_it_is_committed_and_a_broken_one_is_rolled_back(kind, tmp_path):
    with bench(kind, tmp_path) as it:
        # As it comes out of the factory.
        assert it.device.boot() == "a"
        assert it.release() == "release-1"
        assert it.loader_said() == ["bistable: booting slot a"]

        # A good update.
        it.install(it.offer("release-2"))
        assert it.device.reboot() == "b"
        assert it.release() == "release-2"
        assert it.loader_said()[1:] == ["bistable: trying slot b, 2 tries left"]
        it.ctl("commit")
        assert it.slots()["state"]["b"]["good"]

        # A broken one. Slot b is good, so nothing is lost.
        it.install(it.offer("release-3", NO_KERNEL))
        assert it.device.reboot() == "b"
        assert it.release() == "release-2"
        assert it.loader_said()[2:] == [
            "bistable: trying slot a, 2 tries left",
            "bistable: slot a cannot be loaded",
            "bistable: trying slot a, 1 tries left",
            "bistable: slot a cannot be loaded",
            "bistable: trying slot a, 0 tries left",
            "bistable: slot a cannot be loaded",
            "bistable: passed over slot a: no tries left",
            "bistable: booting slot b",
        ]
        recovered = it.ctl("recover", allowed=tuple(range(10)))
        print(recovered)
        status = it.ctl("status")
        print(status)
        assert status["artifact"] == "release-2"
        assert status["update"] is None
        assert status["last"]["artifact"] == "release-3"
        assert status["last"]["result"] == "failure"
