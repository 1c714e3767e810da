SUMMARY = "Bindings for the compression library zstd"
DESCRIPTION = "Compresses and decompresses with zstd, streamed. The library is built in, in the version that the bindings \
are made for."
HOMEPAGE = "https://github.com/indygreg/python-zstandard"
SECTION = "devel/python"
LICENSE = "BSD-3-Clause"
LIC_FILES_CHKSUM = "file://LICENSE;md5=3ae87c50fd64b6f0942823686871e758"

inherit pypi setuptools3

SRC_URI[sha256sum] = "8226a33c542bcb54cd6bd0a366067b610b41713b64c9abec1bc4533d69f51e70"

# Its build description pins versions of its build tools and a backend of setuptools that is going away. The C extension
# needs none of that; without cffi, the other one is left out.
# nooelint: oelint.vars.insaneskip
INSANE_SKIP += "pep517-backend"

RDEPENDS:${PN} = "python3-core python3-io"

BBCLASSEXTEND = "native nativesdk"
