"""The state machine of an update: a table, one pure function for its steps and one for its recovery."""

from bistable.client.machine.record import LOOP_LIMIT, Mark, Record, Trouble, decode_record, encode_record
from bistable.client.machine.recover import RECOVERY, Facts, recover
from bistable.client.machine.states import GATES, ON_TRIAL, PAUSES, STATUSES, UNCOUNTED, Event, State
from bistable.client.machine.table import TABLE, TransitionError, step

__all__ = [
    "GATES",
    "LOOP_LIMIT",
    "ON_TRIAL",
    "PAUSES",
    "RECOVERY",
    "STATUSES",
    "TABLE",
    "UNCOUNTED",
    "Event",
    "Facts",
    "Mark",
    "Record",
    "State",
    "TransitionError",
    "Trouble",
    "decode_record",
    "encode_record",
    "recover",
    "step",
]
