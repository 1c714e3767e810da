"""A report as two files, each of which appears whole or not at all."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bistable.artifact.errors import RequestError
from bistable.artifact.files import replacing
from bistable.tools.bringup.report.document import SCHEMA, Report, report_document
from bistable.tools.bringup.report.page import report_page

JSON_NAME: Final = "report.json"
HTML_NAME: Final = "report.html"

_PREFIX: Final = "bistable."


def write_report(report: Report, folder: Path) -> Mapping[str, Any]:
    """Write `report.json` and `report.html` into a folder, which is made if it is not there; return the document.

    Raises:
        RequestError: the folder cannot be made.
        MachineError: a file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise RequestError(f"cannot write the report to {folder}: {e.strerror}") from e
    document = report_document(report)
    with replacing(folder / JSON_NAME) as file:
        file.write(f"{json.dumps({'schema': _PREFIX + SCHEMA, **document}, indent=2)}\n".encode())
    with replacing(folder / HTML_NAME) as file:
        file.write(report_page(report).encode())
    return document
