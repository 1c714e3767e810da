SUMMARY = "Everything that a device with two slots needs"
DESCRIPTION = "The update client, the service where it can be built, where the slots are, and the kernel in the slot."
SECTION = "admin"
LICENSE = "Apache-2.0"

inherit packagegroup features_check

REQUIRED_DISTRO_FEATURES = "bistable"
PACKAGE_ARCH = "${MACHINE_ARCH}"

# Boot loaders read the kernel in the slot, so that an update replaces it.
RDEPENDS:${PN} = "\
    bistable \
    bistable-data \
    bistable-slots \
    kernel-image \
    virtual-bistable-conf \
    ${@'kernel-devicetree' if d.getVar('BISTABLE_DEVICETREE') else ''} \
"
