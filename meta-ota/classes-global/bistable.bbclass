# Updates with two slots: `INHERIT += "bistable"` in the configuration of a build switches on all that this layer does.
# What can be set is here, with its default; README.md of the layer has the table.

# nooelint: oelint.vars.outofcontext - that is the switch
DISTRO_FEATURES:append = " bistable"
IMAGE_CLASSES += "bistable_image"
# Recipes that say what they are made as, such as those of initial RAM disks, are left alone.
IMAGE_FSTYPES += "mender wic wic.bmap"

# Keys and servers come from a recipe of their own, which another one may replace.
PREFERRED_RPROVIDER_virtual-bistable-conf ?= "bistable-conf"

# --- the device

BISTABLE_DEVICE_TYPE ?= "${MACHINE}"
BISTABLE_DEVICE_TYPE[doc] = "The type of the device, by which artifacts know it."
BISTABLE_COMPATIBLE_TYPES ?= "${BISTABLE_DEVICE_TYPE}"
BISTABLE_COMPATIBLE_TYPES[doc] = "The types of devices for which artifacts are made."
BISTABLE_ARTIFACT_NAME ?= "${IMAGE_BASENAME}-${DISTRO_VERSION}"
BISTABLE_ARTIFACT_NAME[doc] = "The name of the artifact, which a device reports as installed; a new one for each release."

# --- what boots it

BISTABLE_BOOTLOADER ?= "${@metaota.machine.bootloader(d.getVar)}"
BISTABLE_BOOTLOADER[doc] = "What chooses the slot: grub, systemd-boot, efi, uboot, uboot-environment or raspberry-pi (its firmware). By default grub on PCs, and uboot where UBOOT_MACHINE or UBOOT_CONFIG is set."
BISTABLE_TRIES ?= "3"
BISTABLE_TRIES[doc] = "How often a new system is tried, 1 to 9."
BISTABLE_KERNEL ?= "${@metaota.machine.kernel(d.getVar)}"
BISTABLE_KERNEL[doc] = "The kernel in the slot. By default /boot/${KERNEL_IMAGETYPE}, with raspberry-pi /boot/firmware/${SDIMG_KERNELIMAGE}."
BISTABLE_INITRD ?= ""
BISTABLE_INITRD[doc] = "The initial RAM disk in the slot, if there is one."
BISTABLE_INITRD_DEPLOYED ?= "${@os.path.basename(d.getVar('BISTABLE_INITRD') or '')}"
BISTABLE_INITRD_DEPLOYED[doc] = "The same in DEPLOY_DIR_IMAGE; needed with systemd-boot and efi."
BISTABLE_DEVICETREE ?= "${@metaota.machine.devicetree(d.getVar)}"
BISTABLE_DEVICETREE[doc] = "The device tree in the slot; empty: that of the boot loader. By default the first one of KERNEL_DEVICETREE."
BISTABLE_KERNEL_ARGS ?= "${@metaota.machine.kernel_arguments(d.getVar)}"
BISTABLE_KERNEL_ARGS[doc] = "Arguments of the kernel, without root=. By default the first one of SERIAL_CONSOLES as its console, and a restart if it gives up."
BISTABLE_UBOOT_DISK ?= "${@metaota.machine.uboot_disk(d.getVar)}"
BISTABLE_UBOOT_DISK[doc] = "What U-Boot calls the disk: an interface and a number."
BISTABLE_UBOOT_WATCHDOG ?= ""
BISTABLE_UBOOT_WATCHDOG[doc] = "The watchdog that U-Boot starts before it loads a kernel, as its `wdt list` shows it; U-Boot is then built with that command."
BISTABLE_UBOOT_ADDRESSES ?= ""
BISTABLE_UBOOT_ADDRESSES[doc] = "Places in memory that the board's U-Boot has no variables for: NAME=ADDRESS with spaces between."

# --- the disk

BISTABLE_STORAGE_SIZE_MB ?= "2048"
BISTABLE_STORAGE_SIZE_MB[doc] = "MiB that the storage of the device has; empty: as much as the partitions need, and BISTABLE_SLOT_SIZE_MB has to be set."
BISTABLE_BOOT_SIZE_MB ?= "${@'256' if metaota.firmware.chooses(d.getVar) else '64'}"
BISTABLE_BOOT_SIZE_MB[doc] = "MiB of the boot partition (FAT), with raspberry-pi of that of each slot. By default 64, with raspberry-pi 256."
BISTABLE_DATA_SIZE_MB ?= "256"
BISTABLE_DATA_SIZE_MB[doc] = "MiB that the data partition has at least; it gets what the slots leave."
BISTABLE_SLOT_SIZE_MB ?= "${@metaota.sizes.slot(d.getVar)}"
BISTABLE_SLOT_SIZE_MB[doc] = "MiB of each slot. By default half of what the other partitions leave, in whole erase blocks. It cannot be changed in the field."
BISTABLE_ERASE_BLOCK_MB ?= "4"
BISTABLE_ERASE_BLOCK_MB[doc] = "MiB that the storage erases at once; a larger one does no harm. Partitions start at multiples of it."
BISTABLE_BLOBS ?= ""
BISTABLE_BLOBS[doc] = "First stages of boot loaders that lie in front of the partitions: FILE:KiB with spaces between, a file in DEPLOY_DIR_IMAGE and where on the disk it starts."
BISTABLE_BLOBS_RECIPES ?= "${@'virtual/bootloader' if d.getVar('BISTABLE_BLOBS') else ''}"
BISTABLE_BLOBS_RECIPES[doc] = "Recipes that deploy these files. By default virtual/bootloader."
BISTABLE_BLOBS_END_MB ?= "0"
BISTABLE_BLOBS_END_MB[doc] = "MiB at the start of the disk that no partition uses, for these files or for what another tool writes there."
BISTABLE_PARTITION_TABLE ?= "${@'mbr' if metaota.firmware.chooses(d.getVar) else 'gpt'}"
BISTABLE_PARTITION_TABLE[doc] = "gpt or mbr. By default gpt, with raspberry-pi mbr."
BISTABLE_EXTRA_PARTITIONS ?= ""
BISTABLE_EXTRA_PARTITIONS[doc] = "More partitions behind the slots: NAME:MiB:FILESYSTEM with spaces between; FILESYSTEM is ext4, fat or none. NAME:MiB:FILESYSTEM:front lies in front of all others, for a ROM or a first stage that looks there."
BISTABLE_DISK_SEED ?= "${BISTABLE_DEVICE_TYPE}"
BISTABLE_DISK_SEED[doc] = "What all identifiers on the disk are made from. It has to stay the same as long as there are devices."
BISTABLE_LAYOUT ?= ""
BISTABLE_LAYOUT[doc] = "A layout of the disk (TOML) of your own, in place of the one that is made from these variables; BISTABLE_SLOT_SIZE_MB has to say the size of its slots."

# By what they come to: bitbake does not see which variables of the machine these ask for.
BISTABLE_BOOTLOADER[vardepvalue] = "${BISTABLE_BOOTLOADER}"
BISTABLE_KERNEL[vardepvalue] = "${BISTABLE_KERNEL}"
BISTABLE_BOOT_SIZE_MB[vardepvalue] = "${BISTABLE_BOOT_SIZE_MB}"
BISTABLE_PARTITION_TABLE[vardepvalue] = "${BISTABLE_PARTITION_TABLE}"
BISTABLE_DEVICETREE[vardepvalue] = "${BISTABLE_DEVICETREE}"
BISTABLE_KERNEL_ARGS[vardepvalue] = "${BISTABLE_KERNEL_ARGS}"
BISTABLE_UBOOT_DISK[vardepvalue] = "${BISTABLE_UBOOT_DISK}"
BISTABLE_BLOBS_RECIPES[vardepvalue] = "${BISTABLE_BLOBS_RECIPES}"
BISTABLE_SLOT_SIZE_MB[vardepvalue] = "${BISTABLE_SLOT_SIZE_MB}"

# --- keys

BISTABLE_SIGNING_KEY ?= "${@d.getVar('LAYERDIR_META_OTA') + '/files/example-keys/private.pem' if d.getVar('BISTABLE_EXAMPLE_KEYS') == '1' else ''}"
BISTABLE_SIGNING_KEY[doc] = "The private key that signs: an absolute path, a pkcs11: URI, or none. It is used where it is and never copied."
BISTABLE_SIGN_COMMAND ?= ""
BISTABLE_SIGN_COMMAND[doc] = "A program that signs in place of a key: it gets the bytes on standard input and writes the signature."
BISTABLE_KEY_PASSPHRASE_FILE ?= ""
BISTABLE_KEY_PASSPHRASE_FILE[doc] = "A file whose first line is the passphrase of BISTABLE_SIGNING_KEY."
BISTABLE_VERIFY_KEYS ?= "${@d.getVar('LAYERDIR_META_OTA') + '/files/example-keys/public.pem' if d.getVar('BISTABLE_EXAMPLE_KEYS') == '1' else ''}"
BISTABLE_VERIFY_KEYS[doc] = "Public keys, by absolute paths, that devices trust; the first one belongs to the key that signs."
BISTABLE_EXAMPLE_KEYS ?= "0"
BISTABLE_EXAMPLE_KEYS[doc] = "1: the keys of this layer, which everybody has, are used. For trials only."
BISTABLE_RELEASE ?= "0"
BISTABLE_RELEASE[doc] = "1: a build for devices in the field. Artifacts that are unsigned or signed with the keys of this layer are errors then."

# --- artifacts

BISTABLE_ROOTFS_FSTYPE ?= "ext4"
BISTABLE_ROOTFS_FSTYPE[doc] = "The file system of the slots: ext4, squashfs or erofs."
BISTABLE_COMPRESSION ?= "zstd"
BISTABLE_COMPRESSION[doc] = "How the payload is compressed: none, gzip, xz or zstd, with options after a colon."
BISTABLE_PROVIDES ?= ""
BISTABLE_PROVIDES[doc] = "What the device records as provided once the artifact is installed: KEY:VALUE with spaces between."
BISTABLE_DEPENDS ?= ""
BISTABLE_DEPENDS[doc] = "Install only where these are provided: KEY:VALUE with spaces between."
BISTABLE_GROUP ?= ""
BISTABLE_GROUP[doc] = "The group that the artifact belongs to."
BISTABLE_DEPENDS_NAMES ?= ""
BISTABLE_DEPENDS_NAMES[doc] = "Install only over artifacts with one of these names."
BISTABLE_DEPENDS_GROUPS ?= ""
BISTABLE_DEPENDS_GROUPS[doc] = "Install only over artifacts of one of these groups."
BISTABLE_STATE_SCRIPTS ?= ""
BISTABLE_STATE_SCRIPTS[doc] = "State scripts that the artifact carries: absolute paths of files or directories."
BISTABLE_ARTIFACT_ARGS ?= ""
BISTABLE_ARTIFACT_ARGS[doc] = "More options of `bistable artifact write`."
BISTABLE_SBOM ?= "auto"
BISTABLE_SBOM[doc] = "Bills of materials (SPDX or CycloneDX in JSON) that are attested beside the signed artifact: absolute paths; auto, the one that the build makes of the image; or none."

# --- what runs on the device

BISTABLE_START ?= "${@'service' if 'meta-python' in (d.getVar('BBFILE_COLLECTIONS') or '').split() else 'by-hand'}"
BISTABLE_START[doc] = "Who leads updates: service (a server, by a service that always runs), timer (the same, now and then), by-hand (people or programs with bistablectl). By default service where the layer meta-python is, else by-hand."
BISTABLE_SERVER_URLS ?= ""
BISTABLE_SERVER_URLS[doc] = "Servers that are asked for updates."
BISTABLE_CONFIG_FILES ?= ""
BISTABLE_CONFIG_FILES[doc] = "More settings of the client: absolute paths of TOML files, which go to /etc/bistable/conf.d."
BISTABLE_FEATURES ?= "grow-data ${@bb.utils.contains('DISTRO_FEATURES', 'systemd', 'machine-id', '', d)}"
BISTABLE_FEATURES[doc] = "What is done at boot: grow-data makes the data partition as large as the disk has room; machine-id keeps /etc/machine-id over updates."
BISTABLE_PERSIST ?= ""
BISTABLE_PERSIST[doc] = "Directories whose changes are kept on the data partition, over updates too, also with a read-only root file system."

python bistable_check () {
    mistakes = metaota.checks.mistakes(d.getVar)
    for message in mistakes:
        bb.error(message)
    if mistakes:
        bb.fatal('The variables of meta-ota cannot be used as they are; the table is in its README.md.')
}
addhandler bistable_check
bistable_check[eventmask] = "bb.event.ConfigParsed"
