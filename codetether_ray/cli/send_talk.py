"""One conversation of `codetether send`: what is said, shown, asked; the task's end."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

from codetether_ray.cli import exit_codes
from codetether_ray.cli.send_view import View, plain
from codetether_ray.cli.style import say
from codetether_ray.core.errors import PeerAccessError, PeerError
from codetether_ray.ports.peers import ASKING, OVER

if TYPE_CHECKING:
    from a2a.client.client import Client

    from codetether_ray.a2a.said import Said
    from codetether_ray.bootstrap.a2a.peer_cards import Card

_PAUSES_S = (0.2, 0.5, 1.0, 2.0)
_TRIES = 10
"""To reach an agent again that does not answer any more."""
_CANCEL_S = 10.0
_SUCCESS = ("completed", "answered")


Act = Literal["send", "get", "cancel", "card"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command line says."""

    url: str
    act: Act
    text: str = ""
    task_id: str = ""
    context_id: str = ""
    streams: bool = True
    waits: bool = True
    transport: str = ""
    """The protocol's word for it; empty: any."""
    token: str = ""
    as_json: bool = False
    answer_with: str = ""
    """The command that answers a question, but for the task's id."""


class Talk:
    """Talks with one agent."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._view = View(as_json=wanted.as_json)
        self._was_stopped = False

    async def do(self) -> int:
        """Do what is wanted; the exit code.

        Raises:
            PeerError: the agent does not answer, or refuses.
        """
        wanted = self._wanted
        card = await self._card()
        if wanted.act == "card":
            self._view.card(card)
            return exit_codes.SUCCESS
        from codetether_ray.a2a.said import Said

        said = Said(task_id=wanted.task_id, context_id=wanted.context_id)
        async with self._connected(card) as client:
            if wanted.act == "get":
                await self._read(client, said)
            elif wanted.act == "cancel":
                await self._cancel(client, said)
            else:
                await self._converse(client, said)
        self._view.finish(card.peer.name, wanted.url, said)
        return self._code(said)

    # -- the agent --------------------------------------------------------------------------------

    async def _card(self) -> "Card":
        from codetether_ray.bootstrap.a2a.peer_cards import CardReader

        async with CardReader() as reader:
            try:
                return await reader.card(self._wanted.url, self._wanted.token)
            except PeerAccessError as error:
                raise PeerAccessError(self._wanted.url, _with_hint(error)) from None

    @asynccontextmanager
    async def _connected(self, card: "Card") -> AsyncIterator["Client"]:
        from codetether_ray.a2a.clients import connected, interface_of, read_card
        from codetether_ray.a2a.interfaces import BINDINGS

        wanted = self._wanted
        found = read_card(card.base, card.data)
        bindings = (wanted.transport,) if wanted.transport else BINDINGS
        chosen = interface_of(found, card.base, bindings)
        if wanted.token and not chosen.is_same_host:
            say(f"its card sends to another host, {chosen.url}, which is shown no token")
        try:
            async with connected(
                found, card.base, chosen, wanted.token, streams=wanted.streams
            ) as client:
                yield client
        except PeerAccessError as error:
            raise PeerAccessError(wanted.url, _with_hint(error)) from None

    # -- the conversation -------------------------------------------------------------------------

    async def _converse(self, client: "Client", said: "Said") -> None:
        """Say it, and whatever answers its questions, until there is no more to say."""
        text = self._wanted.text
        while True:
            try:
                await self._say(client, said, text)
                await self._until_over(client, said)
            except asyncio.CancelledError:
                self._was_stopped = True
                await self._stop(client, said)
                return
            text = await self._answer(said) if said.state in ASKING else ""
            if not text:
                return

    async def _answer(self, said: "Said") -> str:
        """What the user says to a question; empty: nothing, now."""
        is_asked = not self._wanted.as_json and sys.stdin.isatty() and sys.stdout.isatty()
        if not is_asked:
            return ""
        try:
            return await self._view.ask(said.words)
        except asyncio.CancelledError:
            self._was_stopped = True  # the task goes on waiting
            return ""

    async def _say(self, client: "Client", said: "Said", text: str) -> None:
        """One message, and what is streamed in answer.

        Raises:
            PeerError: it was not taken.
        """
        from codetether_ray.a2a.clients import request_of

        request = request_of(
            text,
            uuid4().hex,
            task_id=said.task_id,
            context_id=said.context_id,
            at_once=not self._wanted.streams,
        )
        is_taken = False
        try:
            async for event in client.send_message(request):
                said.take(event)
                is_taken = True
                self._view.show(said)
        except Exception as error:
            if not is_taken or not said.task_id:
                raise
            say(f"the stream broke ({plain(str(error))[:200]}); asking how the task is")

    async def _until_over(self, client: "Client", said: "Said") -> None:
        """Ask again until there is nothing to wait for.

        Raises:
            PeerError: the agent is gone.
        """
        pauses, failures = iter(_PAUSES_S), 0
        pause = 0.0
        while self._wanted.waits and said.task_id and said.state not in OVER | ASKING:
            pause = next(pauses, pause)
            await asyncio.sleep(pause)
            try:
                await self._read(client, said)
                failures = 0
            except Exception:
                failures += 1
                if failures >= _TRIES:
                    raise

    async def _read(self, client: "Client", said: "Said") -> None:
        from a2a.types import GetTaskRequest

        said.take_task(await client.get_task(GetTaskRequest(id=said.task_id, history_length=0)))
        self._view.show(said)

    async def _cancel(self, client: "Client", said: "Said") -> None:
        from a2a.types import CancelTaskRequest

        said.take_task(await client.cancel_task(CancelTaskRequest(id=said.task_id)))
        self._view.show(said)

    async def _stop(self, client: "Client", said: "Said") -> None:
        """Have the task canceled, because whoever asked for it does not want it any more."""
        if not said.task_id or said.state in OVER:
            return
        try:
            async with asyncio.timeout(_CANCEL_S):
                await self._cancel(client, said)
        except Exception as error:  # noqa: BLE001 - said, and the command ends
            what = plain(str(error)) or type(error).__name__
            say(f"task {said.task_id} could not be canceled: {what[:200]}")

    # -- its end ----------------------------------------------------------------------------------

    def _code(self, said: "Said") -> int:
        wanted = self._wanted
        if said.state in ASKING and wanted.act != "cancel":
            say(f"it waits for an answer; give it with: {wanted.answer_with} --task {said.task_id}")
            return exit_codes.DECISION_NEEDED
        if said.state in _SUCCESS:
            return exit_codes.SUCCESS
        if wanted.act == "cancel":
            return exit_codes.SUCCESS if said.state == "canceled" else exit_codes.FAILED
        if said.state in OVER:
            return exit_codes.FAILED
        if said.task_id:
            where = f"codetether send {wanted.url} --task {said.task_id} --get"
            say(f"task {said.task_id} goes on; look with: {where}")
        return exit_codes.FAILED if self._was_stopped else exit_codes.SUCCESS


def _with_hint(error: PeerError) -> str:
    if "token" not in error.detail or "not allow" in error.detail:
        return error.detail
    return f"{error.detail}; set CODETETHER_TOKEN, or give --token-file FILE"
