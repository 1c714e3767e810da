SUMMARY = "Where the slots are, and everything that boots them"
DESCRIPTION = "Made from the variables of the build by `bistable image files`: partitions, boot scripts, environments, and \
what the client on the device has to know of all that. So none of them can contradict another one."
SECTION = "admin"
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/Apache-2.0;md5=89aea4e17d99a7cacdbeed46a0096b10"

inherit deploy features_check

REQUIRED_DISTRO_FEATURES = "bistable"
DEPENDS += "bistable-native"
PACKAGE_ARCH = "${MACHINE_ARCH}"
INHIBIT_DEFAULT_DEPS = "1"

# GRUB of OpenEmbedded looks for its script beside itself. What lies in front of the partitions is U-Boot's, whose
# configuration comes from here: it is there only when wic makes the disk.
BISTABLE_FILES_OPTIONS = "\
    --grub-prefix /EFI/BOOT \
    --init ${@bb.utils.contains('DISTRO_FEATURES', 'systemd', 'systemd', 'other', d)} \
    --slot-file '$'{IMGDEPLOYDIR}/'$'{IMAGE_LINK_NAME}.${BISTABLE_ROOTFS_FSTYPE} \
    --data-dir '$'{BISTABLE_DATA_TREE} \
    --environment-file '$'{DEPLOY_DIR_IMAGE}/bistable/boot-env.img \
    --blob-dir '$'{DEPLOY_DIR_IMAGE} \
"

python do_configure () {
    own = d.getVar('BISTABLE_LAYOUT')
    if own:
        if not os.path.exists(own):
            bb.fatal('BISTABLE_LAYOUT is \'%s\', and there is no such file.' % own)
        with open(own) as file:
            text = file.read()
    else:
        text = metaota.layout.render(d.getVar)
    with open(d.expand('${B}/layout.toml'), 'w') as file:
        file.write(text)
}
do_configure[dirs] = "${B}"
do_configure[cleandirs] = "${B}"
do_configure[vardeps] += "BISTABLE_DEVICE_TYPE BISTABLE_STORAGE_SIZE_MB BISTABLE_BOOT_SIZE_MB BISTABLE_DATA_SIZE_MB \
    BISTABLE_SLOT_SIZE_MB BISTABLE_ERASE_BLOCK_MB BISTABLE_BLOBS_END_MB BISTABLE_PARTITION_TABLE \
    BISTABLE_EXTRA_PARTITIONS BISTABLE_DISK_SEED BISTABLE_BOOTLOADER BISTABLE_TRIES BISTABLE_KERNEL BISTABLE_INITRD \
    BISTABLE_DEVICETREE BISTABLE_KERNEL_ARGS BISTABLE_UBOOT_DISK BISTABLE_UBOOT_WATCHDOG BISTABLE_UBOOT_ADDRESSES \
    BISTABLE_BLOBS BISTABLE_ROOTFS_FSTYPE TARGET_ARCH"
do_configure[file-checksums] += "${@'${BISTABLE_LAYOUT}:True' if d.getVar('BISTABLE_LAYOUT') else ''}"

# The layout adds to what the firmware of a Raspberry Pi is configured by.
do_compile[depends] += "${@'rpi-config:do_deploy' if metaota.firmware.chooses(d.getVar) else ''}"
do_compile () {
    rm -rf ${B}/files
    bistable image files ${B}/layout.toml ${BISTABLE_FILES_OPTIONS} --output ${B}/files ||
        bbfatal "cannot lay out the disk: what bistable says is above; ${B}/layout.toml is what the variables BISTABLE_* made"
}

python do_check () {
    import json
    with open(d.expand('${B}/files/disk.json')) as file:
        sizes = {part['name']: part['size'] for part in json.load(file)['partitions']}
    wanted = int(d.getVar('BISTABLE_SLOT_SIZE_MB')) << 20
    if sizes['rootfs-a'] != wanted:
        bb.fatal('BISTABLE_SLOT_SIZE_MB is %s, and the slots of BISTABLE_LAYOUT have %d MiB: root file systems are made for the former. Set BISTABLE_SLOT_SIZE_MB = "%d".'
                 % (d.getVar('BISTABLE_SLOT_SIZE_MB'), sizes['rootfs-a'] >> 20, sizes['rootfs-a'] >> 20))
}
addtask check after do_compile before do_install

do_install () {
    cp -R --no-preserve=ownership ${B}/files/root/. ${D}
}

# The folder is made anew: nothing of another boot loader may stay in it.
do_deploy () {
    install -d ${DEPLOYDIR}/bistable
    for name in boot boot-a boot-b boot-env.img data disk.json disk.wks fstab uboot.config; do
        if [ -e ${B}/files/$name ]; then
            cp -R --no-preserve=ownership --sparse=always ${B}/files/$name ${DEPLOYDIR}/bistable
        fi
    done
}
addtask deploy after do_install before do_build

FILES:${PN} = "${sysconfdir} ${localstatedir} /data /boot"
RDEPENDS:${PN} = "${@'libubootenv-bin' if (d.getVar('BISTABLE_BOOTLOADER') or '').startswith('uboot') else ''}"
# The mark of the link is where the memory of the client is, on a partition that is not there in the build.
# nooelint: oelint.vars.insaneskip
INSANE_SKIP:${PN} += "empty-dirs"
