# Image types: `mender`, the signed artifact; `bootstrap-artifact`, what a new device is told that it has; and `wic` makes
# the disk with two slots. The names of the types are those that builds with meta-mender use.

IMAGE_TYPES += "mender bootstrap-artifact"

# An initial RAM disk, say, is an image too, and does not lie in a slot.
# nooelint: oelint.var.inherit.inherit_defer - a type of image is known when its class is read
inherit ${@'bistable_slot_image' if metaota.machine.lies_in_slot(d.getVar) else ''}
