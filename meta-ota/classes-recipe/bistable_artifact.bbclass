# A recipe that packs files into an artifact for an update module:
#
#   inherit bistable_artifact
#   BISTABLE_MODULE = "script"
#   BISTABLE_MODULE_FILES = "${UNPACKDIR}/migrate.sh"
#
# or, with files of DEPLOY_DIR_IMAGE:
#
#   BISTABLE_MODULE = "deb"
#   BISTABLE_MODULE_DEPLOYED = "acorn-app.deb"
#   do_artifact[depends] += "acorn-app-bundle:do_deploy"
#
# It deploys ${BISTABLE_ARTIFACT_NAME}.mender.

inherit bistable_signing deploy nopackages features_check

REQUIRED_DISTRO_FEATURES = "bistable"
INHIBIT_DEFAULT_DEPS = "1"
PACKAGE_ARCH = "${MACHINE_ARCH}"

BISTABLE_ARTIFACT_NAME = "${PN}-${PV}"
BISTABLE_MODULE ?= ""
BISTABLE_MODULE[doc] = "The update module that installs the artifact."
BISTABLE_MODULE_FILES ?= ""
BISTABLE_MODULE_FILES[doc] = "Files of the payload, by absolute paths."
BISTABLE_MODULE_DEPLOYED ?= ""
BISTABLE_MODULE_DEPLOYED[doc] = "Files of the payload, by their names in DEPLOY_DIR_IMAGE; do_artifact[depends] has to name the tasks that deploy them."
BISTABLE_MODULE_METADATA ?= ""
BISTABLE_MODULE_METADATA[doc] = "A JSON file for the module, by its absolute path."

do_configure[noexec] = "1"
do_compile[noexec] = "1"
do_install[noexec] = "1"

python () {
    if not d.getVar('BISTABLE_MODULE'):
        bb.fatal('%s: BISTABLE_MODULE is not set: it is not known which update module installs the artifact. Set it like BISTABLE_MODULE = "single-file".' % d.getVar('PN'))
    for variable in ('BISTABLE_MODULE_FILES', 'BISTABLE_MODULE_DEPLOYED'):
        for name in d.getVar(variable).split():
            for message in metaota.checks.name_mistakes(os.path.basename(name), variable):
                bb.fatal('%s: %s' % (d.getVar('PN'), message))
}

do_artifact[cleandirs] = "${B}"
do_artifact[dirs] = "${B}"
do_artifact[prefuncs] += "bistable_check_keys"
do_artifact () {
    bistable_refuse_example_key
    bistable artifact write module --no-progress --type ${BISTABLE_MODULE} --artifact-name '${BISTABLE_ARTIFACT_NAME}' \
        ${@' '.join('--device-type %s' % word for word in d.getVar('BISTABLE_COMPATIBLE_TYPES').split())} \
        ${@' '.join('--file %s' % word for word in d.getVar('BISTABLE_MODULE_FILES').split())} \
        ${@' '.join('--file ${DEPLOY_DIR_IMAGE}/%s' % word for word in d.getVar('BISTABLE_MODULE_DEPLOYED').split())} \
        ${@'--meta-data ${BISTABLE_MODULE_METADATA}' if d.getVar('BISTABLE_MODULE_METADATA') else ''} \
        --compression ${BISTABLE_COMPRESSION} ${BISTABLE_SIGN_OPTIONS} ${BISTABLE_ARTIFACT_ARGS} \
        --output-path ${B}/${BISTABLE_ARTIFACT_NAME}.mender || bbfatal "cannot write the artifact: what bistable says is above"
    bistable_check_artifact ${B}/${BISTABLE_ARTIFACT_NAME}.mender
}
addtask artifact after do_install before do_deploy

do_deploy () {
    install -m 0644 ${B}/${BISTABLE_ARTIFACT_NAME}.mender ${DEPLOYDIR}
}
addtask deploy before do_build
