"""What can go wrong on a device, by cause. docs/reference/errors.md explains every code."""

from typing import ClassVar

from bistable.artifact.errors import BistableError


class ClientError(BistableError):
    """The root of every error that the client raises on purpose; `code` names its kind for people and programs."""

    exit_code = 1
    code: ClassVar[str] = "client"


class UsageError(ClientError):
    """The caller asked for something that makes no sense, or not now."""

    code = "usage"


class NothingToDoError(ClientError):
    """There is no update to commit, to roll back, to resume or to abort."""

    exit_code = 2
    code = "no-update"


class BusyError(ClientError):
    """Another update, or another process of the client, is at work."""

    code = "busy"


class ConfigError(ClientError):
    """A configuration file cannot be read or says something that cannot be."""

    code = "config"


class StoreError(ClientError):
    """The client's own memory (the store on the data partition) cannot be read or written."""

    code = "store"


class StoreDamagedError(StoreError):
    """The store's file is damaged; nothing in it can be trusted."""

    code = "store-damaged"


class BootError(ClientError):
    """The boot loader's state cannot be read, written or understood."""

    code = "boot"


class SlotError(ClientError):
    """A slot is missing, too small, in use, or cannot be written or read back."""

    code = "slot"


class ProgramError(ClientError):
    """A program could not be started, failed, or did not end in time; `exit_status` is None unless it ended.

    `stdout` and `stderr` are what it wrote until then, as far as it was kept.
    """

    code = "program"
    exit_status: int | None = None
    stdout: bytes = b""
    stderr: bytes = b""


class ModuleError(ClientError):
    """An update module is missing, failed, or broke the protocol."""

    code = "module"


class ScriptError(ClientError):
    """A state script failed, or cannot be run."""

    code = "script"


class FetchError(ClientError):
    """The artifact cannot be fetched."""

    code = "fetch"


class ServerError(ClientError):
    """The server cannot be reached, refused a request, or gave an answer that makes no sense."""

    code = "server"


class UnsuitableError(ClientError):
    """The artifact is sound but not for this device: device type, depends, or name."""

    code = "unsuitable"


class HealthError(ClientError):
    """The updated system is not healthy."""

    code = "health"


class NotBootedError(ClientError):
    """The device does not run what was installed, so there is nothing that could be committed."""

    code = "not-booted"


class LoopError(ClientError):
    """An update went through more states than any update can: it went in circles and was ended."""

    code = "loop"


class AbortedError(ClientError):
    """Somebody said that the update must not go on."""

    code = "aborted"

    @property
    def reason(self) -> str:
        """Why it must not: the message without "cannot go on", which whoever passes it on says again."""
        return self.what.removeprefix("cannot go on: ")
