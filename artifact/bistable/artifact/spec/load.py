"""From the bytes of a build file to what it asks for, with every mistake named by line, table and key."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from bistable.artifact.errors import RequestError
from bistable.artifact.image import ImageKind, ImageOptions
from bistable.artifact.spec.schema import TABLES, Form, Key, Table
from bistable.artifact.spec.text import BuildText, suggestion
from bistable.artifact.streams import Codec
from bistable.artifact.writer import SoftwareVersion
from bistable.artifact.writer.request import CHECKSUM_KEY, LEGACY_CHECKSUM_KEY

BOOTSTRAP: Final = "bootstrap"
ROOTFS_NAMES: Final = ("rootfs-image", "rootfs")
NO_CHECKSUM: Final = "none"
UNITS: Final = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "kB": 10**3, "MB": 10**6, "GB": 10**9}
NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class SignWith:
    """Where the signing key is; at most one of `key`, `pkcs11` and `command` is given, the last with `public_key`."""

    key: Path | None = None
    pkcs11: str | None = None
    command: tuple[str, ...] = ()
    public_key: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSpec:
    """What a build file asks for; paths are absolute or relative to the working directory, no longer to the file.

    `payload_type` None is the empty payload. `files` is one image, or one directory or tar file for `image`, for a
    rootfs image. `meta_data` is a table or a JSON file.
    """

    name: str
    payload_type: str | None
    device_types: tuple[str, ...]
    output: Path | None = None
    compression: str = "zstd"
    scripts: tuple[Path, ...] = ()
    files: tuple[Path, ...] = ()
    image: ImageOptions = field(default_factory=ImageOptions)
    meta_data: Mapping[str, Any] | Path | None = None
    checksum_key: str | None = None
    group: str | None = None
    provides: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    depends: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    depends_names: tuple[str, ...] = ()
    depends_groups: tuple[str, ...] = ()
    clears: tuple[str, ...] = ()
    default_clears: bool = True
    software: SoftwareVersion = field(default_factory=SoftwareVersion)
    sign_with: SignWith | None = None

    @property
    def codec(self) -> Codec:
        """Return what `compression` says."""
        return Codec.parse(self.compression)


def load(
    data: bytes,
    base: Path,
    *,
    variables: Mapping[str, str] = NOTHING,
    settings: Mapping[str, str] = NOTHING,
    origin: str = "the build file",
) -> BuildSpec:
    """Read a build file whose relative paths start at `base`, `${NAMES}` in it taken from `variables`.

    `settings` (`table.key` -> value) go before what the file says; a list among them is written as in TOML.

    Raises:
        RequestError: what is wrong, in which line, and what would be right.
    """
    text = BuildText(data, origin=origin)
    text.fill_in(variables)
    for name, value in settings.items():
        _set(text, name, value)
    _check(text)
    return _Reading(text, base).spec()


def _set(text: BuildText, name: str, value: str) -> None:
    """Put a setting of the command line into the document."""
    table_name, dot, key_name = name.partition(".")
    table = TABLES.get(table_name)
    key = table.key(key_name) if table is not None and dot else None
    if key is None:
        hint = suggestion(name, [f"{table.name}.{key.name}" for table in TABLES.values() for key in table.keys])
        raise RequestError(f"cannot set {name}: build files have no such key", hint=hint)
    parsed: Any = value
    if key.form is not Form.TEXT:
        try:
            parsed = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            parsed = None
    if not key.form.holds(parsed):
        raise RequestError(
            f"cannot set {name} to {value!r}: it is {key.form.value}", hint=f"for example --set '{name}={key.example}'"
        )
    content = text.document.setdefault(table_name, {})
    if isinstance(content, dict):
        content[key_name] = parsed


def _check(text: BuildText) -> None:
    """Check names and forms of all that is there, and that what must be there is."""
    for name, content in text.document.items():
        table = TABLES.get(name)
        if table is None:
            text.refuse("there is no such table", table=name, hint=suggestion(name, TABLES))
        if not isinstance(content, dict):
            text.refuse("it is a table, not a value", table=name, hint=f"write [{name}] on a line of its own")
        for key_name, value in content.items():
            _check_value(text, table, key_name, value)
    for table in TABLES.values():
        for key in table.keys:
            if key.required and key.name not in text.document.get(table.name, {}):
                text.refuse(f"{key.name} is missing", table=table.name, hint=f"add {key.name} = {key.example}")


def _check_value(text: BuildText, table: Table, key_name: str, value: object) -> None:
    key = table.key(key_name)
    if key is None:
        names = [key.name for key in table.keys]
        text.refuse("there is no such key", table=table.name, key=key_name, hint=suggestion(key_name, names))
    if not key.form.holds(value):
        hint = f"write {_as_toml_key(key)} = {key.example}"
        if isinstance(value, dict) and table.free is not None:
            hint = f'a key with dots stands in quotes: "{key_name}.{next(iter(value), "")}" = "..."'
        text.refuse(f"it must be {key.form.value}", table=table.name, key=key_name, hint=hint)


def _as_toml_key(key: Key) -> str:
    return key.name if all(c.isalnum() or c in "-_" for c in key.name) else f'"{key.name}"'


class _Reading:
    """Takes the values out of a document whose names and forms are right."""

    def __init__(self, text: BuildText, base: Path) -> None:
        self._text = text
        self._base = base

    def spec(self) -> BuildSpec:
        kind = self._payload_type()
        provides, depends = dict(self._table("provides")), dict(self._table("depends"))
        return BuildSpec(
            name=self._value("artifact", "name"),
            payload_type=kind,
            device_types=tuple(self._value("artifact", "device-types")),
            output=self._path("artifact", "output"),
            compression=self._compression(),
            scripts=self._paths("artifact", "scripts"),
            files=self._files(kind),
            image=self._image(kind),
            meta_data=self._meta_data(kind),
            checksum_key=self._checksum_key(kind),
            group=provides.pop("artifact_group", None),
            depends_names=tuple(depends.pop("artifact_name", ())),
            depends_groups=tuple(depends.pop("artifact_group", ())),
            provides=self._without(provides, "provides", "artifact_name", "write it as name in [artifact]"),
            depends=self._without(depends, "depends", "device_type", "write it as device-types in [artifact]"),
            clears=tuple(self._value("clears", "patterns", ())),
            default_clears=self._value("clears", "defaults", True),
            software=self._software(),
            sign_with=self._sign_with(),
        )

    def _table(self, name: str) -> Mapping[str, Any]:
        content: Mapping[str, Any] = self._text.document.get(name, {})
        return content

    def _value(self, table: str, key: str, default: Any = None) -> Any:
        return self._table(table).get(key, default)

    def _path(self, table: str, key: str) -> Path | None:
        value = self._value(table, key)
        return None if value is None else self._base / value

    def _paths(self, table: str, key: str) -> tuple[Path, ...]:
        return tuple(self._base / value for value in self._value(table, key, ()))

    def _payload_type(self) -> str | None:
        value: str = self._value("artifact", "type")
        if value == BOOTSTRAP:
            return None
        return ROOTFS_NAMES[0] if value in ROOTFS_NAMES else value

    def _compression(self) -> str:
        value: str = self._value("artifact", "compression", "zstd")
        try:
            Codec.parse(value)
        except RequestError as e:
            self._text.refuse(_reason(e), table="artifact", key="compression", hint=e.hint)
        return value

    def _files(self, kind: str | None) -> tuple[Path, ...]:
        file, files = self._path("payload", "file"), self._paths("payload", "files")
        if file is not None and files:
            self._text.refuse("there is a file already", table="payload", key="files", hint="write one of the two")
        given = (file,) if file is not None else files
        if kind == ROOTFS_NAMES[0] and len(given) != 1:
            why = "file is missing" if not given else "a rootfs-image has one file"
            self._text.refuse(why, table="payload", hint='write file = "root.ext4" in [payload]')
        if kind is None and given:
            self._text.refuse(
                f"the type {BOOTSTRAP} has no files", table="payload", hint="name an update module as type"
            )
        return given

    def _image(self, kind: str | None) -> ImageOptions:
        values = self._table("image")
        if "image" in self._text.document and kind != ROOTFS_NAMES[0]:
            self._text.refuse("only a rootfs-image has an image", table="image")
        name = values.get("type", ImageKind.EXT4.value)
        makeable = (ImageKind.EXT4, ImageKind.SQUASHFS, ImageKind.EROFS)
        if name not in makeable:
            self._text.refuse(f"{name!r} cannot be made", table="image", key="type", hint=f"use {', '.join(makeable)}")
        return ImageOptions(
            kind=ImageKind(name),
            size=self._size(values.get("size")),
            label=values.get("label", ""),
            compression=values.get("compression"),
            keep_owners=values.get("keep-owners", False),
        )

    def _size(self, text: str | None) -> int | None:
        if text is None:
            return None
        number = text.rstrip("KMGikB")
        unit = UNITS.get(text[len(number) :].strip())
        if not number.strip().isdecimal() or unit is None:
            self._text.refuse(
                f"{text!r} is not a size", table="image", key="size", hint=f"a number and one of {', '.join(UNITS)}"
            )
        return int(number) * unit

    def _meta_data(self, kind: str | None) -> Mapping[str, Any] | Path | None:
        table, file = self._value("payload", "meta-data"), self._path("payload", "meta-data-file")
        if table is not None and file is not None:
            self._text.refuse("meta-data is there already", table="payload", key="meta-data-file")
        given: Mapping[str, Any] | Path | None = file if table is None else table
        if given is not None and kind in {None, ROOTFS_NAMES[0]}:
            key = "meta-data" if file is None else "meta-data-file"
            self._text.refuse("only artifacts for an update module have meta-data", table="payload", key=key)
        return given

    def _checksum_key(self, kind: str | None) -> str | None:
        value = self._value("payload", "checksum")
        if kind != ROOTFS_NAMES[0]:
            if value is not None:
                self._text.refuse("only a rootfs-image provides its checksum", table="payload", key="checksum")
            return None
        known = (CHECKSUM_KEY, LEGACY_CHECKSUM_KEY, NO_CHECKSUM)
        if value not in {None, *known}:
            self._text.refuse(f"{value!r} is unknown", table="payload", key="checksum", hint=f"use {', '.join(known)}")
        return None if value == NO_CHECKSUM else value or CHECKSUM_KEY

    def _without(self, values: dict[str, str], table: str, key: str, hint: str) -> Mapping[str, str]:
        """Refuse a key that has a place of its own."""
        if key in values:
            self._text.refuse("it has a place of its own", table=table, key=key, hint=hint)
        return values

    def _software(self) -> SoftwareVersion:
        values = self._table("software")
        return SoftwareVersion(
            filesystem=values.get("filesystem", ROOTFS_NAMES[0]),
            name=values.get("name"),
            version=values.get("version"),
            use_defaults=values.get("defaults", True),
        )

    def _sign_with(self) -> SignWith | None:
        values = self._table("sign")
        if "sign" not in self._text.document:
            return None
        given = [key for key in ("key", "pkcs11", "command") if key in values]
        if len(given) != 1:
            why = f"{' and '.join(given)} exclude one another" if given else "no key is named"
            self._text.refuse(why, table="sign", hint="write one of key, pkcs11 and command")
        if ("command" in values) != ("public-key" in values):
            self._text.refuse(
                "command and public-key go together",
                table="sign",
                hint="every signature is checked before it is stored",
            )
        for key, value in values.items():
            if "-----BEGIN" in str(value):
                self._text.refuse("it holds a key", table="sign", key=key, hint="write the path of the key's file")
        return SignWith(
            key=self._path("sign", "key"),
            pkcs11=values.get("pkcs11"),
            command=self._command(values.get("command", [])),
            public_key=self._path("sign", "public-key"),
        )

    def _command(self, words: list[str]) -> tuple[str, ...]:
        """A program that is named by a relative path lies where the file says; a bare name is looked up in PATH."""
        return tuple(str(self._base / word) if "/" in word and not at else word for at, word in enumerate(words))


def _reason(error: RequestError) -> str:
    return error.what.partition(": ")[2] or error.what
