require exectest-image.inc

BISTABLE_ARTIFACT_NAME = "refused"
