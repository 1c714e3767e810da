"""State scripts: what a system's builder and an artifact's author want to have run between the steps of an update."""

from bistable.client.scripts.runner import ScriptLimits, ScriptRunner

__all__ = ["ScriptLimits", "ScriptRunner"]
