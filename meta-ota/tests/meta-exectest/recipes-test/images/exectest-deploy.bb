SUMMARY = "Stands in for the recipes of kernel and boot loader: deploys files that are given"
LICENSE = "Apache-2.0"
INHIBIT_DEFAULT_DEPS = "1"
PACKAGE_ARCH = "${MACHINE_ARCH}"

inherit deploy nopackages

do_configure[noexec] = "1"
do_compile[noexec] = "1"
do_install[noexec] = "1"
do_deploy[file-checksums] += "${@' '.join('%s:True' % path for path in (d.getVar('EXECTEST_DEPLOYED') or '').split())}"

do_deploy () {
    install -d ${DEPLOYDIR}
    for file in ${EXECTEST_DEPLOYED}; do
        install -m 0644 $file ${DEPLOYDIR}
    done
}
addtask deploy after do_install before do_build
deltask do_populate_lic
