"""What all tests share."""

import signal
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# Tests import the modules beside them (forge, answers), whatever the way pytest imports the tests themselves.
sys.path.insert(0, str(Path(__file__).parent))

# A shell starts what runs in its background deaf to interrupts, and so would be the programs that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same cases for everybody and no clock; it is the fuzzer that looks for new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes long, unless it is asked for by its mark."""
    if "slow" in config.getoption("-m"):
        return
    for item in items:
        if item.get_closest_marker("slow") is not None:
            item.add_marker(pytest.mark.skip(reason="takes long; run it with -m slow"))
