"""Stands in for `python3 -m installer` with the options that OpenEmbedded's own has."""

import argparse
import os

from installer import install
from installer.destinations import SchemeDictionaryDestination
from installer.sources import WheelFile

parser = argparse.ArgumentParser()
parser.add_argument("--interpreter")
parser.add_argument("--prefix", default="/usr")
parser.add_argument("--destdir")
parser.add_argument("--compile-bytecode")
parser.add_argument("wheel")
options = parser.parse_args()
packages = os.environ["EXECTEST_SITEPACKAGES"]
places = {
    "purelib": packages,
    "platlib": packages,
    "scripts": f"{options.prefix}/bin",
    "data": options.prefix,
    "headers": f"{options.prefix}/include",
}
with WheelFile.open(options.wheel) as wheel:
    # What OpenEmbedded's writes as the first line of programs is no path, which this one would put into quotes.
    interpreter = options.interpreter.replace("/usr/bin/env ", "/usr/bin/")
    target = SchemeDictionaryDestination(places, interpreter=interpreter, script_kind="posix", destdir=options.destdir)
    install(source=wheel, destination=target, additional_metadata={})
