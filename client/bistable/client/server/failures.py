"""What can go wrong with a server, as far as a caller acts on it differently."""

from bistable.client.errors import AbortedError, ServerError


class TransientServerError(ServerError):
    """The same call may succeed later; `retry_after` is how many seconds the server asked to wait, if it did."""

    retry_after: float | None = None


class NotAcceptedError(TransientServerError):
    """The server does not accept this device, or not yet: somebody has to say that it is welcome."""


class GoneError(ServerError):
    """The server has no such deployment any more."""


class WithdrawnError(AbortedError):
    """Somebody said on the server that the deployment must not go on, or the server itself has ended it."""


class OfferError(ServerError):
    """What the server offers cannot be understood; `deployment` says which deployment it is, if at least that can."""

    deployment: str | None = None
