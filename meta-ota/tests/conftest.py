"""What the tests of the Yocto layer share with all others."""

from every_run import pytest_collection_modifyitems

__all__ = ["pytest_collection_modifyitems"]
