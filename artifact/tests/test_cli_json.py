"""What `--json` writes is what the schemas say, in every field."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from commandline import CORPUS, KEYS, Outcome, call, made
from image_samples import EXT4_TOOLS
from schemas import SCHEMAS, validated

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"
VALID = CORPUS / "valid"
WHO = ("-n", "n", "-t", "t")
KEY, PUBLIC = KEYS / "ec256.key", KEYS / "ec256.pub"

pytestmark = pytest.mark.skipif(not SCHEMAS.exists(), reason="only a checkout has the schemas")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rootfs.ext4").write_bytes(b"an image" * 100)
    made("write", "rootfs", "-f", "rootfs.ext4", *WHO, "-o", "a.mender")
    made("write", "rootfs", "-f", "rootfs.ext4", *WHO, "-k", KEY, "-g", "g", "-p", "a:b", "-d", "c:d", "-o", "b.mender")
    return tmp_path


def image(here: Path) -> None:
    (here / "root").mkdir()
    (here / "root" / "file").write_bytes(b"content")
    (here / "root" / "link").symlink_to("file")
    made("write", "rootfs", "-f", "root", "--image-size", "8MiB", *WHO, "-o", "image.mender")


def check(outcome: Outcome) -> str:
    """Validate a document against the schema that it names, and return that name."""
    document = validated(outcome.document)
    assert outcome.raw.isascii()
    return str(document["schema"]).removeprefix("bistable.").replace("/", ".")


SIMPLE: dict[str, Callable[[], Outcome]] = {
    "show": lambda: made("show", "--json", "b.mender"),
    "show-head": lambda: made("show", "--head", "--json", "b.mender"),
    "show-many": lambda: made("show", "--json", VALID / "v16-44-module-many-zstd-signed.mender"),
    "show-augmented": lambda: made("show", "--json", "--allow-augment", VALID / "v18-39-module-augment.mender"),
    "show-bootstrap": lambda: made("show", "--json", VALID / "v22-39-bootstrap.mender"),
    "show-version-2": lambda: made("show", "--json", VALID / "v26-44-v2-rootfs.mender"),
    "show-unicode": lambda: made("show", "--json", VALID / "v29-44-unicode.mender"),
    "show-findings": lambda: made("show", "--json", VALID / "v06-39-signcmd-rsa2048.mender"),
    "verify": lambda: made("verify", "--json", "-k", PUBLIC, "b.mender"),
    "verify-unsigned": lambda: made("verify", "--json", "a.mender"),
    "write-rootfs": lambda: made("write", "rootfs", "--json", "-f", "rootfs.ext4", *WHO, "-k", KEY),
    "write-module": lambda: made("write", "module", "--json", "-T", "x", *WHO),
    "write-bootstrap": lambda: made("write", "bootstrap", "--json", *WHO),
    "sign": lambda: made("sign", "--json", "-k", KEY, "a.mender"),
    "sign-strip": lambda: made("sign", "--json", "--strip", "b.mender"),
    "sign-manifest": lambda: made("sign", "--json", "--print-manifest", "b.mender"),
    "modify": lambda: made("modify", "--json", "-n", "x", "a.mender"),
    "repack": lambda: made("repack", "--json", "--compression", "gzip", "b.mender"),
    "repack-repair": lambda: made("repack", "--json", "--repair", VALID / "v26-44-v2-rootfs.mender", "-o", "x"),
    "repack-kept": lambda: made("repack", "--json", "--repair", "a.mender"),
    "extract": lambda: made("extract", "--json", "-o", "out", VALID / "v06-39-signcmd-rsa2048.mender"),
    "keys-generate": lambda: made("keys", "generate", "--json", "--type", "p256", "-o", "x"),
    "keys-public": lambda: made("keys", "public", "--json", KEY),
    "keys-show": lambda: made("keys", "show", "--json", KEY, KEYS / "ec384.pub"),
    "diff-same": lambda: made("diff", "--json", "a.mender", "a.mender"),
    "diff": lambda: call("diff", "--json", "a.mender", "b.mender"),
    "lint": lambda: call("lint", "--json", "a.mender"),
    "lint-target": lambda: call("lint", "--json", "--target", "mender-client-3", "b.mender"),
    "attest": lambda: made("attest", "--json", "-k", KEY, "--provenance", "https://example.com", "b.mender"),
    "error": lambda: call("verify", "--json", "-k", PUBLIC, "a.mender"),
    "error-place": lambda: call("verify", "--json", CORPUS / "malformed" / "m032-uppercase-hex.mender"),
    "error-usage": lambda: call("verify", "--json"),
}


@pytest.mark.parametrize("name", SIMPLE)
def test_every_document_is_what_its_schema_says(name: str) -> None:
    check(SIMPLE[name]())


def test_attestations_that_were_verified_are_what_their_schema_says(here: Path) -> None:
    (here / "bill.json").write_text('{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": []}')
    made("attest", "-k", KEY, "--provenance", "https://example.com", "--sbom", "bill.json", "b.mender")
    outcome = made("verify", "--json", "--attestations", "-k", PUBLIC, "b.mender")
    assert check(outcome) == "artifact.verify.1"
    assert len(outcome.document["attestations"]) == 2


def test_a_write_with_attestations_is_what_its_schema_says() -> None:
    outcome = made("write", "bootstrap", "--json", *WHO)
    assert outcome.document["attestations"] is None
    outcome = made("write", "module", "-T", "x", "--json", *WHO, "-k", KEY, "--provenance", "https://example.com")
    check(outcome)
    assert outcome.document["attestations"] == "artifact.mender.intoto.jsonl"


@EXT4_TOOLS
def test_documents_on_files_in_images_are_what_their_schemas_say(here: Path) -> None:
    image(here)
    assert check(made("ls", "--json", "-R", "image.mender")) == "artifact.ls.1"
    assert check(made("mkdir", "--json", "image.mender:/new", "-o", "new.mender")) == "artifact.edit.1"
    assert check(call("diff", "--json", "image.mender", "new.mender")) == "artifact.diff.1"


@EXT4_TOOLS
def test_a_build_is_shown_like_any_other_write(here: Path) -> None:
    (here / "b.toml").write_text(
        '[artifact]\nname = "n"\ntype = "rootfs-image"\ndevice-types = ["t"]\noutput = "o.mender"\n'
        '[payload]\nfile = "rootfs.ext4"\n'
    )
    assert check(made("build", "--json", "b.toml")) == "artifact.write.1"


def test_every_schema_is_valid_and_is_in_the_reference() -> None:
    text = (REFERENCE / "json.md").read_text()
    for path in SCHEMAS.glob("*.json"):
        jsonschema.Draft202012Validator.check_schema(json.loads(path.read_text()))
        if re.fullmatch(r".*\.\d+\.json", path.name):
            assert f"schemas/{path.name}" in text
            assert f"`bistable.{path.name.removesuffix('.json').rpartition('.')[0]}/1`" in text


def test_every_schema_that_the_code_names_is_there() -> None:
    from bistable.artifact.cli import app

    folders = [Path(app.__file__).parent, REFERENCE.parents[1] / "tools" / "bistable" / "tools" / "cli"]
    texts = "".join(path.read_text() for folder in folders for path in folder.glob("*.py"))
    # The list of targets is text only: it leaves before anything is done.
    named = set(re.findall(r'schema="([a-z./0-9-]+)"', texts)) - {"artifact.lint-targets/1"}
    assert {name.replace("/", ".") + ".json" for name in named} == {
        path.name for path in SCHEMAS.glob("*.*.json") if path.name != "build.json"
    }
