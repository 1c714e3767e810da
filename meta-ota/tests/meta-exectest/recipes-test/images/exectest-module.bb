SUMMARY = "An artifact for an update module, of a file of the layer"
LICENSE = "Apache-2.0"

inherit bistable_artifact

BISTABLE_MODULE = "single-file"
BISTABLE_MODULE_FILES = "${THISDIR}/exectest-module.bb"
