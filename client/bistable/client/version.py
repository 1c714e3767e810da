"""Which version this is. Asking what is installed would take a service a megabyte of memory."""

from typing import Final

VERSION: Final = "0.1.0"
