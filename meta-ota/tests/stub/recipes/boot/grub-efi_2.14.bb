SUMMARY = "A boot loader that is an image of chosen modules"
LICENSE = "CLOSED"
GRUB_BUILDIN ?= "boot linux ext2 fat serial part_msdos part_gpt normal efi_gop iso9660 configfile search loadenv test"
