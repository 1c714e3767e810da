SUMMARY = "What the update client is told: keys, servers, and who leads updates"
DESCRIPTION = "Apart from the program, so that the program is built once for all machines. Another recipe may take its \
place: it provides virtual-bistable-conf and is chosen by PREFERRED_RPROVIDER_virtual-bistable-conf."
SECTION = "admin"
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/Apache-2.0;md5=89aea4e17d99a7cacdbeed46a0096b10"

inherit features_check

REQUIRED_DISTRO_FEATURES = "bistable"
PACKAGE_ARCH = "${MACHINE_ARCH}"
INHIBIT_DEFAULT_DEPS = "1"

BISTABLE_UNIT = "${@metaota.settings.UNITS.get(d.getVar('BISTABLE_START'), '')}"
BISTABLE_KEYS = "${@' '.join(metaota.settings.keys(d.getVar))}"
BISTABLE_KEYS[vardepvalue] = "${BISTABLE_KEYS}"

python () {
    chosen = d.getVar('PREFERRED_RPROVIDER_virtual-bistable-conf')
    if chosen != d.getVar('PN'):
        raise bb.parse.SkipRecipe('PREFERRED_RPROVIDER_virtual-bistable-conf is \'%s\', and an image has one configuration: leave %s out of it, or choose it by that variable' % (chosen, d.getVar('PN')))
    for message in metaota.settings.mistakes(d.getVar):
        bb.fatal(message)
}

do_configure[noexec] = "1"

python do_compile () {
    for name, text in metaota.settings.files(d.getVar).items():
        with open(os.path.join(d.getVar('B'), name), 'w') as file:
            file.write(text)
}
do_compile[dirs] = "${B}"
do_compile[cleandirs] = "${B}"
do_compile[vardeps] += "BISTABLE_KEYS BISTABLE_SERVER_URLS"

do_install () {
    install -d ${D}${sysconfdir}/bistable/conf.d ${D}${sysconfdir}/bistable/keys
    find ${B} -name '*.toml' -exec install -m 0644 -t ${D}${sysconfdir}/bistable/conf.d {} +
    for file in ${BISTABLE_CONFIG_FILES}; do
        install -m 0644 $file ${D}${sysconfdir}/bistable/conf.d || bbfatal "BISTABLE_CONFIG_FILES: cannot read $file"
    done
    for key in ${BISTABLE_KEYS}; do
        install -m 0644 $key ${D}${sysconfdir}/bistable/keys || bbfatal "BISTABLE_VERIFY_KEYS: cannot read $key"
    done
    install -d ${D}${sysconfdir}/default ${D}${nonarch_base_libdir}/systemd/system-preset
    echo "start=${BISTABLE_START}" > ${D}${sysconfdir}/default/bistable
    echo "enable ${BISTABLE_UNIT}" > ${D}${nonarch_base_libdir}/systemd/system-preset/50-bistable.preset
}
do_install[file-checksums] += "${@' '.join('%s:True' % path for path in d.getVar('BISTABLE_KEYS').split() + d.getVar('BISTABLE_CONFIG_FILES').split())}"

FILES:${PN} = "${sysconfdir}/bistable ${sysconfdir}/default ${nonarch_base_libdir}/systemd/system-preset"
CONFFILES:${PN} = "${sysconfdir}/bistable/conf.d"
RDEPENDS:${PN} = "bistable-slots"
RPROVIDES:${PN} += "virtual-bistable-conf"
