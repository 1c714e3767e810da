"""What each device client, server and tool takes: one table, read off their sources and tried. FORMAT.md §1 to §9.

A row is a claim about the oldest release that it names; what newer ones of the same row add stands in `remarks`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Final

from bistable.artifact.errors import RequestError
from bistable.artifact.limits import MIB, WINDOW_LOG
from bistable.artifact.model import Compression

GIB: Final = 1024 * MIB
WITHOUT_ZSTD: Final = frozenset({Compression.NONE, Compression.GZIP, Compression.XZ})
ALL: Final = frozenset(Compression)
NO_REMARKS: Final[Mapping[str, str]] = MappingProxyType({})

GO_STRICT_MEMBERS: Final = frozenset(
    {"version", "header-info", "header-info: payloads", "header-info: artifact_provides"}
)
"""Where the readers written in Go refuse a key that they do not know; elsewhere they ignore it."""


class EmptyPayload(Enum):
    """What a target does with an artifact without a payload. FORMAT.md §8."""

    TAKEN = "taken"
    BOOTSTRAP_FILE = "read from one place on the device, refused as an update"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What one target takes; `title` names it in a sentence, `about` says it in full.

    `compressions`: of header and data; `augmented`: those with which it reads augmented artifacts. `der_sizes`: lengths
    in bytes of the DER signatures that it can check. `window`: the largest zstd window in bytes; `size`: the largest
    artifact in bytes. `refuses`: rules of the reader (docs/reference/rules.md) whose findings are errors here;
    `strict_members`: documents in which an unknown key is one. `installs` tells a device from a server or a tool.
    `remarks`: rule -> a sentence to add to its findings.
    """

    name: str
    title: str
    about: str
    installs: bool = True
    versions: frozenset[int] = frozenset({3})
    compressions: frozenset[Compression] = ALL
    augmented: frozenset[Compression] = frozenset()
    der_sizes: range = range(0)
    signatures: bool = True
    scripts: bool = True
    empty_payload: EmptyPayload = EmptyPayload.TAKEN
    depends_lists: bool = True
    empty_data_body: bool = True
    xz_filters: bool = True
    window: int | None = None
    size: int | None = None
    refuses: frozenset[str] = frozenset()
    strict_members: frozenset[str] = frozenset()
    remarks: Mapping[str, str] = field(default_factory=lambda: NO_REMARKS)


_GO_REFUSES: Final = frozenset({"manifest.unterminated"})

PROFILES: Final[Mapping[str, Profile]] = {
    profile.name: profile
    for profile in (
        Profile(
            name="bistable",
            title="Bistable",
            about="the Bistable client and `bistable artifact verify`",
            versions=frozenset({2, 3}),
            der_sizes=range(8, 73),
            window=1 << WINDOW_LOG,
        ),
        Profile(
            name="mender-client-2",
            title="Mender client 2.x",
            about="the Mender client 2.x",
            versions=frozenset({2, 3}),
            compressions=WITHOUT_ZSTD,
            augmented=WITHOUT_ZSTD,
            empty_payload=EmptyPayload.REFUSED,
            refuses=_GO_REFUSES,
            strict_members=GO_STRICT_MEMBERS,
            remarks={
                "lint.compression": "zstd came with client 3.5",
                "lint.empty-payload": "it came with client 3.4",
            },
        ),
        Profile(
            name="mender-client-3",
            title="Mender client 3.4",
            about="the Mender client 3.x from 3.4 on; Debian 12 has 3.4.0",
            versions=frozenset({2, 3}),
            compressions=WITHOUT_ZSTD,
            augmented=WITHOUT_ZSTD,
            refuses=_GO_REFUSES,
            strict_members=GO_STRICT_MEMBERS,
            remarks={"lint.compression": "zstd came with client 3.5"},
            empty_payload=EmptyPayload.BOOTSTRAP_FILE,
        ),
        Profile(
            name="mender-client-4",
            title="Mender client 4.x",
            about="the Mender client 4.x to 6.x (mender-update)",
            der_sizes=range(8, 73),
            depends_lists=False,
            empty_data_body=False,
            window=1 << 27,
            refuses=frozenset({"signature.wrapped", "header.directory", "data.missing", "payload.long-name"}),
        ),
        Profile(
            name="mender-mcu",
            title="Mender MCU",
            about="the Mender MCU client, for microcontrollers (micro tier)",
            compressions=frozenset({Compression.NONE}),
            signatures=False,
            scripts=False,
            empty_payload=EmptyPayload.REFUSED,
            size=5 * MIB,
            refuses=frozenset({"tar.sparse"}),
        ),
        Profile(
            name="hosted-mender",
            title="hosted Mender",
            about="the server of hosted Mender, standard tier",
            installs=False,
            versions=frozenset({2, 3}),
            augmented=WITHOUT_ZSTD,
            der_sizes=range(8, 73),  # the server has no keys and checks none
            size=10 * GIB,
            refuses=_GO_REFUSES,
            strict_members=GO_STRICT_MEMBERS,
        ),
        Profile(
            name="mender-artifact-3.9",
            title="mender-artifact 3.9",
            about="the program mender-artifact 3.9, of Debian 12 and 13 and Ubuntu 24.04",
            installs=False,
            versions=frozenset({2, 3}),
            compressions=WITHOUT_ZSTD,
            augmented=WITHOUT_ZSTD,
            refuses=_GO_REFUSES,
            strict_members=GO_STRICT_MEMBERS,
            remarks={"lint.compression": "zstd came with mender-artifact 3.10"},
        ),
        Profile(
            name="mender-artifact-4.4",
            title="mender-artifact 4.4",
            about="the program mender-artifact 4.4",
            installs=False,
            versions=frozenset({2, 3}),
            augmented=WITHOUT_ZSTD,
            der_sizes=range(70, 73),
            xz_filters=False,
            window=1 << 29,
            refuses=_GO_REFUSES | {"type-info.empty-type"},
            strict_members=GO_STRICT_MEMBERS,
        ),
    )
}
"""The targets by name."""

DEFAULT_PROFILE: Final = "bistable"


def find_profile(name: str) -> Profile:
    """Return the profile called `name`.

    Raises:
        RequestError: there is none.
    """
    try:
        return PROFILES[name]
    except KeyError:
        raise RequestError(
            f"cannot check for the target {name!r}: unknown", hint=f"the targets are {', '.join(sorted(PROFILES))}"
        ) from None
