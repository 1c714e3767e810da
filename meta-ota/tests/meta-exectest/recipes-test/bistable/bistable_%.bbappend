# There is no sysroot with Python packages to tidy up.
hatchling_rm_emptydirs:class-target () {
    :
}
