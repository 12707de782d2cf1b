"""`/api/session`: conversations with agents, each in a workspace of its own; the caller's."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from codetether_ray.bootstrap.a2a import contexts, sessions
from codetether_ray.bootstrap.a2a.agents import open_turns
from codetether_ray.bootstrap.a2a.asking import Asked
from codetether_ray.bootstrap.a2a.contexts import Context
from codetether_ray.bootstrap.a2a.story import Told
from codetether_ray.bootstrap.a2a.turns import Turns
from codetether_ray.bootstrap.a2a.watching import awaited, begun, behind
from codetether_ray.bootstrap.control import owned
from codetether_ray.core.errors import UnknownProviderError, UnknownRunError, UsageError
from codetether_ray.core.messages import user
from codetether_ray.ingress.callers import caller
from codetether_ray.ingress.http.shapes.session import (
    Canceled,
    NewSession,
    Prompt,
    Session,
    Summary,
    Turn,
)
from codetether_ray.ingress.http.sse import EventStream, Sse, last_event_id, wants_events
from codetether_ray.providers.registry import PROFILES, parse_model

if TYPE_CHECKING:
    from codetether_ray.ingress.parts import Parts

SessionId = Annotated[str, Path(max_length=200, pattern=r"^ses_[0-9a-z_]+$")]
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
        "description": "The turn's result, or its events: `status`, `text`, `tool`, `done`.",
    }
}


class Sessions:
    """Everything that the routes ask, in the caller's name."""

    def __init__(self, parts: "Parts") -> None:
        self._parts = parts
        self._turns: Turns | None = getattr(parts.agents, "turns", None)
        self._opening = asyncio.Lock()

    async def turns(self) -> Turns:
        """The ones that A2A's agents have, so that both know of each other's; else our own."""
        async with self._opening:
            if self._turns is None:
                self._turns = await open_turns(self._parts.options, self._parts.reach)
                self._parts.closing.append(self._turns.close)
        return self._turns

    async def ask(self, function: str, *arguments: Any) -> Any:
        """See `Truth.ask`."""
        return await self._parts.reach.truth.ask(function, *arguments)

    async def create(self, wish: NewSession) -> Any:
        """Make a session; its workspace is made with its first prompt.

        Raises:
            UsageError: there is no such model, or it is a tape: a file of the server's.
        """
        _check_model(wish.model)
        fresh = contexts.wanted(
            caller().owner,
            "",
            title=wish.title,
            agent=sessions.AGENTS[wish.agent],
            model=wish.model,
            repository=self._parts.options.directory,
        )
        named = contexts.named_by_session(fresh)
        await self.ask(contexts.MAKE, named)
        return await self.ask(sessions.ONE, named.owner, named.session_id)

    async def found(self, session_id: str) -> Context:
        """The caller's context with that session.

        Raises:
            UnknownRunError: there is none.
        """
        context: Context = await self.ask(contexts.FIND, caller().owner, session_id)
        return context

    async def asked(self, session_id: str, prompt: Prompt) -> Asked:
        """A prompt as what a turn is begun with."""
        return Asked(
            principal=caller(),
            context=await self.found(session_id),
            message=user(prompt.message),
            order=f"http {session_id} {prompt.id or uuid4().hex}",
            is_taken_up=bool(prompt.id),
        )

    async def cancel(self, session_id: str) -> bool:
        """End the session's turn, wherever it is; False where there is none."""
        await self.found(session_id)
        turns = await self.turns()
        turn = turns.of_session(session_id)
        if turn is not None:
            turn.cancel()
            return True
        try:
            owner = caller().owner
            return bool(await self.ask(owned.CANCEL, session_id, owner, owner))
        except UnknownRunError:  # it has had no turn yet
            return False


def router(parts: "Parts") -> APIRouter:
    """The routes of sessions."""
    made = APIRouter(tags=["sessions"])
    desk = Sessions(parts)
    _add_sessions(made, desk)
    _add_turns(made, desk)
    return made


def _add_sessions(made: APIRouter, desk: Sessions) -> None:
    """The caller's sessions, and new ones."""

    @made.get("/api/session")
    async def listed(
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    ) -> list[Summary]:
        """The caller's sessions, the one that was used last first."""
        found = await desk.ask(sessions.LIST, caller().owner, limit, offset)
        return [Summary.model_validate(one) for one in found]

    @made.post("/api/session", status_code=201)
    async def create(wish: NewSession) -> Session:
        """A new session."""
        return Session.model_validate(await desk.create(wish))

    @made.get("/api/session/{session_id}")
    async def one(session_id: SessionId) -> Session:
        """A session with its messages."""
        return Session.model_validate(await desk.ask(sessions.ONE, caller().owner, session_id))


def _add_turns(made: APIRouter, desk: Sessions) -> None:
    """A session's turns: begun, followed, ended."""

    @made.post("/api/session/{session_id}/prompt", response_model=Turn, responses=_STREAM)
    async def prompt(request: Request, session_id: SessionId, said: Prompt) -> Any:
        """Say something, and follow what the agent does, as server-sent events.

        With `Accept: application/json` the answer comes when the turn has ended. A client that
        comes back with `Last-Event-ID` follows the turn that it lost; nothing is said again.
        """
        seen = _seen(request)
        turns = await desk.turns()
        if seen is not None:
            await desk.found(session_id)
            return EventStream(_events(behind(turns, caller().owner, session_id, seen)))
        asked = await desk.asked(session_id, said)
        is_queued = turns.of_session(session_id) is not None
        turn = turns.find(lambda going: going.asked.order == asked.order) or turns.start(asked)
        if wants_events(request):
            return EventStream(_events(begun(turn, turn.listen(), is_queued=is_queued)))
        return Turn.model_validate((await turn.result()).to_json())

    @made.get("/api/session/{session_id}/events", response_class=Response, responses=_STREAM)
    async def events(
        request: Request,
        session_id: SessionId,
        after: Annotated[int, Query(ge=-1, le=2**53)] = -1,
    ) -> Response:
        """Follow a turn behind a record: the one that `Last-Event-ID` names, or `after`.

        Before a session's first prompt nothing is told but that the stream is alive.
        """
        await desk.found(session_id)
        seen = _seen(request)
        turns, owner = await desk.turns(), caller().owner
        return EventStream(
            _events(awaited(turns, owner, session_id, after if seen is None else seen))
        )

    @made.post("/api/session/{session_id}/cancel")
    async def cancel(session_id: SessionId) -> Canceled:
        """End the session's turn; what was done by then stays."""
        return Canceled(session_id=session_id, was_working=await desk.cancel(session_id))


def _check_model(named: str) -> None:
    if not named:
        return
    try:
        provider = parse_model(named).provider
    except UnknownProviderError as error:
        raise UsageError(str(error)) from error
    if PROFILES[provider].wire == "tape":
        raise UsageError("a tape cannot be chosen here")


async def _events(told: AsyncIterator[Told]) -> AsyncIterator[Sse]:
    async for one in told:
        yield Sse(event=one.kind, data=one.data, id=str(one.seq) if one.seq >= 0 else "")


def _seen(request: Request) -> int | None:
    """The record that the client has seen last; None: it does not say.

    Raises:
        UsageError: it is none of ours; nothing is done for a client that means to go on.
    """
    if "last-event-id" not in request.headers:
        return None
    text = last_event_id(request)
    if not re.fullmatch(r"\d{1,15}", text):
        raise UsageError("Last-Event-ID is none of ours; leave it out to say something new")
    return int(text)
