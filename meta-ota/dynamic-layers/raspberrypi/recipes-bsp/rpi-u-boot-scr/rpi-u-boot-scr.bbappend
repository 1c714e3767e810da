require ${@bb.utils.contains('DISTRO_FEATURES', 'bistable', 'rpi-u-boot-scr_bistable.inc', '', d)}
