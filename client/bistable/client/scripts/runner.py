"""Run state scripts: in order, with a time limit, again when they ask for it, and fail when they fail."""

import errno
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bistable.artifact.model import Script
from bistable.client.errors import ClientError, ProgramError, ScriptError
from bistable.client.files import read_limited
from bistable.client.run import run
from bistable.client.scripts import names, shelf

RETRY_LATER: Final = 21
"""The exit status by which a script asks to be run again later."""

LOGGED_STDERR: Final = 10 * 1024
LOOK_EVERY: Final = 1.0
"""Seconds between looks at whether the update is still wanted, while a script waits for its next run."""

_VERSION_SIZE: Final = 64
_EXECUTABLE: Final = 0o111

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptLimits:
    """How long a script may run, and how often and how long one that asks for it is run again; in seconds."""

    timeout: float = 3600.0
    retry_interval: float = 60.0
    retry_timeout: float = 1800.0


class ScriptRunner:
    """Runs the scripts of the system and of the artifact.

    `on_substate` is told of the begin and the end of each script, in the words that the server knows; `check` is called
    between runs and may raise. `clock` gives seconds that never go back.
    """

    def __init__(
        self,
        rootfs_dir: Path,
        artifact_dir: Path,
        limits: ScriptLimits,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
        on_substate: Callable[[str], None],
        check: Callable[[], None],
    ) -> None:
        self._rootfs_dir, self._artifact_dir = rootfs_dir, artifact_dir
        self._limits, self._sleep, self._clock = limits, sleep, clock
        self._on_substate, self._check = on_substate, check

    def store(self, scripts: Sequence[Script]) -> None:
        """Keep the scripts of an artifact instead of those of the one before; a power cut leaves all or none.

        Raises:
            ScriptError: a name is not one of an artifact's script, or they cannot be written.
        """
        shelf.store(self._artifact_dir, scripts)

    def clear(self) -> None:
        """Remove the scripts of the artifact.

        Raises:
            ScriptError: they cannot be removed.
        """
        shelf.clear(self._artifact_dir)

    def check_rootfs_version(self) -> None:
        """Check that the scripts of the running system are of a version that can be run: a reason not to commit it.

        Raises:
            ScriptError: there are scripts, and their version file is missing, unreadable or of another version.
        """
        found = _listed(self._rootfs_dir)
        if any(names.is_script(name) for name in found):
            _require_version(self._rootfs_dir, found)

    def run(self, state: str, action: str, *, ignore_errors: bool = False) -> None:
        """Run the scripts of a state and action; with `ignore_errors` all of them, whatever happens.

        Raises:
            ScriptError: a script failed, was late, wanted to wait for too long, or cannot be run.
        """
        directory = self._rootfs_dir if state in names.SYSTEM_STATES else self._artifact_dir
        try:
            scripts = _scripts_in(directory, state, action)
        except ScriptError as e:
            if not ignore_errors:
                raise
            _log.info("%s: ignored", e)
            return
        for name in scripts:
            try:
                self._run_one(directory / name)
            except ScriptError as e:
                if not ignore_errors:
                    raise
                _log.info("%s: ignored", e)

    def _run_one(self, script: Path) -> None:
        _require_executable(script)
        self._check()
        _log.info("executing script: %s", script.name)
        self._on_substate(f"Executing script: {script.name}")
        try:
            self._run_until_done(script)
        finally:
            self._on_substate(f"finished executing script: {script.name}")

    def _run_until_done(self, script: Path) -> None:
        begin = self._clock()
        while (request := self._run_once(script)) is not None:
            if self._clock() - begin > self._limits.retry_timeout:
                raise ScriptError(
                    f"cannot finish {script}: it still asked for more time after {self._limits.retry_timeout:g} s",
                    hint=request.hint,
                )
            _log.info("%s asks to be run again, in %g s", script.name, self._limits.retry_interval)
            self._wait(self._limits.retry_interval)

    def _run_once(self, script: Path) -> ProgramError | None:
        """Run a script; return None if it is done, and how it ended if it asks to be run again."""
        try:
            # Scripts count on the environment of the service. SIGKILL at once, as scripts have always been ended.
            output = run([script], timeout=self._limits.timeout, inherit=True, mute=True)
        except ProgramError as e:
            _log_stderr(script, e.stderr[:LOGGED_STDERR].decode("utf-8", "replace"))
            if e.exit_status == RETRY_LATER:
                return e
            raise ScriptError(e.what, hint=e.hint) from e
        _log_stderr(script, output.stderr[:LOGGED_STDERR].decode("utf-8", "replace"))
        return None

    def _wait(self, seconds: float) -> None:
        end = self._clock() + seconds
        while (left := end - self._clock()) > 0:
            self._check()
            self._sleep(min(left, LOOK_EVERY))
        self._check()


def _listed(directory: Path) -> list[str]:
    try:
        return [path.name for path in directory.iterdir()]
    except FileNotFoundError:
        return []
    except OSError as e:
        raise ScriptError(f"cannot read the directory of state scripts {directory}: {e.strerror}") from e


def _scripts_in(directory: Path, state: str, action: str) -> list[str]:
    found = _listed(directory)
    scripts = names.scripts_of(found, state, action)
    for name in names.almost(found, state, action):
        _log.info("%s does not have the name of a state script and is not run", directory / name)
    if scripts:
        _require_version(directory, found)
    return scripts


def _require_version(directory: Path, found: Sequence[str]) -> None:
    path = directory / names.VERSION_FILE
    if names.VERSION_FILE not in found:
        raise ScriptError(
            f"cannot run state scripts: the file {path} is missing", hint="make the file, with 3 as its content"
        )
    try:
        version = names.parse_version(read_limited(path, _VERSION_SIZE))
    except OSError as e:
        raise ScriptError(f"cannot run state scripts: cannot read {path}: {e.strerror}") from e
    except ScriptError:
        raise
    except ClientError as e:
        raise ScriptError(f"cannot run state scripts: {e.what}") from e
    if version not in names.VERSIONS:
        known = " or ".join(str(number) for number in sorted(names.VERSIONS))
        raise ScriptError(f"cannot run state scripts: {path} says version {version}, known is {known}")


def _require_executable(script: Path) -> None:
    try:
        mode = script.stat().st_mode
    except OSError as e:
        why = "it leads to nothing" if e.errno == errno.ENOENT else e.strerror
        raise ScriptError(f"cannot run {script}: {why}") from e
    if not script.is_file():
        raise ScriptError(f"cannot run {script}: it is not a file")
    if not mode & _EXECUTABLE:
        raise ScriptError(f"cannot run {script}: it is not executable", hint=f"chmod +x {script}")


def _log_stderr(script: Path, text: str) -> None:
    if text.strip():
        _log.info("%s wrote:\n%s", script.name, text.rstrip())
