require exectest-image.inc

BISTABLE_ARTIFACT_NAME = "release-2"
IMAGE_FSTYPES = "ext4 mender"
