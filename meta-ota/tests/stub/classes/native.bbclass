CLASSOVERRIDE = "class-native"
python native_virtclass_handler () {
    e.data.setVar('PN', e.data.getVar('PN').removesuffix('-native') + '-native')
}
addhandler native_virtclass_handler
native_virtclass_handler[eventmask] = "bb.event.RecipePreFinalise"
