SUMMARY = "Updates with two slots, and updates that wait until somebody says go"
DESCRIPTION = "The library and command for update artifacts, the client that installs them on a device, and the service \
that is led by a server and held by applications."
SECTION = "admin"
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57"

inherit python_hatchling systemd update-rc.d

# The layer and the program are one repository, and of one version: sources are taken from where the layer is.
BISTABLE_SOURCE ?= "${@os.path.normpath(d.getVar('LAYERDIR_META_OTA') + '/..')}"
BISTABLE_SOURCE[doc] = "Where the sources of Bistable are: by default the repository that this layer is a folder of."
# nooelint: oelint.vars.fileextrapaths,oelint.vars.outofcontext
FILESEXTRAPATHS:prepend := "${BISTABLE_SOURCE}:"
SRC_URI = "\
    file://pyproject.toml;subdir=${BP} \
    file://README.md;subdir=${BP} \
    file://LICENSE;subdir=${BP} \
    file://artifact/bistable;subdir=${BP} \
    file://board-integrations;subdir=${BP} \
    file://client/bistable;subdir=${BP} \
    file://client/dist;subdir=${BP} \
    file://tools/bistable;subdir=${BP} \
    file://bistable.init \
"
# What Python leaves in a checkout is no source.
BB_SIGNATURE_LOCAL_DIRS_EXCLUDE:append = " __pycache__"

PACKAGECONFIG ??= "${@bb.utils.contains('BBFILE_COLLECTIONS', 'meta-python', 'daemon', '', d)}"
PACKAGECONFIG:class-native ??= "${BISTABLE_TOKEN}"
PACKAGECONFIG:class-nativesdk ??= ""
PACKAGECONFIG[daemon] = ""
PACKAGECONFIG[pkcs11] = ",,python3-pkcs11-native"
# The program is the same whichever token it is.
BISTABLE_TOKEN = "${@'pkcs11' if (d.getVar('BISTABLE_SIGNING_KEY') or '').startswith('pkcs11:') else ''}"
BISTABLE_TOKEN[vardepvalue] = "${BISTABLE_TOKEN}"

# Python 3.14 reads and writes zstd by itself.
BISTABLE_ZSTD = "${@'python3-compression' if bb.utils.vercmp_string_op(d.getVar('PYTHON_BASEVERSION'), '3.14', '>=') else 'python3-zstandard'}"
DEPENDS:append:class-native = " \
    python3-click-native \
    python3-construct-native \
    python3-cryptography-native \
    python3-jinja2-native \
    ${@'python3-zstandard-native' if d.getVar('BISTABLE_ZSTD') == 'python3-zstandard' else ''} \
"

do_install:append() {
    rm -rf ${D}${datadir}/bistable
}

do_install:append:class-target() {
    dist=${S}/client/dist
    for folder in modules inventory identity; do
        install -d ${D}${datadir}/bistable
        cp -R --no-preserve=ownership,mode $dist/$folder ${D}${datadir}/bistable
        find ${D}${datadir}/bistable/$folder -type f -exec chmod 0755 {} +
    done
    for file in $dist/conf.d/*; do
        install -D -m 0644 $file ${D}${sysconfdir}/bistable/conf.d/${file##*/}
    done
    install -d ${D}${sysconfdir}/bistable/keys ${D}${sysconfdir}/bistable/health.d
    install -D -m 0644 $dist/tmpfiles.d/bistable.conf ${D}${nonarch_libdir}/tmpfiles.d/bistable.conf
    install -d ${D}${systemd_system_unitdir}
    install -m 0644 $dist/systemd/* ${D}${systemd_system_unitdir}
    sed -e 's,@PROGRAM@,bistablectl,; s,@ARGUMENTS@,recover,; s,@START@,by-hand,; s,@WHAT@,see to an update in progress after a boot,' \
        ${UNPACKDIR}/bistable.init > ${WORKDIR}/bistable-recover.init
    install -D -m 0755 ${WORKDIR}/bistable-recover.init ${D}${sysconfdir}/init.d/bistable-recover
    if ${@bb.utils.contains('PACKAGECONFIG', 'daemon', 'true', 'false', d)}; then
        sed -e 's,@PROGRAM@,bistabled,; s,@ARGUMENTS@,,; s,@START@,service,; s,@WHAT@,update this device,' \
            ${UNPACKDIR}/bistable.init > ${WORKDIR}/bistabled.init
        install -D -m 0755 ${WORKDIR}/bistabled.init ${D}${sysconfdir}/init.d/bistabled
        for file in $dist/dbus-1/system.d/*; do
            install -D -m 0644 $file ${D}${datadir}/dbus-1/system.d/${file##*/}
        done
        install -D -m 0644 $dist/polkit-1/actions/io.bistable.updates.policy \
            ${D}${datadir}/polkit-1/actions/io.bistable.updates.policy
    else
        rm ${D}${systemd_system_unitdir}/bistabled.service ${D}${systemd_system_unitdir}/bistable-once.*
        rm -r ${D}${bindir}/bistabled ${D}${PYTHON_SITEPACKAGES_DIR}/bistable/client/daemon
    fi
}

# bistable-conf says by a preset which of them starts by itself.
SYSTEMD_PACKAGES = "${PN}-client ${BISTABLE_DAEMON}"
SYSTEMD_SERVICE:${PN}-client = "bistable-recover.service"
SYSTEMD_SERVICE:${PN}-daemon = "bistabled.service bistable-once.timer bistable-once.service"
SYSTEMD_AUTO_ENABLE = "disable"
INITSCRIPT_PACKAGES = "${SYSTEMD_PACKAGES}"
INITSCRIPT_NAME:${PN}-client = "bistable-recover"
INITSCRIPT_PARAMS:${PN}-client = "start 70 2 3 4 5 ."
INITSCRIPT_NAME:${PN}-daemon = "bistabled"
INITSCRIPT_PARAMS:${PN}-daemon = "defaults 80 20"

# Without the service nothing needs its packages, and nothing may be asked to provide what they need.
BISTABLE_DAEMON = "${@bb.utils.contains('PACKAGECONFIG', 'daemon', '${PN}-daemon', '', d)}"
PACKAGES = "${PN}-mender-policies ${PN}-cli ${PN}-tools ${BISTABLE_DAEMON} ${PN}-client ${PN}-artifact ${PN}"
PACKAGES:class-nativesdk = "${PN}"
ALLOW_EMPTY:${PN} = "1"
BISTABLE_MODULES = "${PYTHON_SITEPACKAGES_DIR}/bistable"
FILES:${PN}-artifact = "${BISTABLE_MODULES}/artifact ${PYTHON_SITEPACKAGES_DIR}/bistable-*.dist-info"
FILES:${PN}-cli = "${BISTABLE_MODULES}/artifact/cli ${bindir}/bistable"
FILES:${PN}-tools = "${BISTABLE_MODULES}/tools"
FILES:${PN}-client = "\
    ${BISTABLE_MODULES}/client \
    ${bindir}/bistablectl \
    ${datadir}/bistable \
    ${sysconfdir}/bistable \
    ${sysconfdir}/init.d/bistable-recover \
    ${nonarch_libdir}/tmpfiles.d \
    ${systemd_system_unitdir}/bistable-recover.service \
"
FILES:${PN}-daemon = "\
    ${BISTABLE_MODULES}/client/daemon \
    ${bindir}/bistabled \
    ${sysconfdir}/init.d/bistabled \
    ${systemd_system_unitdir}/bistabled.service \
    ${systemd_system_unitdir}/bistable-once.* \
    ${datadir}/dbus-1/system.d/io.bistable.* \
    ${datadir}/polkit-1 \
"
FILES:${PN}-mender-policies = "${datadir}/dbus-1/system.d/io.mender.*"
FILES:${PN}:class-nativesdk = "${PYTHON_SITEPACKAGES_DIR}/bistable* ${bindir}/*"

SUMMARY:${PN}-artifact = "Library for update artifacts"
SUMMARY:${PN}-cli = "Command that builds, signs, verifies, inspects and changes update artifacts"
SUMMARY:${PN}-tools = "Disk images with two slots"
SUMMARY:${PN}-client = "Client that installs updates into the slot that does not run"
SUMMARY:${PN}-daemon = "Service that asks a server for updates and lets applications hold them"
SUMMARY:${PN}-mender-policies = "Bus policies for applications that speak io.mender"

# By the modules that each part imports; a test compares.
RDEPENDS:${PN}-artifact:class-target = "\
    python3-asyncio \
    python3-compression \
    python3-core \
    python3-crypt \
    python3-cryptography \
    python3-datetime \
    python3-difflib \
    python3-email \
    python3-fcntl \
    python3-io \
    python3-json \
    python3-math \
    python3-netclient \
    python3-shell \
    python3-tomllib \
    ${BISTABLE_ZSTD} \
"
RDEPENDS:${PN}-cli:class-target = "${PN}-artifact python3-click"
RDEPENDS:${PN}-tools:class-target = "${PN}-cli ${PN}-client python3-construct python3-jinja2 python3-markupsafe"
RDEPENDS:${PN}-client:class-target = "\
    ${PN}-artifact \
    python3-ctypes \
    python3-logging \
    python3-mmap \
    python3-numbers \
    python3-sqlite3 \
    ${@bb.utils.contains('DISTRO_FEATURES', 'bistable', 'virtual-bistable-conf', '', d)} \
"
RDEPENDS:${PN}-daemon:class-target = "${PN}-client dbus python3-dbus-fast python3-xml"
RDEPENDS:${PN}:class-target = "${PN}-client ${BISTABLE_DAEMON}"
RDEPENDS:${PN}:class-nativesdk = "\
    nativesdk-python3-click \
    nativesdk-python3-construct \
    nativesdk-python3-cryptography \
    nativesdk-python3-jinja2 \
    nativesdk-python3-modules \
    ${@'nativesdk-python3-zstandard' if d.getVar('BISTABLE_ZSTD') == 'python3-zstandard' else ''} \
"
# Scripts of update modules are for the shell of the device; what they install with is the device's choice.
RSUGGESTS:${PN}-client:class-target = "dpkg docker podman rpm"

BBCLASSEXTEND = "native nativesdk"
