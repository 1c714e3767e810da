"""Lines of Markdown as a person would break them, however long the names are that a template puts in."""

import re
import textwrap
from typing import Final

_WIDTH: Final = 120
_NOT_PROSE: Final = re.compile(r"[|#<]|    |```")
_ITEM: Final = re.compile(r"(?:-|[0-9]+\.) ")
_CODE: Final = re.compile(r"`[^`]*`|\[[^]]*\]\([^)]*\)")
"""What stays in one line, so that it can be copied; and links."""

_KEPT: Final = "\0"
_BLANKS: Final = re.compile(r"\n{3,}")


def reflowed(text: str) -> str:
    """Return the text with its paragraphs and items of lists filled, and one empty line at most in a row."""
    blocks = _BLANKS.sub("\n\n", text).strip("\n").split("\n\n")
    return "\n\n".join(map(_filled, blocks)) + "\n"


def _filled(block: str) -> str:
    if _NOT_PROSE.match(block):
        return block
    pieces: list[list[str]] = []
    for line in block.splitlines():
        if not pieces or _ITEM.match(line):
            pieces.append([line])
        else:
            pieces[-1].append(line.strip())
    return "\n".join(_paragraph(" ".join(piece)) for piece in pieces)


def _paragraph(text: str) -> str:
    item = _ITEM.match(text)
    if item is not None:
        text = f"{item[0].strip()}{_KEPT}{text[item.end() :]}"
    filled = textwrap.fill(
        _CODE.sub(lambda code: code[0].replace(" ", _KEPT), text),
        _WIDTH,
        subsequent_indent="" if item is None else " " * item.end(),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return filled.replace(_KEPT, " ")
