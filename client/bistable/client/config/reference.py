"""Writes what people read about the settings, from their declarations."""

import textwrap
from collections.abc import Iterator
from typing import Final

from bistable.client.config.declare import Setting, tables_of
from bistable.client.config.kinds import shown
from bistable.client.config.menderconf import IGNORED
from bistable.client.config.settings import SETTINGS, Settings

WIDTH: Final = 100

INTRODUCTION: Final = """\
# Configuration

<!-- Written by bistable.client.config.reference from the declarations in its settings. -->

The client reads, the later over the earlier:

1. `/var/lib/mender/mender.conf`, then `/etc/mender/mender.conf`: the files of the Mender client, as they are;
   [which keys mean what](#menderconf).
2. `/etc/bistable/bistable.toml`.
3. `/etc/bistable/conf.d/*.toml`, in the order of their names (`10-` goes before `20-`). Other files there, and those
   whose names begin with a dot, are not read.

None of them has to be there, and no setting has to be made: what is missing is asked for by the command that needs it.
A list in a later file takes the place of the earlier list; the two are not added up.

A key that is not known is warned about by its name, with the name that was probably meant. A value that cannot be is an
error, which names file and key and says what is right:

    error: cannot use /etc/bistable/conf.d/10-write.toml: [install] skip-identical must be true or false, not 'yes'

`TenantToken` and addresses, which may hold a password, are never shown.

```toml
[slots]
a = "/dev/mmcblk0p2"
b = "/dev/mmcblk0p3"

[trust]
verify-keys = ["/etc/bistable/release.pub"]

[health]
units = ["network-online.target", "app.service"]
deadline = 600
```
"""

MENDER: Final = """\
## mender.conf

As in the client in Go, keys are taken in any case, and 0 and `""` mean that nothing is said. The client in C++ takes
only the spelling below, so another one is warned about. A value of a wrong type is an error. Of `ServerURL` and
`Servers`, and of `ArtifactVerifyKey` and `ArtifactVerifyKeys`, a file has one; the main file goes over the fallback.
"""

NOT_USED: Final = "Read, and ignored:"

SAMPLE: Final = """\
# All settings of the client with their defaults. Remove the # before what you change, and the table's name above it.
# What each may be: docs/reference/configuration.md. Written by bistable.client.config.reference.
"""


def reference() -> str:
    """Return docs/reference/configuration.md."""
    lines = [INTRODUCTION]
    for table, meaning in tables_of(Settings):
        paragraphs = [" ".join(paragraph.split()) for paragraph in meaning.split("\n\n")]
        lines += [f"## {table}\n", *(textwrap.fill(paragraph, 120) + "\n" for paragraph in paragraphs)]
        lines += ["| key | what it is | default | meaning |", "|---|---|---|---|"]
        lines += [_row(setting) for setting in SETTINGS if setting.table == table]
        lines.append("")
    return "\n".join([*lines, MENDER, *mender_table()]) + "\n"


def mender_table() -> Iterator[str]:
    """Yield the lines of the tables of mender.conf's keys."""
    yield from ("| mender.conf | here | |", "|---|---|---|")
    keys: dict[str, list[Setting]] = {}
    for setting in SETTINGS:
        for key in setting.mender:
            keys.setdefault(key.name, []).append(setting)
    for name in sorted(keys, key=str.lower):
        places = ", ".join(f"`[{setting.table}] {setting.key}`" for setting in keys[name])
        yield f"| `{name}` | {places} | {_cell(keys[name][0].meaning)} |"
    yield from ("", NOT_USED, "", "| mender.conf | why |", "|---|---|")
    yield from (
        f"| `{name}` | {_cell(why)} |" for name, why in sorted(IGNORED.items(), key=lambda item: item[0].lower())
    )


def sample() -> str:
    """Return a configuration file that has every setting, commented out."""
    lines = [SAMPLE]
    for table, meaning in tables_of(Settings):
        lines += [f"# {line}" for line in textwrap.wrap(" ".join(meaning.split()), WIDTH)]
        lines.append(f"#[{table}]")
        for setting in SETTINGS:
            if setting.table == table:
                lines += ["", *(f"# {line}" for line in textwrap.wrap(setting.meaning.replace("`", ""), WIDTH))]
                lines.append(f"#{setting.key} = {shown(setting.default)}".rstrip())
        lines.append("\n")
    return "\n".join(lines).rstrip() + "\n"


def _row(setting: Setting) -> str:
    default = shown(setting.default)
    return (
        f"| `{setting.key}` | {_cell(setting.kind.form)} | {f'`{_cell(default)}`' if default else 'none'} "
        f"| {_cell(setting.meaning)} |"
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
