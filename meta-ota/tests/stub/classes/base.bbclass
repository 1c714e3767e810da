addtask fetch
addtask unpack after do_fetch
addtask configure after do_unpack
addtask compile after do_configure
addtask install after do_compile
addtask build after do_install
do_build[noexec] = "1"

do_fetch () {
    :
}

# The sources of a recipe are the files beside it.
python do_unpack () {
    import shutil
    bb.utils.mkdirhier(d.getVar('UNPACKDIR'))
    for word in (d.getVar('SRC_URI') or '').split():
        if word.startswith('file://'):
            shutil.copy(bb.utils.which(d.getVar('FILESPATH'), word[len('file://'):]), d.getVar('UNPACKDIR'))
}

do_configure () {
    :
}

do_compile () {
    :
}

do_install () {
    :
}
do_install[cleandirs] = "${D}"
do_install[dirs] = "${B}"

bbfatal () {
    echo "ERROR: $*"
    exit 1
}

bbwarn () {
    echo "WARNING: $*"
}

oe_runmake () {
    echo "make $*"
    ${STUB_MAKE}
}
STUB_MAKE ?= ":"
