# An image whose root file system lies in a slot: it fills the slot, is packed into artifacts, and is on the disk twice.

inherit bistable_signing

IMAGE_INSTALL:append = " packagegroup-bistable"

# The file system fills the slot: payload and slot are the same bytes, and what is too large is found in the build.
IMAGE_ROOTFS_SIZE = "${@int(d.getVar('BISTABLE_SLOT_SIZE_MB')) * 1024}"
IMAGE_ROOTFS_MAXSIZE = "${IMAGE_ROOTFS_SIZE}"
IMAGE_OVERHEAD_FACTOR = "1"
# The same content gives the same bytes; and what GRUB before 2.12 cannot read is left out.
BISTABLE_EXT4_UUID = "${@metaota.machine.file_system_uuid(d.getVar)}"
# nooelint: oelint.vars.overrideappend - to what there is for this type
EXTRA_IMAGECMD:ext4:append = " -U ${BISTABLE_EXT4_UUID} -E hash_seed=${BISTABLE_EXT4_UUID} -O ^metadata_csum_seed,^orphan_file"

BISTABLE_PAYLOAD = "${IMAGE_LINK_NAME}.${BISTABLE_ROOTFS_FSTYPE}"

python () {
    # What recipes add, as that of core-image-minimal does for systemd, there is no room for.
    d.setVar('IMAGE_ROOTFS_EXTRA_SPACE', '0')
    # Nor for what BSPs round sizes up to.
    d.setVar('IMAGE_ROOTFS_ALIGNMENT', '1')
    for message in metaota.checks.name_mistakes(d.getVar('BISTABLE_PAYLOAD')):
        raise bb.parse.SkipRecipe(message)
}

# --- the root file system

# Beside the image and its SDK, the core layer leaves a file with all variables, for tests.
python bistable_forget_secrets () {
    for name in metaota.signing.SECRETS:
        d.delVar(name)
}
do_rootfs[prefuncs] += "bistable_forget_secrets"
do_populate_sdk[prefuncs] += "bistable_forget_secrets"

ROOTFS_POSTPROCESS_COMMAND:append = " bistable_rootfs"
do_rootfs[depends] += "bistable-slots:do_deploy"
do_rootfs[vardeps] += "BISTABLE_ARTIFACT_NAME"

bistable_rootfs () {
    install -d ${IMAGE_ROOTFS}${sysconfdir}/mender ${IMAGE_ROOTFS}/data
    echo "artifact_name=${BISTABLE_ARTIFACT_NAME}" > ${IMAGE_ROOTFS}${sysconfdir}/mender/artifact_info
    table=${IMAGE_ROOTFS}${sysconfdir}/fstab
    touch $table
    # What the layout mounts goes before what is said of the same place.
    while read -r device point rest; do
        sed -i "\,^[^#[:space:]]*[[:space:]]*$point[[:space:]],d" $table
        install -d ${IMAGE_ROOTFS}$point
        echo "$device $point $rest" >> $table
    done < ${DEPLOY_DIR_IMAGE}/bistable/fstab
}

# What lies on a boot partition of a slot, for firmware that reads nothing else, lies in the slot as well: the client
# copies it from there.
ROOTFS_POSTPROCESS_COMMAND:append = " ${@'bistable_firmware' if metaota.firmware.chooses(d.getVar) else ''}"
do_rootfs[depends] += "${@'rpi-bootfiles:do_deploy virtual/kernel:do_deploy' if metaota.firmware.chooses(d.getVar) else ''}"
do_rootfs[vardeps] += "IMAGE_BOOT_FILES_label-BOOT-A"

python () {
    for label, words in metaota.firmware.boot_files(d.getVar).items():
        d.setVar('IMAGE_BOOT_FILES_label-%s' % label, words)
        d.appendVar('WICVARS', ' IMAGE_BOOT_FILES_label-%s' % label)
}

python bistable_firmware () {
    import glob
    import shutil
    deployed, folder = d.getVar('DEPLOY_DIR_IMAGE'), d.getVar('IMAGE_ROOTFS') + metaota.firmware.FOLDER
    def matches(pattern):
        return [os.path.relpath(path, deployed) for path in glob.glob(os.path.join(deployed, pattern))]
    for target, source in metaota.firmware.copies(d.getVar('IMAGE_BOOT_FILES_label-BOOT-A'), matches).items():
        path = os.path.join(folder, target)
        if not os.path.isfile(os.path.join(deployed, source)):
            bb.fatal('IMAGE_BOOT_FILES has %s, and there is no such file in DEPLOY_DIR_IMAGE.' % source)
        bb.utils.mkdirhier(os.path.dirname(path))
        shutil.copyfile(os.path.join(deployed, source), path)
        os.chmod(path, 0o644)
}

# --- the data partition: what recipes put into /data is there from the start, and not in the slots

IMAGE_PREPROCESS_COMMAND:append = " bistable_take_data"
BISTABLE_DATA_TREE = "${WORKDIR}/bistable-data"
PSEUDO_INCLUDE_PATHS .= ",${BISTABLE_DATA_TREE}"
do_rootfs[cleandirs] += "${BISTABLE_DATA_TREE}"

bistable_take_data () {
    install -d ${BISTABLE_DATA_TREE}
    if [ -n "$(ls -A ${IMAGE_ROOTFS}/data)" ]; then
        cp -a ${IMAGE_ROOTFS}/data/. ${BISTABLE_DATA_TREE}
        find ${IMAGE_ROOTFS}/data -mindepth 1 -delete
    fi
    cp -r --no-preserve=ownership ${DEPLOY_DIR_IMAGE}/bistable/data/. ${BISTABLE_DATA_TREE}
    chown -R 0:0 ${BISTABLE_DATA_TREE}/bistable
    chmod 0700 ${BISTABLE_DATA_TREE}/bistable
}

# --- the artifacts

BISTABLE_WRITE_OPTIONS = "--artifact-name '${BISTABLE_ARTIFACT_NAME}' \
    ${@' '.join('--device-type %s' % word for word in d.getVar('BISTABLE_COMPATIBLE_TYPES').split())} \
    ${@' '.join('--provides %s' % word for word in d.getVar('BISTABLE_PROVIDES').split())} \
    ${@' '.join('--depends %s' % word for word in d.getVar('BISTABLE_DEPENDS').split())} \
    ${@' '.join('--artifact-name-depends %s' % word for word in d.getVar('BISTABLE_DEPENDS_NAMES').split())} \
    ${@' '.join('--depends-groups %s' % word for word in d.getVar('BISTABLE_DEPENDS_GROUPS').split())} \
    ${@' '.join('--script %s' % word for word in d.getVar('BISTABLE_STATE_SCRIPTS').split())} \
    ${@'--provides-group %s' % d.getVar('BISTABLE_GROUP') if d.getVar('BISTABLE_GROUP') else ''}"

IMAGE_TYPEDEP:mender = "${BISTABLE_ROOTFS_FSTYPE}"
IMAGE_CMD:mender () {
    bistable_refuse_example_key
    bistable artifact write rootfs --no-progress --file ${IMGDEPLOYDIR}/${BISTABLE_PAYLOAD} \
        ${BISTABLE_WRITE_OPTIONS} --compression ${BISTABLE_COMPRESSION} ${BISTABLE_SIGN_OPTIONS} \
        ${BISTABLE_ARTIFACT_ARGS} --output-path ${IMGDEPLOYDIR}/${IMAGE_NAME}.mender ||
        bbfatal "cannot write the artifact: what bistable says is above"
    bistable_check_artifact ${IMGDEPLOYDIR}/${IMAGE_NAME}.mender
}
do_image_mender[depends] += "bistable-native:do_populate_sysroot"
do_image_mender[prefuncs] += "bistable_check_keys"

# Says of a new device what the artifact says of one that was updated; the client reads it once, at its first start.
IMAGE_TYPEDEP:bootstrap-artifact = "${BISTABLE_ROOTFS_FSTYPE}"
# nooelint: oelint.task.dash - the name of the type, which builds with meta-mender use
IMAGE_CMD:bootstrap-artifact () {
    bistable_refuse_example_key
    digest=$(sha256sum ${IMGDEPLOYDIR}/${BISTABLE_PAYLOAD} | cut -d ' ' -f 1)
    bistable artifact write bootstrap --artifact-name '${BISTABLE_ARTIFACT_NAME}' \
        ${@' '.join('--device-type %s' % word for word in d.getVar('BISTABLE_COMPATIBLE_TYPES').split())} \
        --provides rootfs-image.checksum:$digest --provides 'rootfs-image.version:${BISTABLE_ARTIFACT_NAME}' \
        ${@' '.join('--provides %s' % word for word in d.getVar('BISTABLE_PROVIDES').split())} \
        ${BISTABLE_SIGN_OPTIONS} --output-path ${IMGDEPLOYDIR}/${IMAGE_NAME}.bootstrap-artifact ||
        bbfatal "cannot write the bootstrap artifact: what bistable says is above"
    bistable_check_artifact ${IMGDEPLOYDIR}/${IMAGE_NAME}.bootstrap-artifact
    install -D -m 0600 ${IMGDEPLOYDIR}/${IMAGE_NAME}.bootstrap-artifact ${BISTABLE_DATA_TREE}/bistable/bootstrap.mender
}
do_image_bootstrap_artifact[depends] += "bistable-native:do_populate_sysroot"
do_image_bootstrap_artifact[prefuncs] += "bistable_check_keys"

# --- the bill of materials, attested beside the artifact

# The classes of both series: SPDX 2.2 is made with the root file system, SPDX 3 by a task of its own.
BISTABLE_SBOM_MADE = "${@d.getVar('SPDXIMAGEWORK') if bb.data.inherits_class('create-spdx-2.2', d) else d.getVar('DEPLOY_DIR_IMAGE') if bb.data.inherits_class('create-spdx-image-3.0', d) else ''}"
BISTABLE_SBOM_FILES = "${@metaota.signing.sboms(d.getVar)}"
BISTABLE_ATTESTED = "${WORKDIR}/attested"

python () {
    if d.getVar('BISTABLE_SBOM_FILES') and metaota.signing.words(d.getVar) and 'mender' in d.getVar('IMAGE_FSTYPES').split():
        bb.build.addtask('do_bistable_attest', 'do_build', 'do_image_complete do_create_image_sbom_spdx', d)
}

do_bistable_attest[cleandirs] = "${BISTABLE_ATTESTED}"
do_bistable_attest[prefuncs] += "bistable_check_keys"
do_bistable_attest[depends] += "bistable-native:do_populate_sysroot"
SSTATETASKS += "do_bistable_attest"
do_bistable_attest[sstate-inputdirs] = "${BISTABLE_ATTESTED}"
do_bistable_attest[sstate-outputdirs] = "${DEPLOY_DIR_IMAGE}"
# As with the image itself, which is made anew and never taken from there.
SSTATE_SKIP_CREATION:task-bistable-attest = "1"
do_bistable_attest () {
    bistable artifact attest --no-progress ${@' '.join('--sbom %s' % path for path in d.getVar('BISTABLE_SBOM_FILES').split())} \
        ${BISTABLE_SIGN_OPTIONS} --output-path ${BISTABLE_ATTESTED}/${IMAGE_NAME}.mender.intoto.jsonl \
        ${DEPLOY_DIR_IMAGE}/${IMAGE_NAME}.mender ||
        bbfatal "cannot attest the bill of materials: what bistable says is above. BISTABLE_SBOM = \"none\" leaves it out."
    if [ "${IMAGE_LINK_NAME}" != "${IMAGE_NAME}" ]; then
        ln -s ${IMAGE_NAME}.mender.intoto.jsonl ${BISTABLE_ATTESTED}/${IMAGE_LINK_NAME}.mender.intoto.jsonl
    fi
}

# --- the disk

# Made by `bistable image files`, as everything that boots from it; and before what the machine or BSP says.
WKS_FULL_PATH:forcevariable = "${DEPLOY_DIR_IMAGE}/bistable/disk.wks"
WKS_FILE_CHECKSUM:forcevariable = ""
BISTABLE_BOOT_FILES = "${@' '.join(metaota.machine.boot_files(d.getVar))}"
BISTABLE_BOOT_FILES[vardepvalue] = "${BISTABLE_BOOT_FILES}"
IMAGE_BOOT_FILES:append = " ${BISTABLE_BOOT_FILES}"
# nooelint: oelint.vars.overrideappend - to what there is for this type
IMAGE_TYPEDEP:wic:append = " ${BISTABLE_ROOTFS_FSTYPE} bootstrap-artifact"
WICVARS:append = " BISTABLE_DATA_TREE"
# Slots of a master boot record are found by the identifier of the disk, which wic makes up.
IMAGE_CMD:wic:append () {
    id=$(sed -n 's/.*sfdisk --disk-id IMAGE \(0x[0-9A-Fa-f]*\).*/\1/p' ${WKS_FULL_PATH})
    if [ -n "$id" ]; then
        sfdisk --quiet --disk-id "$out.wic" "$id"
    fi
}
do_image_wic[depends] += "bistable-slots:do_deploy util-linux-native:do_populate_sysroot virtual/kernel:do_deploy"
do_image_wic[depends] += "${@'%s:do_deploy' % metaota.machine.RECIPES.get(d.getVar('BISTABLE_BOOTLOADER'), 'bistable-slots')}"
do_image_wic[vardeps] += "BISTABLE_BOOTLOADER"

# wic would say it, too, but not which variable it is about.
python bistable_check_blobs () {
    def size_of(name):
        path = os.path.join(d.getVar('DEPLOY_DIR_IMAGE'), name)
        return os.path.getsize(path) if os.path.isfile(path) else None
    found = metaota.blobs.misfits(d.getVar, size_of)
    if found:
        bb.fatal('\n'.join(found))
}
do_image_wic[prefuncs] += "bistable_check_blobs"
do_image_wic[depends] += "${@' '.join('%s:do_deploy' % recipe for recipe in d.getVar('BISTABLE_BLOBS_RECIPES').split())}"
