"""What is said once about a setting: its kind, what it means, and the key of mender.conf that says the same."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from bistable.client.config.kinds import Kind

_KEY: Final = "setting"


class Form(Enum):
    """What mender.conf has for a key."""

    TEXT = "a text"
    NUMBER = "a whole number"
    SWITCH = "true or false"
    TEXTS = "a list of texts"
    SERVERS = 'a list of objects such as {"ServerURL": "https://updates.example.com"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class MenderKey:
    """A key of mender.conf; those inside an object have a dot in their name."""

    name: str
    form: Form


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting: where it stands, and all that was declared about it."""

    table: str
    key: str
    attributes: tuple[str, str]
    """Where the value is in Settings."""
    kind: Kind[Any]
    default: Any
    meaning: str
    mender: tuple[MenderKey, ...] = ()

    @property
    def name(self) -> str:
        """Return how it is called where the table must be said, too."""
        return f"{self.table}.{self.key}"


def setting(kind: Kind[Any], meaning: str, **mender: Form) -> Mapping[str, Any]:
    """Return what a field of a group of settings carries as its metadata.

    The keys of mender.conf are given by name; `HttpsClient__Key` is the key `Key` inside `HttpsClient`.
    """
    keys = tuple(MenderKey(name=name.replace("__", "."), form=form) for name, form in mender.items())
    return {_KEY: (kind, meaning, keys)}


def settings_of(groups: type[Any]) -> Iterator[Setting]:
    """Yield every setting that the fields of the class `groups` declare, in their order."""
    for group in dataclasses.fields(groups):
        for field in dataclasses.fields(_class_of(group)):
            kind, meaning, mender = field.metadata[_KEY]
            yield Setting(
                table=group.name.replace("_", "-"),
                key=field.name.replace("_", "-"),
                attributes=(group.name, field.name),
                kind=kind,
                default=field.default,
                meaning=meaning,
                mender=mender,
            )


def tables_of(groups: type[Any]) -> Iterator[tuple[str, str]]:
    """Yield each table with what is said about it."""
    for group in dataclasses.fields(groups):
        yield group.name.replace("_", "-"), _class_of(group).__doc__ or ""


def _class_of(group: "dataclasses.Field[Any]") -> type[Any]:
    made: Any = group.default_factory
    assert isinstance(made, type)
    return made
