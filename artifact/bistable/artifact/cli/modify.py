"""`bistable artifact modify`: change what an artifact says, not what it carries."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bistable.artifact.cli.changing import (
    Change,
    change_options,
    changed_view,
    places,
    read_first,
    verify_option,
    warn_of_attestations,
)
from bistable.artifact.cli.contents import (
    CONDITIONS,
    IDENTITY,
    clears_option,
    condition_options,
    meta_data_option,
    read_small,
    script_option,
)
from bistable.artifact.cli.framework import Example, command, option
from bistable.artifact.cli.moving import refuse_moved
from bistable.artifact.cli.options import bundle, output_options
from bistable.artifact.cli.render import Console
from bistable.artifact.cli.signing import SECTION, Signing, signing_options
from bistable.artifact.errors import RequestError
from bistable.artifact.limits import JSON_SIZE

if TYPE_CHECKING:
    from bistable.artifact.model import Script
    from bistable.artifact.rewrite import HeadEdit


@dataclass(frozen=True, slots=True, kw_only=True)
class Edits:
    """What the options said of changes; None or nothing leaves a part as it is."""

    artifact_name: str | None
    device_types: Sequence[str]
    provides_group: str | None
    artifact_name_depends: Sequence[str]
    depends_groups: Sequence[str]
    provides: Sequence[tuple[str, str]]
    depends: Sequence[tuple[str, str]]
    clears_provides: Sequence[str]
    delete_clears_provides: Sequence[str]
    remove_provides: Sequence[str]
    remove_depends: Sequence[str]
    remove_script: Sequence[str]
    scripts: Sequence[Path]
    meta_data: Path | None

    def head_edit(self) -> "HeadEdit":
        """Return the change as the library takes it.

        Raises:
            RequestError: nothing is to be changed, or a file cannot be read.
        """
        from bistable.artifact.rewrite import HeadEdit

        edit = HeadEdit(
            name=self.artifact_name,
            group=self.provides_group,
            device_types=self.device_types or None,
            depends_names=self.artifact_name_depends or None,
            depends_groups=self.depends_groups or None,
            provides=dict(self.provides),
            remove_provides=self.remove_provides,
            depends=dict(self.depends),
            remove_depends=self.remove_depends,
            add_clears=self.clears_provides,
            remove_clears=self.delete_clears_provides,
            scripts=self._scripts(),
            remove_scripts=self.remove_script,
            meta_data=None if self.meta_data is None else read_small(self.meta_data, JSON_SIZE),
        )
        if edit == HeadEdit(remove_provides=(), remove_depends=()):
            raise RequestError("cannot modify: no change is named", hint="`bistable artifact modify --help` lists them")
        return edit

    def _scripts(self) -> "tuple[Script, ...]":
        if not self.scripts:
            return ()
        from bistable.artifact.spec import read_scripts

        return read_scripts(self.scripts)


@command(
    "modify",
    examples=[
        Example(
            "Give a release its final name and sign it",
            "bistable artifact modify -n release-1 -k private.pem build-417.mender -o release-1.mender",
        ),
        Example(
            "Allow one more device type, in place",
            "bistable artifact modify --device-type beaglebone --device-type beagleplay release-1.mender",
        ),
        Example(
            "Record and require something, take a condition away",
            "bistable artifact modify -p channel:stable -d region:eu --remove-depends batch release-1.mender",
        ),
    ],
)
@bundle(
    "edits",
    Edits,
    [
        option("-n", "--artifact-name", "--name", metavar="NAME", section=IDENTITY, help="Give it this name."),
        option(
            "--compatible-types",
            "--device-type",
            "device_types",
            multiple=True,
            metavar="TYPE",
            section=IDENTITY,
            help="The device types that may install it, in place of all those it had. May be given several times. "
            "There is no short form: to mender-artifact, -t and -c mean something else here.",
        ),
        *condition_options,
        clears_option,
        option(
            "--delete-clears-provides",
            multiple=True,
            metavar="PATTERN",
            section=CONDITIONS,
            help="Take this pattern out of the list. May be given several times.",
        ),
        option(
            "--remove-provides",
            multiple=True,
            metavar="KEY",
            section=CONDITIONS,
            help="Take this key out of what is provided. May be given several times.",
        ),
        option(
            "--remove-depends",
            multiple=True,
            metavar="KEY",
            section=CONDITIONS,
            help="Take this key out of what is required. May be given several times.",
        ),
        script_option,
        option(
            "--remove-script",
            multiple=True,
            metavar="NAME",
            section=CONDITIONS,
            help="Take this state script out. May be given several times.",
        ),
        meta_data_option,
    ],
)
@verify_option
@option(
    "--drop-signature",
    is_flag=True,
    section=SECTION,
    help="Leave the result unsigned. A change makes the old signature worthless; without a key and without this, a "
    "signed artifact is not changed.",
)
@signing_options
@change_options
@output_options
@refuse_moved("--server-uri", "--server-cert", "--verification-key", "--tenant-token")
def modify(
    change: Change, edits: Edits, signing: Signing, verify: bool, drop_signature: bool, console: Console
) -> None:
    """Change an artifact's name, conditions, scripts or meta-data, without unpacking it.

    A few kilobytes are written anew and the payload is moved as it is, so the size does not matter. A name, group or
    list given replaces the old one; --provides, --depends, --clears-provides and --script add to what is there, and
    replace what has the same key. An empty group or an empty meta-data file removes what is there.

    What is inside an image stays as it is, the name that the image itself carries in /etc/mender/artifact_info too:
    `cp` changes that.
    """
    from bistable.artifact.rewrite import modify_artifact
    from bistable.artifact.writer import source_date_epoch

    signer = signing.signer()
    edit = edits.head_edit()
    with places(change, console) as found:
        if verify:
            read_first(found.source, console)
        changed = modify_artifact(
            found.source,
            found.target,
            edit,
            signer=signer,
            drop_signature=drop_signature,
            mtime=source_date_epoch(),
        )
    console.result(changed_view(change, changed, did="changed", all_read=verify), aside=change.to_stdout)
    warn_of_attestations(change, console)
