SUMMARY = "What is done at boot for the data partition"
DESCRIPTION = "Makes it as large as the disk has room, keeps the identity of the machine, and mounts what is kept over \
updates."
SECTION = "admin"
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/Apache-2.0;md5=89aea4e17d99a7cacdbeed46a0096b10"

inherit features_check systemd update-rc.d

REQUIRED_DISTRO_FEATURES = "bistable"
SRC_URI = "file://bistable-data.sh file://bistable-data.service"
S = "${UNPACKDIR}"
PACKAGE_ARCH = "${MACHINE_ARCH}"
INHIBIT_DEFAULT_DEPS = "1"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install () {
    install -D -m 0755 ${UNPACKDIR}/bistable-data.sh ${D}${libexecdir}/bistable/bistable-data
    install -D -m 0644 ${UNPACKDIR}/bistable-data.service ${D}${systemd_system_unitdir}/bistable-data.service
    sed -i -e 's,@LIBEXECDIR@,${libexecdir},' ${D}${systemd_system_unitdir}/bistable-data.service
    install -d ${D}${datadir}/bistable ${D}${sysconfdir}/init.d
    {
        echo "features=\"${BISTABLE_FEATURES}\""
        echo "persist=\"${BISTABLE_PERSIST}\""
    } > ${D}${datadir}/bistable/data.conf
    ln -s ${libexecdir}/bistable/bistable-data ${D}${sysconfdir}/init.d/bistable-data
    # Where the root file system is read-only, nobody could make them later.
    for place in ${BISTABLE_PERSIST}; do
        install -d ${D}$place
    done
}

SYSTEMD_SERVICE:${PN} = "bistable-data.service"
INITSCRIPT_NAME = "bistable-data"
# After the local file systems are mounted, before anything uses what is kept.
INITSCRIPT_PARAMS = "start 36 S ."

FILES:${PN} += "${libexecdir}/bistable ${datadir}/bistable ${BISTABLE_PERSIST}"
RDEPENDS:${PN} = "e2fsprogs-resize2fs util-linux-mount util-linux-partx util-linux-sfdisk"
