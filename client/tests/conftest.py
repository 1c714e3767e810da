"""What the tests of the client share."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from every_run import pytest_collection_modifyitems

if TYPE_CHECKING:
    from client_service import Stations

__all__ = ["pytest_collection_modifyitems"]


@pytest.fixture
def stations(tmp_path: Path) -> Iterator["Stations"]:
    """Give what makes devices with the service; they are gone afterwards."""
    from client_service import Stations

    with Stations(tmp_path) as made:
        yield made
