"""Whether an artifact suits this device, and what the device provides afterwards: pure functions."""

from typing import Final

from bistable.artifact.errors import quoted
from bistable.artifact.model import Header
from bistable.artifact.patterns import matches
from bistable.client.errors import UnsuitableError
from bistable.client.model import Offer, Provides

INCONSISTENT: Final = "_INCONSISTENT"
"""Behind the artifact's name: the device holds something of it, but nobody knows how much."""

NAME: Final = "artifact_name"
GROUP: Final = "artifact_group"


def offer_of(header: Header) -> Offer:
    """Return what a record has to keep of a header."""
    depends = {key: _values(value) for key, value in header.type_info.depends.items()}
    if header.info.depends_names:
        depends[NAME] = header.info.depends_names
    if header.info.depends_groups:
        depends[GROUP] = header.info.depends_groups
    return Offer(
        name=header.info.artifact_name,
        payload_type=header.info.payload_type,
        group=header.info.artifact_group,
        device_types=header.info.device_types,
        provides=dict(header.type_info.provides),
        depends=depends,
        clears=header.type_info.clears_provides,
    )


def check_suitable(offer: Offer, device_type: str | None, provides: Provides) -> None:
    """Check that the artifact is for this type of device and that all it depends on is provided.

    Raises:
        UnsuitableError: it is not.
    """
    if device_type is None:
        raise UnsuitableError(
            "cannot tell whether this artifact is for this device: the device type is not known",
            hint="set device.type (bistablectl doctor says where it is looked for)",
        )
    if device_type not in offer.device_types:
        raise UnsuitableError(
            f"cannot install {quoted(offer.name)}: it is for {_list(offer.device_types)}, this is {quoted(device_type)}"
        )
    for key, wanted in offer.depends.items():
        have = device_type if key == "device_type" else provides.get(key)
        if have is None:
            raise UnsuitableError(
                f"cannot install {quoted(offer.name)}: it depends on {quoted(key)}, which this device does not provide",
                hint="bistablectl provides shows what it does",
            )
        if have not in wanted:
            raise UnsuitableError(
                f"cannot install {quoted(offer.name)}: it depends on {quoted(key)} being {_list(wanted)}, "
                f"and this device has {quoted(have)}"
            )


def provides_after(old: Provides, offer: Offer) -> dict[str, str]:
    """Return what a device provides once the artifact is committed. FORMAT.md §5.2

    Patterns of `clears` remove old keys (FORMAT.md §5.6). An artifact that has no such list removes all of them, as
    the first clients did.
    """
    kept: dict[str, str] = {}
    if offer.clears is not None:
        kept = {key: value for key, value in old.items() if not any(matches(one, key) for one in offer.clears)}
    kept.update(offer.provides)
    kept[NAME] = offer.name
    if offer.group:
        kept[GROUP] = offer.group
    return kept


def provides_inconsistent(old: Provides, offer: Offer) -> dict[str, str]:
    """Return what a device provides after an update that was neither finished nor undone: its name says so."""
    kept = {**old, NAME: offer.name + INCONSISTENT}
    if offer.group:
        kept[GROUP] = offer.group
    return kept


def _values(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


def _list(values: tuple[str, ...]) -> str:
    return " or ".join(quoted(value) for value in values) or "nothing"
