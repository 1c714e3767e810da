"""Artifacts described in a file, for pipelines that outgrow options. docs/reference/build-file.md.

spec = load(Path("release.toml").read_bytes(), Path("."), variables=os.environ)
with prepared(spec, beside=Path(".")) as request:
write_artifact(spec.output, request, Options(codec=spec.codec))
"""

from bistable.artifact.spec.build import open_signer, prepared, to_request
from bistable.artifact.spec.load import BuildSpec, SignWith, load
from bistable.artifact.spec.schema import TABLES, json_schema

__all__ = ["TABLES", "BuildSpec", "SignWith", "json_schema", "load", "open_signer", "prepared", "to_request"]
