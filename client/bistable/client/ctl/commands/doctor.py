"""bistablectl doctor."""

import argparse
import os

from bistable.client.ctl import render
from bistable.client.ctl.session import loaded
from bistable.client.deployment.device import Device
from bistable.client.deployment.doctor import Grade, examine
from bistable.client.errors import ClientError

DESCRIPTION = """Look for faults in how this device is set up, and say how to mend each.

One variable of the boot loader's environment, which nothing else uses, is set to see whether that works; nothing else
is changed. Exit code 1: there is a fault that would make an update fail, or not be safe."""

MARKS = {
    Grade.GOOD: ("ok", render.GREEN),
    Grade.NOTE: ("note", render.BOLD),
    Grade.DOUBT: ("doubt", render.YELLOW),
    Grade.BAD: ("FAULT", render.RED),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""


def run(options: argparse.Namespace) -> int:
    """Examine the device."""
    result = loaded(options, quiet=True)
    findings = examine(result, Device(result.settings, environment=os.environ))
    faults = sum(one.grade is Grade.BAD for one in findings)
    if options.json:
        listed = [{"area": one.area, "grade": one.grade.value, "what": one.what, "hint": one.hint} for one in findings]
        render.show_json("doctor/1", {"faults": faults, "findings": listed})
    else:
        for one in findings:
            word, colour = MARKS[one.grade]
            render.show_finding(word, colour, f"{one.area}: {one.what}", one.hint)
        render.show_text(f"\n{faults or 'no'} fault{'' if faults == 1 else 's'} found")
    return ClientError.exit_code if faults else 0
