"""What is done in each state of the way back, and at the end. Nothing here lets an error stand in its way."""

from bistable.artifact.errors import BistableError
from bistable.client.deployment.ports import Payload
from bistable.client.deployment.work import Work, tolerating
from bistable.client.errors import UsageError
from bistable.client.machine import Event, Mark
from bistable.client.model import RebootNeed

ROLLBACK, ROLLBACK_REBOOT, FAILURE = "ArtifactRollback", "ArtifactRollbackReboot", "ArtifactFailure"


def rollback(work: Work) -> Event:
    """Undo the installation."""
    scripts, payload = work.parts.scripts, work.payload()
    assert payload is not None
    supported = payload.supports_rollback() if work.plan.asks_again else work.record.supports_rollback
    if not supported:
        raise UsageError("cannot roll back: what was installed cannot be undone")
    work.enter(ROLLBACK, ignore_errors=True)
    try:
        payload.rollback()
        needs_reboot = _needs_reboot(work, payload)
    except BistableError:
        scripts.run(ROLLBACK, "Leave", ignore_errors=True)
        raise
    scripts.run(ROLLBACK, "Leave", ignore_errors=True)
    work.keep(rolled_back=True)
    return Event.REBOOT_NEEDED if needs_reboot else ending(work)


def _needs_reboot(work: Work, payload: Payload) -> bool:
    """Only what runs can be what has to be left: a boot loader that fell back has done it already."""
    on_origin = work.parts.payloads.on_origin(work.record)
    if on_origin is not None:
        return not on_origin
    installed_in = work.record.install_boot_id
    rebooted = installed_in is not None and work.parts.system.boot_id() != installed_in
    if not (work.record.restarted or rebooted):
        return False
    if work.record.reboot_need is None:
        # The power went during the installation: the device came up with what there was of it.
        work.keep(reboot_need=payload.reboot_need())
    if work.record.reboot_need is RebootNeed.CUSTOM:
        return work.plan.reboots
    return work.record.reboot_need is RebootNeed.AUTOMATIC and rebooted


def ending(work: Work) -> Event:
    """Return what the end of a rollback means: a failed update, or a wish that was granted."""
    return Event.UNDONE if work.record.undo and work.record.trouble is None else Event.DONE


def rollback_reboot(work: Work) -> Event | None:
    """Restart into what ran before; None while the reboot is awaited."""
    payload = work.payload()
    assert payload is not None
    if work.plan.reboots:
        work.enter(ROLLBACK_REBOOT, ignore_errors=True)
    if work.record.reboot_need is RebootNeed.CUSTOM:
        work.mark(Mark.STARTED)
        with tolerating("the restart after the rollback"):
            payload.rollback_reboot()
        return Event.DONE
    if work.parts.payloads.on_origin(work.record):
        return Event.DONE
    work.mark(Mark.STARTED)
    if work.plan.reboots:
        work.parts.system.reboot()
    return None


def verify_rollback(work: Work) -> Event:
    """See whether what ran before runs again."""
    payload = work.payload()
    assert payload is not None
    if work.plan.reboots or work.record.origin is not None:
        payload.verify_rollback_reboot()
    if work.plan.reboots:
        work.parts.scripts.run(ROLLBACK_REBOOT, "Leave", ignore_errors=True)
    return ending(work)


def failure(work: Work) -> Event:
    """Tell scripts and payload that the update failed."""
    work.enter(FAILURE, ignore_errors=True)
    payload = work.payload()
    if payload is not None:
        with tolerating("the payload's own work after the failure"):
            payload.failure()
    work.parts.scripts.run(FAILURE, "Leave", ignore_errors=True)
    if not work.record.rolled_back:
        work.keep(inconsistent=True)
    return Event.DONE


def cleanup(work: Work) -> Event:
    """Remove what the update needed on its way."""
    payload = work.payload()
    if payload is not None:
        with tolerating("the payload's own cleaning up"):
            payload.cleanup()
    with tolerating("removing what was fetched"):
        work.parts.sources.discard(work.record)
    return Event.DONE


def report(work: Work) -> Event:
    """Tell how it ended."""
    work.parts.reporter.finish(work.record)
    return Event.DONE
