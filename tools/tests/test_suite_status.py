"""What the suite makes of the client's answers."""

import json

import pytest

from bistable.tools.bringup.suite.status import client_error

FAILED = {
    "schema": "bistable.ctl.update/1",
    "result": "failure",
    "error": {"code": "boot", "what": "cannot rely on the boot loader's environment", "hint": "compare the two"},
}


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (json.dumps(FAILED, indent=2), ("cannot rely on the boot loader's environment", "compare the two")),
        (json.dumps(FAILED) + "\nwarning: a word", ("cannot rely on the boot loader's environment", "compare the two")),
        (json.dumps({"error": None}) + "\nerror: cannot lock", ("error: cannot lock", None)),
        ("sh: bistablectl: not found\n", ("sh: bistablectl: not found", None)),
        ("[1, 2]\nodd", ("odd", None)),
        ("", ("", None)),
    ],
    ids=["document", "document-and-words", "words", "no-document", "no-object", "nothing"],
)
def test_what_went_wrong_is_told_in_the_clients_words(output: str, said: tuple[str, str | None]) -> None:
    assert client_error(output) == said
