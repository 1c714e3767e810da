"""From the bytes of a layout to what it asks for, with every mistake named by line, table and key."""

import tomllib
from collections.abc import Collection, Iterable, Mapping
from importlib.resources import files
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, Final

from bistable.artifact.documents import check_text
from bistable.artifact.errors import RequestError
from bistable.artifact.image import ImageKind
from bistable.artifact.spec.text import BuildText, suggestion
from bistable.tools.boot.plan import DEFAULT_TRIES, Loader
from bistable.tools.disk.layout.model import (
    DEFAULT_ERASE_BLOCK,
    DEFAULT_KERNEL,
    Blob,
    BootWish,
    DataWish,
    DiskWish,
    EnvironmentWish,
    ExtraKind,
    ExtraPlace,
    ExtraWish,
    Fill,
    Layout,
    SlotsWish,
    TableKind,
)
from bistable.tools.disk.layout.schema import EXTRA, REST, TABLES, Form, Key, Table, parse_size

NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
SUFFIX: Final = ".toml"
MOST_TRIES: Final = 9
_SMALLEST_ERASE_BLOCK: Final = 4096
_GPT_NAME_LIMIT: Final = 36


def layout_names() -> tuple[str, ...]:
    """Return the names of the layouts that are there from the start."""
    found = (item.name for item in files("bistable.tools.disk").joinpath("layouts").iterdir())
    return tuple(sorted(name.removesuffix(SUFFIX) for name in found if name.endswith(SUFFIX)))


def load_layout(name: str | Path, *, settings: Mapping[str, str] = NOTHING) -> Layout:
    """Read a layout: a file, or by its name one of those that are there from the start.

    `settings` (`table.key` -> value) go before what it says. Relative paths in it start where the file is.

    Raises:
        RequestError: what is wrong, in which line, and what would be right.
    """
    path = Path(name)
    known = isinstance(name, str) and "/" not in name and not name.endswith(SUFFIX)
    if known:
        if name not in layout_names():
            raise RequestError(
                f"cannot find the layout {name}: there is none of that name",
                hint=f"there are {', '.join(layout_names())}; a file of yours is named with its suffix {SUFFIX}",
            )
        data = files("bistable.tools.disk").joinpath("layouts", f"{name}{SUFFIX}").read_bytes()
        return parse_layout(data, Path(), origin=f"the layout {name}", name=str(name), settings=settings)
    try:
        data = path.read_bytes()
    except OSError as e:
        raise RequestError(f"cannot read the layout {path}: {e.strerror}") from e
    return parse_layout(data, path.parent, origin=str(path), name=path.stem, settings=settings)


def parse_layout(
    data: bytes, base: Path, *, origin: str = "the layout", name: str = "layout", settings: Mapping[str, str] = NOTHING
) -> Layout:
    """Read a layout's bytes; relative paths in it start at `base`.

    Raises:
        RequestError: what is wrong, in which line, and what would be right.
    """
    text = BuildText(data, origin=origin)
    for setting, value in settings.items():
        _set(text, setting, value)
    return layout_in(text, base, name=name)


def layout_in(text: BuildText, base: Path, *, name: str, others: Collection[str] = ()) -> Layout:
    """Return the layout that is in a document; tables called `others` are not of it and left alone.

    Raises:
        RequestError: what is wrong, in which line, and what would be right.
    """
    _check(text, others)
    return _Reading(text, base).layout(name)


def _set(text: BuildText, setting: str, value: str) -> None:
    """Put a setting of the command line into the document."""
    table_name, _, key_name = setting.rpartition(".")
    extra = table_name.startswith(f"{EXTRA.name}.")
    table = EXTRA if extra else TABLES.get(table_name)
    key = table.key(key_name) if table is not None else None
    if key is None:
        known = [f"{table.name}.{key.name}" for table in TABLES.values() for key in table.keys]
        raise RequestError(f"cannot set {setting}: layouts have no such key", hint=suggestion(setting, known))
    parsed: Any = value
    if key.form not in {Form.TEXT, Form.SIZE, Form.SIZE_OR_REST, Form.CHOICE}:
        try:
            parsed = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            parsed = None
    if not key.form.holds(parsed):
        raise RequestError(
            f"cannot set {setting} to {value!r}: it must be {key.form.value}",
            hint=f"for example --set '{setting}={key.example.strip(chr(34))}'",
        )
    place = text.document
    for part in table_name.split("."):
        place = place.setdefault(part, {})
    place[key_name] = parsed


def _check(text: BuildText, others: Collection[str]) -> None:
    """Check names and forms of all that is there, and that what must be there is."""
    for name, content in text.document.items():
        if name in others:
            continue
        if name == EXTRA.name:
            _check_extras(text, content)
            continue
        table = TABLES.get(name)
        if table is None:
            text.refuse("there is no such table", table=name, hint=suggestion(name, [*TABLES, EXTRA.name]))
        if not isinstance(content, dict):
            text.refuse("it is a table, not a value", table=name, hint=f"write [{name}] on a line of its own")
        check_table(text, table, name, content)
    for table in TABLES.values():
        if table.required and table.name not in text.document:
            missing = next(key for key in table.keys if key.required)
            text.refuse(
                f"the table [{table.name}] is missing",
                hint=f"add [{table.name}] and in it {missing.name} = {missing.example}",
            )


def _check_extras(text: BuildText, content: object) -> None:
    if not isinstance(content, dict) or not all(isinstance(value, dict) for value in content.values()):
        text.refuse("it holds tables, one for each partition", table=EXTRA.name, hint="write [extra.NAME]")
    for name, values in content.items():
        check_table(text, EXTRA, f"{EXTRA.name}.{name}", values)


def check_table(text: BuildText, table: Table, name: str, content: Mapping[str, Any]) -> None:
    """Check names and forms of the keys of a table, which is called `name` in the document.

    Raises:
        RequestError: what is wrong, in which line, and what would be right.
    """
    for key_name, value in content.items():
        key = table.key(key_name)
        if key is None:
            names = [key.name for key in table.keys]
            text.refuse("there is no such key", table=name, key=key_name, hint=suggestion(key_name, names))
        if not key.form.holds(value):
            text.refuse(
                f"it must be {key.form.value}", table=name, key=key_name, hint=f"write {key_name} = {key.example}"
            )
        if key.choices and value not in key.choices:
            text.refuse(f"{value!r} is not known", table=name, key=key_name, hint=_listed(key))
    for key in table.keys:
        if key.required and key.name not in content:
            text.refuse(f"{key.name} is missing", table=name, hint=f"add {key.name} = {key.example}")


def _listed(key: Key) -> str:
    return f"write one of {', '.join(key.choices)}"


class _Reading:
    """Turns a checked document into a layout."""

    def __init__(self, text: BuildText, base: Path) -> None:
        self._text = text
        self._base = base

    def layout(self, name: str) -> Layout:
        device_type = self._device_type()
        return Layout(
            name=name,
            device_type=device_type,
            disk=self._disk(device_type),
            boot=self._boot(),
            boot_partition_size=self._positive("boot-partition", "size"),
            boot_files={
                self._inner("boot-partition", "files", inside): self._base / path
                for inside, path in self._value("boot-partition", "files", {}).items()
            },
            blobs=tuple(self._blobs()),
            blobs_end=self._blobs_end(),
            environment=self._environment(),
            slots=SlotsWish(
                size=self._positive("slots", "size"),
                filesystem=ImageKind(self._value("slots", "filesystem", "ext4")),
                fill=Fill(self._value("slots", "fill", Fill.BOTH)),
            ),
            data=self._data(),
            extras=tuple(self._extras()),
        )

    def _device_type(self) -> str:
        found: str = self._value("device", "type", "")
        why = "is empty" if not found else check_text(found)
        if why is not None:
            self._text.refuse(f"the type {why}", table="device", key="type")
        return found

    def _disk(self, device_type: str) -> DiskWish:
        seed: str = self._value("disk", "seed", device_type)
        if not seed:
            self._text.refuse("it is empty", table="disk", key="seed", hint="leave it out, or write anything")
        return DiskWish(
            table=TableKind(self._value("disk", "table", TableKind.GPT)),
            size=self._size("disk", "size"),
            erase_block=self._erase_block(),
            seed=seed,
        )

    def _erase_block(self) -> int:
        found = self._size("disk", "erase-block")
        if found is None:
            return DEFAULT_ERASE_BLOCK
        if found < _SMALLEST_ERASE_BLOCK or found & (found - 1):
            self._text.refuse(
                f"it must be a power of two, and at least {_SMALLEST_ERASE_BLOCK} bytes",
                table="disk",
                key="erase-block",
                hint='"4 MiB" is right for most cards and eMMC',
            )
        return found

    def _boot(self) -> BootWish:
        tries: int = self._value("boot", "tries", DEFAULT_TRIES)
        if not 1 <= tries <= MOST_TRIES:
            self._text.refuse(f"it must be a number from 1 to {MOST_TRIES}", table="boot", key="tries")
        kernel = self._in_slot("kernel", str(DEFAULT_KERNEL))
        assert kernel is not None
        arguments: str = self._value("boot", "arguments", "")
        if not (arguments.isascii() and arguments.isprintable()):
            self._text.refuse("it must be ASCII text in one line", table="boot", key="arguments")
        loader = Loader(self._value("boot", "loader", ""))
        return BootWish(
            loader=loader,
            architecture=self._value("boot", "architecture", "amd64"),
            tries=tries,
            kernel=kernel,
            initrd=self._in_slot("initrd"),
            devicetree=self._in_slot("devicetree"),
            arguments=arguments,
            disk=self._value("boot", "disk", "virtio 0"),
            watchdog=self._watchdog(loader),
            addresses=dict(self._addresses()),
        )

    def _addresses(self) -> Iterable[tuple[str, int]]:
        for name, value in self._value("boot", "addresses", {}).items():
            try:
                yield name, int(value, 16)
            except ValueError:
                self._text.refuse(
                    f"{name} must be a hexadecimal number", table="boot", key="addresses", hint='write "0x40400000"'
                )

    def _watchdog(self, loader: Loader) -> str | None:
        found: str | None = self._value("boot", "watchdog", None)
        if found is not None and loader not in {Loader.UBOOT, Loader.UBOOT_ENVIRONMENT}:
            self._text.refuse(
                f"U-Boot starts it, and the loader is {loader.value}",
                table="boot",
                key="watchdog",
                hint="leave it out; what the client feeds is its setting watchdog.device",
            )
        return found

    def _in_slot(self, key: str, default: str | None = None) -> PurePosixPath | None:
        found: str | None = self._value("boot", key, default)
        if found is None:
            return None
        if not found.startswith("/") or ".." in found.split("/") or found.endswith("/"):
            self._text.refuse("it must be an absolute path in the slot", table="boot", key=key)
        return PurePosixPath(found)

    def _environment(self) -> EnvironmentWish:
        offsets = self._value("environment", "offsets", None)
        size = self._size("environment", "size")
        if size == 0:
            self._text.refuse("it must be more than 0", table="environment", key="size")
        return EnvironmentWish(size=size, offsets=None if offsets is None else (_bytes(offsets[0]), _bytes(offsets[1])))

    def _data(self) -> DataWish:
        size = self._value("data", "size", REST)
        if size == REST and self._value("disk", "size", None) is None:
            self._text.refuse(
                "it cannot be the rest of a disk whose size is not given",
                table="data",
                key="size",
                hint="give it a size, or give [disk] one",
            )
        directory = self._value("data", "files", None)
        return DataWish(
            size=None if size == REST else self._positive("data", "size"),
            files=None if directory is None else self._base / directory,
        )

    def _blobs(self) -> Iterable[Blob]:
        for path, offset in self._value("blobs", "at", {}).items():
            yield Blob(file=self._base / path, written=path, offset=_bytes(offset))

    def _blobs_end(self) -> int | None:
        if self._text.document.get("blobs") == {}:
            hint = 'add at = { "idbloader.img" = "32 KiB" }, or end = "16 MiB"'
            self._text.refuse("it has neither at nor end", table="blobs", hint=hint)
        return None if self._size("blobs", "end") is None else self._positive("blobs", "end")

    def _extras(self) -> Iterable[ExtraWish]:
        for name, content in self._text.document.get(EXTRA.name, {}).items():
            table = f"{EXTRA.name}.{name}"
            if name in {"boot", "boot-env", "rootfs-a", "rootfs-b", "data"} or not 0 < len(name) <= _GPT_NAME_LIMIT:
                self._text.refuse(f"a partition cannot be called {name!r}", table=table, hint="choose another name")
            size = _bytes(content["size"])
            if size == 0:
                self._text.refuse("it must be more than 0", table=table, key="size")
            path = content.get("content")
            yield ExtraWish(
                name=name,
                size=size,
                filesystem=ExtraKind(content.get("filesystem", ExtraKind.NOTHING)),
                content=None if path is None else self._base / path,
                place=ExtraPlace(content.get("place", ExtraPlace.BEHIND)),
            )

    def _inner(self, table: str, key: str, inside: str) -> PurePosixPath:
        path = PurePosixPath(inside.lstrip("/"))
        if not path.parts or ".." in path.parts:
            self._text.refuse(f"{inside!r} is no path in the partition", table=table, key=key)
        return path

    def _positive(self, table: str, key: str) -> int:
        found = self._size(table, key)
        if not found:
            self._text.refuse("it must be more than 0", table=table, key=key)
        return found

    def _size(self, table: str, key: str) -> int | None:
        found = self._value(table, key, None)
        return None if found is None else _bytes(found)

    def _value(self, table: str, key: str, default: Any) -> Any:
        return self._text.document.get(table, {}).get(key, default)


def _bytes(text: str) -> int:
    found = parse_size(text)
    assert found is not None
    return found
