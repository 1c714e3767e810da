"""What can be changed in a header, as a value, and the pure function that changes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from bistable.artifact.errors import RequestError
from bistable.artifact.model import ROOTFS_IMAGE, Header, HeaderInfo, Script, TypeInfo

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadEdit:
    """Changes to a header; None (or nothing) leaves a part as it is.

    `remove_provides`, `remove_depends`, `remove_scripts` name keys or scripts that must be there. `clears` replaces
    the list, `add_clears` and `remove_clears` change it. An empty `group` or `meta_data` removes what is there.
    """

    name: str | None = None
    group: str | None = None
    device_types: Sequence[str] | None = None
    depends_names: Sequence[str] | None = None
    depends_groups: Sequence[str] | None = None
    provides: Mapping[str, str] = field(default_factory=dict)
    remove_provides: Sequence[str] = ()
    depends: Mapping[str, str] = field(default_factory=dict)
    remove_depends: Sequence[str] = ()
    clears: Sequence[str] | None = None
    add_clears: Sequence[str] = ()
    remove_clears: Sequence[str] = ()
    scripts: Sequence[Script] = ()
    remove_scripts: Sequence[str] = ()
    meta_data: bytes | None = None


def apply_edit(header: Header, edit: HeadEdit) -> Header:
    """Return the changed header.

    Raises:
        RequestError: something to be removed is not there.
    """
    return replace(
        header,
        info=_edit_info(header, edit),
        type_info=_edit_type_info(header, edit),
        scripts=_edit_scripts(header.scripts, edit),
        meta_data=_edit_meta_data(header, edit),
    )


def _edit_info(header: Header, edit: HeadEdit) -> HeaderInfo:
    info = header.info
    return replace(
        info,
        artifact_name=info.artifact_name if edit.name is None else edit.name,
        artifact_group=info.artifact_group if edit.group is None else edit.group or None,
        device_types=_or(edit.device_types, info.device_types),
        depends_names=_or(edit.depends_names, info.depends_names),
        depends_groups=_or(edit.depends_groups, info.depends_groups),
    )


def _edit_type_info(header: Header, edit: HeadEdit) -> TypeInfo:
    old = header.type_info
    clears = list(old.clears_provides or ()) if edit.clears is None else list(edit.clears)
    clears = _without(clears, edit.remove_clears, "the clears pattern")
    clears += [pattern for pattern in edit.add_clears if pattern not in clears]
    return replace(
        old,
        provides={**_without_keys(old.provides, edit.remove_provides, "the provides key"), **edit.provides},
        depends={**_without_keys(old.depends, edit.remove_depends, "the depends key"), **edit.depends},
        clears_provides=tuple(clears) if clears or old.clears_provides is not None else None,
    )


def _edit_scripts(scripts: tuple[Script, ...], edit: HeadEdit) -> tuple[Script, ...]:
    kept = _without_keys({script.name: script for script in scripts}, edit.remove_scripts, "the state script")
    kept |= {script.name: script for script in edit.scripts}
    return tuple(kept[name] for name in sorted(kept))


def _edit_meta_data(header: Header, edit: HeadEdit) -> bytes | None:
    if edit.meta_data is None:
        return header.meta_data
    if edit.meta_data:
        return edit.meta_data
    # A rootfs image always carries the (empty) member; nobody else does.
    return b"" if header.info.payload_type == ROOTFS_IMAGE else None


def _or(new: Sequence[str] | None, old: tuple[str, ...]) -> tuple[str, ...]:
    return old if new is None else tuple(new)


def _without_keys(items: Mapping[str, T], unwanted: Sequence[str], what: str) -> dict[str, T]:
    names = _without(list(items), unwanted, what)
    return {name: items[name] for name in names}


def _without(items: list[str], unwanted: Sequence[str], what: str) -> list[str]:
    for name in unwanted:
        if name not in items:
            raise RequestError(f"cannot remove {what} {name!r}: the artifact has {', '.join(items) or 'none'}")
    return [item for item in items if item not in unwanted]
