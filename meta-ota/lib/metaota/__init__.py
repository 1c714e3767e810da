"""What the classes and recipes of this layer compute, in plain Python: no function here knows bitbake.

Values of variables come from `get`, which is `d.getVar` in a build and that of a dictionary in tests.
"""

BBIMPORTS = ["machine", "firmware", "sizes", "blobs", "layout", "checks", "signing", "settings", "uboot"]
"""Modules that bitbake makes available in all classes and recipes."""
