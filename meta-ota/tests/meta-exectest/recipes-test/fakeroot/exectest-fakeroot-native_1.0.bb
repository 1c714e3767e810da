SUMMARY = "Stands in for pseudo-native, which comes from the computer"
LICENSE = "Apache-2.0"
INHIBIT_DEFAULT_DEPS = "1"

inherit native

PROVIDES = "virtual/fakeroot-native"

do_configure[noexec] = "1"
do_compile[noexec] = "1"
do_install[noexec] = "1"
deltask do_populate_lic
