"""What a session's journal holds of an order: whether it was begun, how it ended. On the truth."""

from dataclasses import dataclass

from codetether_ray.bootstrap.replay import archived
from codetether_ray.bootstrap.session.home import SessionRequest, SessionResult
from codetether_ray.bootstrap.truth.identity import Home
from codetether_ray.bootstrap.truth.sessions import recorded_result
from codetether_ray.core.errors import UnknownRunError
from codetether_ray.core.events import RunFinished, RunStarted
from codetether_ray.journal.reader import read_records

RECORDED = f"{__name__}:recorded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A session as its journal has it."""

    is_there: bool = False
    """It had a turn before."""
    request: SessionRequest | None = None
    """The order's, where the last turn is the one that it asked for."""
    result: SessionResult | None = None
    """The order's, where that turn has come to an end that is its last word."""


def recorded(home: Home, session_id: str, order: str) -> Recorded:
    """What is known of the session and of the order.

    A turn that ended `cancelled` has no last word: its server may have been stopped.

    Raises:
        JournalError: it cannot be read.
    """
    request: SessionRequest | None = None
    outcome = ""
    kinds = {RunStarted.tag, RunFinished.tag}
    try:
        for record in read_records(home.data_dir, session_id, kinds=kinds, fetch=archived()):
            event = record.event
            if isinstance(event, RunStarted):
                request, outcome = SessionRequest.from_json(event.command), ""
            elif isinstance(event, RunFinished):
                outcome = event.outcome
    except UnknownRunError:
        return Recorded()
    if request is None or request.order != order or not order:
        return Recorded(is_there=request is not None)
    if outcome in ("", "cancelled"):
        return Recorded(is_there=True, request=request)
    result = recorded_result(home.data_dir, session_id)
    return Recorded(is_there=True, request=request, result=result)
