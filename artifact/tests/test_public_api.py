"""The library's front door."""

import subprocess
import sys

import bistable.artifact
import bistable.artifact.keys
import bistable.artifact.rewrite
import bistable.artifact.streams
import bistable.artifact.writer

PACKAGES = [
    bistable.artifact,
    bistable.artifact.keys,
    bistable.artifact.rewrite,
    bistable.artifact.streams,
    bistable.artifact.writer,
]


def test_every_public_name_can_be_imported() -> None:
    for package in PACKAGES:
        for name in package.__all__:
            assert getattr(package, name) is not None


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    assert not hasattr(bistable.artifact, "no_such_name")


def test_a_reader_does_not_load_what_writes() -> None:
    code = "import sys, bistable.artifact.reader; print([m for m in sys.modules if '.writer' in m or '.rewrite' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_reading_an_unsigned_artifact_starts_no_program_and_loads_no_cryptography() -> None:
    code = (
        "import sys, bistable.artifact.reader; print([m for m in ('subprocess', 'cryptography') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_changing_a_head_does_not_load_what_compresses_payloads() -> None:
    slow = ["concurrent.futures", "tempfile", "bistable.artifact.streams.compress", "bistable.artifact.writer.data"]
    code = f"import sys, bistable.artifact.rewrite.change; print([m for m in {slow} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
