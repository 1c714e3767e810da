"""What is done in each state, until the update is permanent. Actions may run again after a power cut."""

from contextlib import nullcontext
from dataclasses import replace

from bistable.client.deployment.ports import ByteSource, Hold, Open
from bistable.client.deployment.suit import check_suitable, offer_of
from bistable.client.deployment.work import Work
from bistable.client.errors import AbortedError, NotBootedError
from bistable.client.machine import GATES, STATUSES, Event, Mark, step
from bistable.client.model import OnProgress, RebootNeed

INSTALL, REBOOT, COMMIT = "ArtifactInstall", "ArtifactReboot", "ArtifactCommit"


def gate(work: Work) -> Event:
    """Ask whether the update may pass, and tell what comes next."""
    state = work.record.state
    verdict = work.parts.gates.decide(GATES[state], work.record)
    match verdict:
        case Open():
            # Told here and not in the state itself: whoever answers that the update must not go on stops it in time.
            work.tell(STATUSES[step(state, Event.OPENED)])
            return Event.OPENED
        case Hold():
            paused = step(state, Event.HELD)
            if paused in STATUSES:
                work.tell(STATUSES[paused])
            return Event.HELD
        case _:
            raise AbortedError(f"cannot go on: {verdict.reason}")


def download(work: Work) -> Event:
    """Fetch, check and take in the artifact."""
    with work.scripted("Download"):
        work.parts.scripts.run("Download", "Enter")
        with work.parts.sources.open(work.record) as source:
            event = _take_in(work, source)
        if work.plan.asks_before_leave:
            _ask_for_rollback(work)
        work.parts.scripts.run("Download", "Leave")
    if not work.plan.asks_before_leave:
        _ask_for_rollback(work)
    return event


def _ask_for_rollback(work: Work) -> None:
    if (payload := work.payload()) is not None:
        work.keep(supports_rollback=payload.supports_rollback())


def _take_in(work: Work, source: ByteSource) -> Event:
    # Only here: a service that waits does without what takes artifacts apart.
    from bistable.artifact.reader import ArtifactReader

    parts = work.parts
    reader = ArtifactReader(_Counted(source, parts.on_progress), parts.policy())
    header = reader.read_head().header
    offer = offer_of(header)
    check_suitable(offer, parts.device_type(), parts.store.provides())
    # Known before anything is touched: what is cleaned up after a power cut in the middle depends on it.
    prepared = replace(work.record, offer=offer, target=None, origin=None)
    prepared = parts.payloads.prepare(header, prepared) if offer.payload_type is not None else prepared
    work.keep(offer=prepared.offer, origin=prepared.origin, target=prepared.target)
    parts.on_record(work.record)  # its name is known now, and not only when all of it is here
    parts.scripts.store(header.scripts)
    if offer.payload_type is None:
        reader.finish()
        return Event.EMPTY
    parts.payloads.begin(header, work.record).download(reader.files())
    reader.finish()
    return Event.DONE


class _Counted:
    """A source that tells how far it is."""

    def __init__(self, source: ByteSource, on_progress: OnProgress) -> None:
        self._source, self._on_progress = source, on_progress
        self._done = 0

    def read(self, size: int, /) -> bytes:
        data = self._source.read(size)
        self._done += len(data)
        self._on_progress(self._done, self._source.size)
        return data


def install(work: Work) -> Event:
    """Install the payload, and ask what reboot it needs."""
    payload = work.payload()
    assert payload is not None
    with work.scripted(INSTALL):
        work.enter(INSTALL)
        work.keep(install_boot_id=work.parts.system.boot_id())
        payload.install()
        if work.plan.asks_before_leave:
            work.keep(reboot_need=payload.reboot_need())
        work.parts.scripts.run(INSTALL, "Leave")
    if not work.plan.asks_before_leave:
        work.keep(reboot_need=payload.reboot_need())
    return Event.REBOOT_NEEDED if _leads_to_reboot(work) else Event.DONE


def _leads_to_reboot(work: Work) -> bool:
    """A person who leads the update is only told to restart what cannot be rolled back or restarts itself."""
    need = work.record.reboot_need
    if work.plan.reboots:
        return need is not RebootNeed.NONE
    return need is RebootNeed.AUTOMATIC and bool(work.record.supports_rollback)


def reboot(work: Work) -> Event | None:
    """Restart into what was installed; None while the reboot is awaited."""
    payload = work.payload()
    assert payload is not None
    with work.scripted(REBOOT):
        if work.plan.reboots:
            work.enter(REBOOT)
        if work.record.reboot_need is RebootNeed.CUSTOM:
            work.keep(restarted=True, mark=Mark.STARTED, boot_id=work.parts.system.boot_id())
            payload.reboot()
            return Event.DONE
        if rebooted_already(work):
            work.keep(restarted=True)
            return Event.DONE
        # Arming comes before the mark: a mark without it would pass for a boot loader that fell back.
        payload.arm()
        work.keep(restarted=True, mark=Mark.STARTED, boot_id=work.parts.system.boot_id())
        if work.plan.reboots:
            work.parts.system.reboot()
    return None


def rebooted_already(work: Work) -> bool:
    """Return whether the device was rebooted into what was installed, by whatever or whomever.

    A power cut may have done it; another reboot would be for nothing, and would look like a failed first one.
    """
    facts = work.facts()
    if facts.on_target is not None:
        return facts.on_target
    return facts.boot_id != work.record.install_boot_id


def verify(work: Work) -> Event:
    """See whether the device was rebooted and runs what was installed."""
    payload = work.payload()
    assert payload is not None
    automatic = work.record.reboot_need is RebootNeed.AUTOMATIC
    facts = work.facts()
    with work.scripted(REBOOT) if work.plan.reboots else nullcontext():
        if facts.on_target is False:
            raise NotBootedError(
                "cannot keep the update: the device runs what it ran before",
                hint="the boot loader fell back: what the new system did last is in its own log",
            )
        if automatic and facts.boot_id == work.record.install_boot_id:
            raise NotBootedError("cannot keep the update: the device was not rebooted since it was installed")
        if work.plan.reboots or facts.on_target is not None:
            payload.verify_reboot()
        if work.plan.reboots:
            work.parts.scripts.run(REBOOT, "Leave")
    return Event.DONE


def check(work: Work) -> Event:
    """See whether the new system is healthy."""
    work.parts.health.check(work.record.check_seconds, lambda used: work.keep(check_seconds=used))
    return Event.DONE


def commit(work: Work) -> Event:
    """Make the update permanent."""
    payload = work.payload()
    assert payload is not None
    with work.scripted(COMMIT):
        work.enter(COMMIT)
        if work.record.mark is not Mark.STARTED:
            work.parts.scripts.check_rootfs_version()
            work.parts.reporter.confirm_reachable(work.record)
            work.mark(Mark.STARTED)
        payload.commit()
    return Event.DONE


def after_commit(work: Work) -> Event:
    """Run what wants to know that the update is permanent."""
    with work.scripted(COMMIT):
        work.parts.scripts.run(COMMIT, "Leave")
    return Event.DONE
