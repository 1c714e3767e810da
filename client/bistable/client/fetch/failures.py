"""What can go wrong with fetching, as far as a caller acts on it differently."""

from bistable.client.errors import FetchError


class TransientFetchError(FetchError):
    """The same call may succeed later; `retry_after` is how many seconds a server asked to wait, if one did."""

    retry_after: float | None = None


class ChangedError(TransientFetchError):
    """What the servers have now is not what was begun; only a fetch from the first byte can succeed."""


class LinkRefusedError(FetchError):
    """The server does not give it at this address, which may be wrong or a link that has run out."""


class Failure(Exception):  # noqa: N818 - never leaves this package; what does is made from it
    """One attempt at one server failed, with what this means for the next.

    `again`: the server may be asked again. `whole`: it has to be asked for the body from its first byte.
    """

    def __init__(
        self,
        why: str,
        *,
        hint: str | None = None,
        error: type[FetchError] = FetchError,
        again: bool = False,
        whole: bool = False,
        after: float = 0.0,
    ) -> None:
        super().__init__(why)
        self.why = why
        self.hint = hint
        self.error = error
        self.again = again
        self.whole = whole
        self.after = after


def broken(why: str, *, hint: str | None = None, after: float = 0.0) -> Failure:
    """Return the failure that time may heal: the server is asked again."""
    return Failure(why, hint=hint, error=TransientFetchError, again=True, after=after)


def changed(why: str) -> Failure:
    """Return the failure of a server that has other bytes than those that were read."""
    return Failure(why, hint="start again", error=ChangedError)
