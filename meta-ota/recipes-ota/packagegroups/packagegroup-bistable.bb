SUMMARY = "Everything that a device with two slots needs"
DESCRIPTION = "The update client, the service where it can be built, where the slots are, and the kernel in the slot."
SECTION = "admin"
LICENSE = "Apache-2.0"

inherit packagegroup features_check

REQUIRED_DISTRO_FEATURES = "bistable"
PACKAGE_ARCH = "${MACHINE_ARCH}"

# Boot loaders read the kernel in the slot, so that an update replaces it. Where firmware does, the image has it beside the
# other files for that firmware.
RDEPENDS:${PN} = "\
    bistable \
    bistable-data \
    bistable-slots \
    virtual-bistable-conf \
    ${@'' if metaota.firmware.chooses(d.getVar) else 'kernel-image'} \
    ${@'kernel-devicetree' if d.getVar('BISTABLE_DEVICETREE') and not metaota.firmware.chooses(d.getVar) else ''} \
"
