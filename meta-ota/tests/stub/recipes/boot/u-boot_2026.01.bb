SUMMARY = "A boot loader that is configured by what the test says"
LICENSE = "CLOSED"

do_configure () {
    cp ${STUB_UBOOT_CONFIG} ${B}/.config
}
do_configure[dirs] = "${B}"
