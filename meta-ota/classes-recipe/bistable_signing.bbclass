# What is the same wherever an artifact is written: keys are checked before, and what was made is verified after. The
# private key stays where it is: its path, the URI of a token or a command go to `bistable artifact write`.

DEPENDS:append = " bistable-native"

BISTABLE_SIGN_OPTIONS = "${@metaota.signing.shell(d.getVar)}"
BISTABLE_SIGN_OPTIONS[vardepvalue] = "${BISTABLE_SIGN_OPTIONS}"
BISTABLE_VERIFY_OPTIONS = "${@metaota.signing.verify(d.getVar)}"
BISTABLE_VERIFY_OPTIONS[vardepvalue] = "${BISTABLE_VERIFY_OPTIONS}"
BISTABLE_EXAMPLE_KEY = "${LAYERDIR_META_OTA}/files/example-keys/public.pem"
BISTABLE_EXAMPLE_REFUSED = "${@'1' if d.getVar('BISTABLE_RELEASE') == '1' or d.getVar('BISTABLE_EXAMPLE_KEYS') != '1' else ''}"
# What opens a token or a key comes from the environment, and does not make another artifact.
BB_BASEHASH_IGNORE_VARS:append = " BISTABLE_KEY_PASSPHRASE BISTABLE_PKCS11_PIN BISTABLE_KEY_PASSPHRASE_FILE"

python bistable_check_keys () {
    mistakes = metaota.checks.signing_mistakes(d.getVar)
    if mistakes:
        bb.fatal('\n'.join(mistakes))
    # Not by exporting them: bitbake would write them into the script of each task.
    for name in metaota.signing.SECRETS:
        if d.getVar(name):
            os.environ[name] = d.getVar(name)
}

# A key is known by what it is: whatever its file is called, and wherever its other half is.
bistable_refuse_example_key () {
    example=$(bistable artifact keys public ${BISTABLE_EXAMPLE_KEY}) || bbfatal "cannot read ${BISTABLE_EXAMPLE_KEY}"
    for key in ${BISTABLE_VERIFY_KEYS}; do
        found=$(bistable artifact keys public $key) || bbfatal "BISTABLE_VERIFY_KEYS: $key is no public key"
        [ "$found" = "$example" ] || continue
        if [ -n "${BISTABLE_EXAMPLE_REFUSED}" ]; then
            bbfatal "BISTABLE_VERIFY_KEYS: $key is the example key of meta-ota, and everybody has its private half. Set keys of your own. For trials, set BISTABLE_EXAMPLE_KEYS = \"1\", and not BISTABLE_RELEASE."
        fi
        bbwarn "updates are signed with the example key of meta-ota, which everybody has: for trials only"
    done
}

bistable_check_artifact () {
    if [ -n "${BISTABLE_VERIFY_OPTIONS}" ]; then
        bistable artifact verify --no-progress ${BISTABLE_VERIFY_OPTIONS} "$1" ||
            bbfatal "no device would install $1: no key of BISTABLE_VERIFY_KEYS belongs to what signs"
    else
        bbwarn "$1 is not signed: whoever reaches a device can update it"
    fi
}
