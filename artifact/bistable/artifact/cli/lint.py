"""`bistable artifact lint`: will this device, server or tool take it?"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from bistable.artifact.cli.framework import Example, command, option
from bistable.artifact.cli.options import artifact_argument, output_options
from bistable.artifact.cli.reading import opened
from bistable.artifact.cli.render import (
    Console,
    View,
    clean,
    count_text,
    finding_document,
    finding_lines,
    rows,
    styled,
)
from bistable.artifact.model import Finding, Severity

if TYPE_CHECKING:
    from bistable.artifact.lint import Profile

FOUND: Final = 1
"""Exit code if the answer is no (FORMAT.md §13)."""


def _complete_target(_ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    from bistable.artifact.lint import PROFILES

    return [name for name in PROFILES if name.startswith(begun)]


def _list_targets(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from bistable.artifact.lint import PROFILES

        Console().result(
            View(
                schema="artifact.lint-targets/1",
                document={"targets": [{"target": name, "about": profile.about} for name, profile in PROFILES.items()]},
                lines=rows((profile.name, profile.about) for profile in PROFILES.values()),
            )
        )
        ctx.exit()


@command(
    "lint",
    examples=[
        Example(
            "Ask whether devices with Debian's client will take it",
            "bistable artifact lint --target mender-client-3 release-1.mender",
        ),
        Example(
            "Check for a mixed fleet and for its server, and look into the image",
            "bistable artifact lint --target mender-client-3 --target mender-client-4 --target hosted-mender --deep "
            "release-1.mender",
        ),
        Example("Let a pipeline fail on warnings, too", "bistable artifact lint --strict release-1.mender"),
    ],
)
@option(
    "--target",
    "targets",
    multiple=True,
    metavar="PROFILE",
    shell_complete=_complete_target,
    help="Check for this target, by default for Bistable. May be given several times.",
)
@option(
    "--list-targets",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_targets,
    help="List the targets and leave.",
)
@option("-t", "--device-type", metavar="TYPE", help="The device is of this type: the artifact must be for it.")
@option(
    "--deep",
    is_flag=True,
    help="Look into the root file system, too: does it call itself by the artifact's name? For that it is unpacked to "
    "an unnamed file in TMPDIR.",
)
@option("--strict", is_flag=True, help="Let warnings count like errors.")
@option("--ignore", "ignored", multiple=True, metavar="RULE", help="Leave out findings of this rule. May be repeated.")
@output_options
@artifact_argument
@click.pass_context
def lint(
    ctx: click.Context,
    artifact: str,
    targets: Sequence[str],
    device_type: str | None,
    deep: bool,
    strict: bool,
    ignored: Sequence[str],
    console: Console,
) -> None:
    """Say whether a device, server or tool will take an artifact, and what may go wrong with it later.

    An error is something that the target refuses; a warning is a trap that it steps into; a note is good to know.
    The exit code is 1 if there are errors (with --strict: or warnings). An artifact that is damaged is refused with
    exit code 3, as by `verify`. A signature is not checked here.
    """
    from bistable.artifact.lint import DEFAULT_PROFILE, examine, examine_image, find_profile, judge

    profiles = [find_profile(name) for name in dict.fromkeys(targets or [DEFAULT_PROFILE])]
    with opened(artifact, console, "reading") as source:
        evidence = (examine_image if deep else examine)(source)
    found = [
        (
            profile,
            [item for item in judge(evidence, profile, device_type=device_type) if item.rule not in ignored],
        )
        for profile in profiles
    ]
    console.result(lint_view(source.name, found))
    counting = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    if any(finding.severity in counting for _, findings in found for finding in findings):
        ctx.exit(FOUND)


def lint_view(source: str, found: "Sequence[tuple[Profile, Sequence[Finding]]]") -> View:
    """Return what was found for each target."""
    lines: list[str] = []
    for profile, findings in found:
        lines += ["", *_target_lines(source, profile, findings)]
    return View(
        schema="artifact.lint/1",
        document={"source": source, "targets": [_target_document(profile, findings) for profile, findings in found]},
        lines=lines[1:],
    )


def _target_lines(source: str, profile: "Profile", findings: Sequence[Finding]) -> list[str]:
    counts = _counts(findings)
    word, colour = ("refused", "red") if counts["errors"] else ("taken", "green")
    said = [count_text(count, what.removesuffix("s")) for what, count in counts.items() if count]
    return [
        f"{clean(source)}: {styled(word, fg=colour, bold=True)} by {profile.title}"
        + (f": {', '.join(said)}" if said else ""),
        *finding_lines(findings),
    ]


def _target_document(profile: "Profile", findings: Sequence[Finding]) -> Mapping[str, Any]:
    counts = _counts(findings)
    return {
        "target": profile.name,
        "about": profile.about,
        "taken": not counts["errors"],
        **counts,
        "findings": [finding_document(finding) for finding in findings],
    }


def _counts(findings: Sequence[Finding]) -> dict[str, int]:
    return {f"{kind.value}s": sum(finding.severity is kind for finding in findings) for kind in Severity}
