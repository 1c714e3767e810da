"""Will this device, server or tool take this artifact, and what will go wrong later? docs/reference/lint.md.

with open("release-1.mender", "rb") as file:
    findings = lint_artifact(file, find_profile("mender-client-4"))
"""

from bistable.artifact.lint.evidence import Evidence, examine, examine_image
from bistable.artifact.lint.judge import judge
from bistable.artifact.lint.profiles import DEFAULT_PROFILE, PROFILES, Profile, find_profile
from bistable.artifact.model import Finding
from bistable.artifact.streams import Source

__all__ = [
    "DEFAULT_PROFILE",
    "PROFILES",
    "Evidence",
    "Profile",
    "examine",
    "examine_image",
    "find_profile",
    "judge",
    "lint_artifact",
]


def lint_artifact(
    source: Source, profile: Profile = PROFILES[DEFAULT_PROFILE], *, device_type: str | None = None
) -> tuple[Finding, ...]:
    """Read a whole artifact and return what `profile` refuses and what to beware of; see `judge`.

    Raises:
        RejectedError: it is no artifact, or a damaged one.
    """
    return judge(examine(source), profile, device_type=device_type)
