require exectest-image.inc

BISTABLE_ARTIFACT_NAME = "release-1"
BISTABLE_SBOM = "${THISDIR}/sbom.spdx.json"

# What a recipe puts into /data is there from the start, and not in the slots.
exectest_change () {
    install -d ${IMAGE_ROOTFS}/data/app
    echo calibrated > ${IMAGE_ROOTFS}/data/app/state
    chown 1000:1000 ${IMAGE_ROOTFS}/data/app/state
    install -d -o 1000 -g 1000 ${IMAGE_ROOTFS}/var/lib/app
}
