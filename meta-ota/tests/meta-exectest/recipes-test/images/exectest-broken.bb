require exectest-image.inc

BISTABLE_ARTIFACT_NAME = "release-3"
IMAGE_FSTYPES = "ext4 mender"

exectest_change () {
    rm ${IMAGE_ROOTFS}/sbin/init
}
