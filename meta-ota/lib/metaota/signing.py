"""How an artifact is signed: the words of the command line, by what BISTABLE_SIGNING_KEY says."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metaota import Get


UNSIGNED = "none"
TOKEN = "pkcs11:"
SECRETS = ("BISTABLE_KEY_PASSPHRASE", "BISTABLE_PKCS11_PIN")
"""What opens a key or a token; it comes from the environment and is written nowhere."""


def words(get: Get) -> list[str]:
    """Return the options of `bistable artifact write` that sign; none if it is to stay unsigned."""
    key, command = get("BISTABLE_SIGNING_KEY") or "", get("BISTABLE_SIGN_COMMAND") or ""
    if command:
        return ["--sign-command", command, "--public-key", _first(get)]
    if key == UNSIGNED:
        return []
    if key.startswith(TOKEN):
        return ["--key-pkcs11", key]
    passphrase = get("BISTABLE_KEY_PASSPHRASE_FILE") or ""
    return ["--key", key, *(["--key-passphrase-file", passphrase] if passphrase else [])]


def shell(get: Get) -> str:
    """Return the same as text for a shell."""
    return shlex.join(words(get))


def verify(get: Get) -> str:
    """Return the options of `bistable artifact verify`, as text for a shell; empty if nothing is signed."""
    keys = (get("BISTABLE_VERIFY_KEYS") or "").split()
    if not words(get):
        return ""
    return shlex.join([word for key in keys for word in ("--key", key)])


def sboms(get: Get) -> str:
    """Return the bills of materials that are attested: those that are named, or that of the build if it makes one."""
    wanted, made = get("BISTABLE_SBOM") or "", get("BISTABLE_SBOM_MADE")
    if wanted == "auto":
        return f"{made}/{get('IMAGE_NAME')}.spdx.json" if made else ""
    return "" if wanted == UNSIGNED else wanted


def _first(get: Get) -> str:
    return ((get("BISTABLE_VERIFY_KEYS") or "").split() or [""])[0]
