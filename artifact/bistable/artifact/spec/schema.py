"""The tables and keys of a build file: one list, from which checking, messages, JSON schema and documentation come."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final


class Form(Enum):
    """What the value of a key looks like; the value is how to say it."""

    TEXT = "a string"
    FLAG = "true or false"
    TEXTS = "a list of strings"
    OBJECT = "a table"

    def holds(self, value: object) -> bool:
        """Return whether `value`, as TOML gave it, has this form."""
        match self:
            case Form.TEXT:
                return isinstance(value, str)
            case Form.FLAG:
                return isinstance(value, bool)
            case Form.TEXTS:
                return isinstance(value, list) and all(isinstance(item, str) for item in value)
            case Form.OBJECT:
                return isinstance(value, dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key: `meaning` is a phrase without full stop, `example` a value in TOML."""

    name: str
    form: Form
    meaning: str
    example: str
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table. With `free` any other key may stand in it, too; its value is a string, and `free` says what it is."""

    name: str
    meaning: str
    keys: tuple[Key, ...] = ()
    free: str | None = None

    def key(self, name: str) -> Key | None:
        """Return the key called `name`; in a free table every name is one."""
        found = next((key for key in self.keys if key.name == name), None)
        if found is None and self.free is not None:
            return Key(name=name, form=Form.TEXT, meaning=self.free, example='"1.0"')
        return found


def _text(name: str, meaning: str, example: str) -> Key:
    return Key(name=name, form=Form.TEXT, meaning=meaning, example=f'"{example}"')


def _texts(name: str, meaning: str, *example: str) -> Key:
    items = ", ".join(f'"{item}"' for item in example)
    return Key(name=name, form=Form.TEXTS, meaning=meaning, example=f"[{items}]")


def _flag(name: str, meaning: str, example: str) -> Key:
    return Key(name=name, form=Form.FLAG, meaning=meaning, example=example)


def _required(key: Key) -> Key:
    return replace(key, required=True)


TABLES: Final[Mapping[str, Table]] = {
    table.name: table
    for table in (
        Table(
            name="artifact",
            meaning="what the artifact is",
            keys=(
                _required(_text("name", "the artifact's name", "release-1.4")),
                _required(
                    _text(
                        "type", "`rootfs-image`, `bootstrap` (no payload), or an update module's name", "rootfs-image"
                    )
                ),
                _required(_texts("device-types", "the types of device that it is for", "beaglebone")),
                _text("output", "the file to write, unless `-o` names another", "release-1.4.mender"),
                _text("compression", "kind, level and options; by default `zstd`", "zstd:9,threads=2"),
                _texts("scripts", "state scripts, and directories of state scripts", "scripts"),
            ),
        ),
        Table(
            name="payload",
            meaning="what it carries",
            keys=(
                _text("file", "the image of a rootfs-image, or its content: a directory or tar file", "rootfs.ext4"),
                _texts("files", "the files for an update module", "app.tar", "app.conf"),
                Key(
                    name="meta-data",
                    form=Form.OBJECT,
                    meaning="the meta-data for an update module",
                    example="{ restart = true }",
                ),
                _text("meta-data-file", "a JSON file of meta-data, instead", "meta.json"),
                _text(
                    "checksum",
                    "the key that provides the image's SHA-256: `rootfs-image.checksum` (by default), "
                    "`rootfs_image_checksum` or `none`",
                    "none",
                ),
            ),
        ),
        Table(
            name="image",
            meaning="how to make the image, if `file` is a directory or a tar file",
            keys=(
                _text("type", "`ext4` (by default), `squashfs` or `erofs`", "squashfs"),
                _text("size", "the size of an ext4 image; by default its content and a fifth more", "512MiB"),
                _text("label", "the file system's label", "root"),
                _text("compression", "of squashfs and erofs, as their tools call it", "zstd"),
                _flag("keep-owners", "keep the owners of a directory's files; by default root owns all", "true"),
            ),
        ),
        Table(
            name="provides",
            meaning="what a device has once the artifact is installed",
            keys=(_text("artifact_group", "the group of artifacts that it belongs to", "stable"),),
            free="a value to provide",
        ),
        Table(
            name="depends",
            meaning="what a device must have before",
            keys=(
                _texts("artifact_name", "names of artifacts; one of them must be installed", "release-1.3"),
                _texts("artifact_group", "groups; the installed artifact must belong to one of them", "stable"),
            ),
            free="a value that the installed artifacts must provide",
        ),
        Table(
            name="clears",
            meaning="what earlier artifacts provided and this one takes away",
            keys=(
                _texts("patterns", "patterns of keys", "rootfs-image.app.*"),
                _flag("defaults", "whether the usual patterns are added; by default `true`", "false"),
            ),
        ),
        Table(
            name="software",
            meaning="the key that provides the version, `<filesystem>.<name>.version`",
            keys=(
                _text("filesystem", "its first part; by default `rootfs-image`", "data-partition"),
                _text("name", "its second part; by default the update module's name, or none", "app"),
                _text("version", "its value; by default the artifact's name", "1.4"),
                _flag("defaults", "whether name, version and clears have defaults; by default `true`", "false"),
            ),
        ),
        Table(
            name="sign",
            meaning="which key signs it; the key itself never stands in the file",
            keys=(
                _text("key", "a private key: a PEM file", "${KEYS}/release.pem"),
                _text("pkcs11", "a private key on a token: a PKCS#11 URI", "pkcs11:token=hsm;object=release"),
                _texts(
                    "command", "a program that signs its standard input, and its arguments", "sign-with-kms", "release"
                ),
                _text("public-key", "the public half of the key that `command` signs with", "release.pub"),
            ),
        ),
    )
}
"""The tables by name, in the order in which people write them."""


def json_schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a build file, for editors and for checks in other programs."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Bistable build file",
        "type": "object",
        "additionalProperties": False,
        "required": [table.name for table in TABLES.values() if any(key.required for key in table.keys)],
        "properties": {table.name: _table_schema(table) for table in TABLES.values()},
    }


_JSON_FORMS: Final[Mapping[Form, Mapping[str, Any]]] = {
    Form.TEXT: {"type": "string"},
    Form.FLAG: {"type": "boolean"},
    Form.TEXTS: {"type": "array", "items": {"type": "string"}},
    Form.OBJECT: {"type": "object"},
}


def _table_schema(table: Table) -> dict[str, Any]:
    return {
        "type": "object",
        "description": table.meaning,
        "additionalProperties": False if table.free is None else {"type": "string", "description": table.free},
        "required": [key.name for key in table.keys if key.required],
        "properties": {key.name: {**_JSON_FORMS[key.form], "description": key.meaning} for key in table.keys},
    }
