require exectest-image.inc

BISTABLE_ARTIFACT_NAME = "release-2"
IMAGE_FSTYPES = "ext4 mender"

# A new slot comes with an identity that is not that of the machine.
exectest_change () {
    if [ -e ${IMAGE_ROOTFS}${sysconfdir}/machine-id ]; then
        echo fedcba9876543210fedcba9876543210 > ${IMAGE_ROOTFS}${sysconfdir}/machine-id
    fi
}
