"""The time that is stamped on members. FORMAT.md §12."""

import os
import re

from bistable.artifact.errors import RequestError, quoted


def source_date_epoch() -> int:
    """Return SOURCE_DATE_EPOCH from the environment, or 0: the time that makes the same input give the same bytes.

    Raises:
        RequestError: it is set to something else than a number of seconds.
    """
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return 0
    if not re.fullmatch(r"[0-9]{1,20}", text, re.ASCII):
        raise RequestError(
            f"cannot use SOURCE_DATE_EPOCH={quoted(text)}: it is not a number of seconds since 1970",
            hint="correct the variable, or unset it",
        )
    return int(text)
