require ${@bb.utils.contains('DISTRO_FEATURES', 'bistable', 'grub-efi_bistable.inc', '', d)}
