"""What the tests of the host tools share with all others."""

from every_run import pytest_collection_modifyitems

__all__ = ["pytest_collection_modifyitems"]
