DEPLOYDIR = "${WORKDIR}/deploy-${PN}"
do_deploy[dirs] = "${B}"
do_deploy[cleandirs] = "${DEPLOYDIR}"
