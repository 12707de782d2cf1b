"""Watches a session's turn: begun here or elsewhere, from its beginning or behind a record."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from codetether_ray.bootstrap.a2a.story import Story, Told
from codetether_ray.bootstrap.a2a.turns import Ear, Turn, Turns
from codetether_ray.bootstrap.control.following import follow
from codetether_ray.core.errors import UnknownRunError
from codetether_ray.core.events import Record

_IDLE = {"state": "idle"}
_SHORTEST_S, _LONGEST_S = 0.2, 1.0
"""Between two looks for a session's first turn."""


async def begun(turn: Turn, ear: Ear, *, is_queued: bool) -> AsyncIterator[Told]:
    """A turn that was asked for now, to its end: the last event is `done`.

    Args:
        turn: it.
        ear: what listens to it since it was begun.
        is_queued: another turn of the session is going.

    Raises:
        asyncio.CancelledError: it was left to others.
    """
    try:
        async for told in _begun(turn, ear, is_queued=is_queued):
            yield told
    finally:
        turn.deafen(ear)


async def _begun(turn: Turn, ear: Ear, *, is_queued: bool) -> AsyncIterator[Told]:
    story, last = Story(), -1
    if is_queued:
        detail = "the session's turns before this one come first"
        yield Told(kind="status", data={"state": "queued", "detail": detail}, seq=-1)
    async for record in ear.records():
        for told in story.told(record):
            last = told.seq
            yield told
    for told in story.rest():
        last = told.seq
        yield told
    if not story.is_over:  # it ended before it began, or was found done
        yield Told(kind="done", data=(await turn.result()).to_json(), seq=last)


async def behind(turns: Turns, owner: str, session_id: str, after: int) -> AsyncGenerator[Told]:
    """The turn that the record `after` is of, or the next one where that ended its turn.

    Raises:
        UnknownRunError: the owner has no such session, or it had no turn yet.
    """
    turn = turns.of_session(session_id)
    ear = turn.listen() if turn is not None else None
    try:
        async for told in _behind(turns, owner, session_id, after, ear):
            yield told
    finally:
        if turn is not None and ear is not None:
            turn.deafen(ear)


async def awaited(turns: Turns, owner: str, session_id: str, after: int) -> AsyncIterator[Told]:
    """`behind`, which waits for the first turn of a session that has had none."""
    pause_s, has_waited = _SHORTEST_S, False
    while True:
        try:
            async with aclosing(behind(turns, owner, session_id, after)) as following:
                async for told in following:
                    if has_waited and told.data == _IDLE:  # its directory stands, and it begins
                        break
                    has_waited = False
                    yield told
                else:
                    return
        except UnknownRunError:
            has_waited = True
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 1.5, _LONGEST_S)


async def _behind(
    turns: Turns, owner: str, session_id: str, after: int, ear: Ear | None
) -> AsyncIterator[Told]:
    """First what the journal has, then what is heard."""
    story = Story(after)
    journal = follow(turns.reach.truth, session_id, owner, after=after, goes_on=ear is None)
    async for data in journal:
        for told in story.told(Record.from_json(data)):
            yield told
        if story.is_over:
            return
    if ear is not None:
        async for told in _heard(ear, story):
            yield told
    if not story.is_over:
        yield Told(kind="status", data=dict(_IDLE), seq=-1)


async def _heard(ear: Ear, story: Story) -> AsyncIterator[Told]:
    async for record in ear.records():
        for told in story.told(record):
            yield told
    for told in story.rest():
        yield told
