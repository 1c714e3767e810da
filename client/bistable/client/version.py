"""Which version this is. On a device that has our files alone there is no package to ask, and asking takes memory."""

from typing import Final

VERSION: Final = "0.1.0"
