"""The library's front door."""

import subprocess
import sys

import bistable.artifact


def test_every_public_name_can_be_imported() -> None:
    for name in bistable.artifact.__all__:
        assert getattr(bistable.artifact, name) is not None


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    assert not hasattr(bistable.artifact, "no_such_name")


def test_a_reader_does_not_load_what_writes() -> None:
    code = "import sys, bistable.artifact.reader; print([m for m in sys.modules if '.writer' in m or '.rewrite' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
