# Image types: `mender`, the signed artifact; `bootstrap-artifact`, what a new device is told that it has; and `wic` makes
# the disk with two slots. The names of the types are those that builds with meta-mender use.

IMAGE_TYPES += "mender bootstrap-artifact"

# An initial RAM disk, say, is an image too, and does not lie in a slot.
BISTABLE_SLOT_TYPES = "mender bootstrap-artifact wic ${@' '.join('wic.%s' % kind for kind in d.getVar('CONVERSIONTYPES').split())}"
inherit ${@bb.utils.contains_any('IMAGE_FSTYPES', d.getVar('BISTABLE_SLOT_TYPES'), 'bistable_slot_image', '', d)}
