"""Artifacts described in a file, for pipelines that outgrow options. docs/reference/build-file.md.

spec = load(Path("release.toml").read_bytes(), Path("."), variables=os.environ)
write_artifact(spec.output, to_request(spec), Options(codec=spec.codec, signer=open_signer(spec.sign_with)))
"""

from bistable.artifact.spec.build import is_tree, open_signer, read_scripts, to_request
from bistable.artifact.spec.load import BuildSpec, SignWith, load
from bistable.artifact.spec.schema import TABLES, json_schema
from bistable.artifact.spec.text import SIZE_LIMIT

__all__ = [
    "SIZE_LIMIT",
    "TABLES",
    "BuildSpec",
    "SignWith",
    "is_tree",
    "json_schema",
    "load",
    "open_signer",
    "read_scripts",
    "to_request",
]
