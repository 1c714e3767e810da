"""How long to wait before the next attempt, over hours: the schedule of the existing clients."""

from typing import Final

SMALLEST: Final = 60.0
IN_A_ROW: Final = 3
"""Attempts with the same interval."""

FEWEST_REPORTS: Final = 3
MOST_REPORTS: Final = 10


def backoff(tried: int, longest: float, attempts: int = 0) -> float | None:
    """Return the seconds to wait after `tried` attempts; None if it is to be given up.

    Three attempts a minute apart, three two minutes apart and so on, up to `longest`. Without a number of `attempts` it
    is given up after three with the longest interval.
    """
    if attempts > 0 and tried >= attempts:
        return None
    interval, first = SMALLEST, 0
    while interval < longest:
        if tried < first + IN_A_ROW:
            return interval
        interval, first = interval * 2, first + IN_A_ROW
    if attempts <= 0 and tried >= first + IN_A_ROW:
        return None
    return max(longest, SMALLEST)


def report_attempts(poll_interval: float, retry_interval: float) -> int:
    """Return how often it is tried to reach the server before an update is made permanent.

    With a poll every 30 minutes and a retry every 5 minutes it is 11 times.
    """
    quotient = int(poll_interval / retry_interval) if retry_interval > 0 else 0
    often = FEWEST_REPORTS if quotient <= FEWEST_REPORTS else min(2 * quotient, MOST_REPORTS)
    return often + 1
