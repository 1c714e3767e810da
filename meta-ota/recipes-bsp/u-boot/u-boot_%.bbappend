require ${@bb.utils.contains('DISTRO_FEATURES', 'bistable', 'u-boot_bistable.inc', '', d)}
