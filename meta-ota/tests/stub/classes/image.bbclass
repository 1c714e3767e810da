CONVERSIONTYPES = "gz bmap"
IMAGE_TYPES = "ext4 wic tar"

inherit ${IMAGE_CLASSES}

# Each type is a task, whose function is the command of the type, read with the type as an override.
python () {
    for name in d.getVar('IMAGE_FSTYPES').split():
        kind = name.partition('.')[0]
        own = bb.data.createCopy(d)
        own.setVar('OVERRIDES', '%s:%s' % (kind, d.getVar('OVERRIDES', False)))
        command = own.getVar('IMAGE_CMD')
        if command is None:
            bb.fatal('No IMAGE_CMD defined for IMAGE_FSTYPES entry \'%s\'' % kind)
        task = 'do_image_' + kind.replace('-', '_')
        d.setVar(task, command)
        d.setVarFlag(task, 'func', '1')
        d.delVarFlag('IMAGE_CMD:' + kind, 'func')
        bb.build.addtask(task, 'do_build', 'do_install', d)
}

IMAGE_CMD:ext4 () {
    MKE2FS_CONFIG=${STUB_MKE2FS_CONFIG} mke2fs -q -t ext4 ${EXTRA_IMAGECMD} -d ${IMAGE_ROOTFS} ${IMGDEPLOYDIR}/${IMAGE_NAME}.ext4 ${IMAGE_ROOTFS_SIZE}
}
STUB_MKE2FS_CONFIG ?= "/dev/null"
EXTRA_IMAGECMD ?= ""
EXTRA_IMAGECMD:ext4 ?= "-i 4096"
IMAGE_CMD:wic () {
    out="${IMGDEPLOYDIR}/${IMAGE_NAME}"
}
IMAGE_CMD:tar = ":"

do_rootfs () {
    :
}
addtask rootfs before do_build

# What wic is told of the build.
WICVARS ?= "IMAGE_BOOT_FILES"
do_rootfs_wicenv () {
    :
}
do_rootfs_wicenv[vardeps] += "${WICVARS}"
addtask rootfs_wicenv after do_rootfs before do_build
