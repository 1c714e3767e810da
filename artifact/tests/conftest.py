"""What all tests share."""

import sys
from pathlib import Path

from hypothesis import settings

# Tests import the modules beside them (forge, outcome), whatever the way pytest imports the tests themselves.
sys.path.insert(0, str(Path(__file__).parent))

# The same cases for everybody and no clock; it is the fuzzer that looks for new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")
