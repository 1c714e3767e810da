"""The version that the client says it is."""

from importlib.metadata import version

from bistable.client.version import VERSION


def test_the_version_is_that_of_the_package() -> None:
    assert version("bistable") == VERSION
