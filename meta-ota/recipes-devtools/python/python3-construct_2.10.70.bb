SUMMARY = "Declarative parser and builder of binary data"
DESCRIPTION = "Formats of binary data are described by objects, which then read and write them."
HOMEPAGE = "https://construct.readthedocs.io"
SECTION = "devel/python"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://LICENSE;md5=202b39559c1c79fe4715ce81e9e0ac02"

inherit pypi setuptools3

SRC_URI[sha256sum] = "4d2472f9684731e58cc9c56c463be63baa1447d674e0d66aeb5627b22f512c29"

RDEPENDS:${PN} = "python3-core python3-crypt python3-io python3-pickle"

BBCLASSEXTEND = "native nativesdk"
