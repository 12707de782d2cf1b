"""The peers of an agent: those that its process discovers, else those that its user named.

A spawned peer keeps `peers.json` in its data directory. Elsewhere CODETETHER_A2A_PEERS names them,
and their cards are read when they are asked for. Nobody else can be talked with.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from codetether_ray.bootstrap.truth.identity import Home
from codetether_ray.bootstrap.truth.place import Truth
from codetether_ray.core.errors import ConfigError, PeerError
from codetether_ray.core.spec import AgentKind
from codetether_ray.ports.peers import (
    ASKING,
    OVER,
    KnownPeer,
    PeerAnswer,
    PeerMessage,
)
from codetether_ray.tools.catalog import PEER_TOOLS, tools_for

if TYPE_CHECKING:
    from a2a.client.client import Client

    from codetether_ray.a2a.said import Said
    from codetether_ray.bootstrap.a2a.peer_cards import CardReader

PEERS = "CODETETHER_A2A_PEERS"
"""URLs, by commas or spaces."""
FILE = "peers.json"
"""In a peer's data directory: whom it knows, for its agents."""
HAS_PEERS = f"{__name__}:has_peers"

_MOST_TEXT = 30_000
_FRESH_S = 15.0
_PAUSES_S = (0.1, 0.2, 0.5, 1.0, 2.0)
_CANCEL_S = 5.0
_ANSWER_S = 60.0
"""For one answer of a peer that was asked to answer at once."""


def named_peers(env: Mapping[str, str]) -> tuple[str, ...]:
    """The URLs that the environment names."""
    return tuple(env.get(PEERS, "").replace(",", " ").split())


def has_peers(home: Home) -> bool:
    """Whether agents whose runs are kept in a place can have peers: asked of the truth."""
    return bool(named_peers(os.environ)) or (home.data_dir / FILE).exists()


async def session_tools(agent: AgentKind, truth: Truth) -> tuple[str, ...]:
    """The tools of a session's agent: with those for peers, where it can have any.

    Raises:
        ClusterError: the head does not answer.
    """
    tools = tools_for(agent)
    if agent != "main" or not await truth.ask(HAS_PEERS):
        return tools
    return tuple(sorted((*tools, *PEER_TOOLS)))


class Peers:
    """Implements `PeerDesk`."""

    def __init__(self, data_dir: Path, env: Mapping[str, str]) -> None:
        """The peers of agents whose runs are kept in `data_dir`."""
        self._data_dir, self._env = data_dir, env
        self._known: tuple[KnownPeer, ...] = ()
        self._read_at = float("-inf")

    async def peers(self) -> tuple[KnownPeer, ...]:
        """See `PeerDesk.peers`."""
        from codetether_ray.bootstrap.a2a.discovery import read_peers

        found = await asyncio.to_thread(read_peers, self._data_dir / FILE)
        if found is not None:
            return found
        if time.monotonic() - self._read_at > _FRESH_S:
            self._known = await self._looked()
            self._read_at = time.monotonic()
        return self._known

    async def send(self, message: PeerMessage) -> PeerAnswer:
        """See `PeerDesk.send`. Cancelled while it waits, it has the task canceled."""
        from codetether_ray.a2a.clients import request_of
        from codetether_ray.a2a.said import Said

        peer = await self._chosen(message.peer)
        said = Said()
        async with self._client(peer) as client:
            request = request_of(
                message.text,
                message.id,
                task_id=message.task_id,
                context_id=message.context_id,
                at_once=True,
            )
            async with _in_time(peer.url):
                async for event in client.send_message(request):
                    said.take(event)
            await self._watched(client, said, message.wait_s)
        return _answer(peer, said)

    async def look(self, peer: str, task_id: str, wait_s: float) -> PeerAnswer:
        """See `PeerDesk.look`."""
        from codetether_ray.a2a.said import Said

        chosen = await self._chosen(peer)
        said = Said(task_id=task_id)
        async with self._client(chosen) as client:
            await _read(client, said, chosen.url)
            await _until_over(client, said, wait_s, chosen.url)
        return _answer(chosen, said)

    # -- who --------------------------------------------------------------------------------------

    async def _looked(self) -> tuple[KnownPeer, ...]:
        """The named ones as they are now, all asked at once."""
        from codetether_ray.a2a.peers import normal_url
        from codetether_ray.bootstrap.a2a.peer_cards import CardReader

        urls = dict.fromkeys(filter(None, map(normal_url, named_peers(self._env))))
        async with CardReader() as reader:
            found = await asyncio.gather(*(self._seen(reader, url) for url in urls))
        return tuple(sorted(found, key=lambda peer: (peer.name, peer.url)))

    async def _seen(self, reader: "CardReader", url: str) -> KnownPeer:
        try:
            return (await reader.card(url, self._token(url))).peer
        except (PeerError, ConfigError) as error:
            return KnownPeer(name=url, url=url, is_here=False, note=str(error))

    async def _chosen(self, named: str) -> KnownPeer:
        """The one peer of that name or URL.

        Raises:
            PeerError: none is, or several are.
        """
        from codetether_ray.a2a.peers import normal_url

        peers = await self.peers()
        wanted = named.strip()
        url = normal_url(wanted)
        found = [one for one in peers if one.url == url]
        found = found or [one for one in peers if one.name.lower() == wanted.lower()]
        if len(found) == 1:
            return found[0]
        if found:
            urls = ", ".join(one.url for one in found)
            raise PeerError(wanted, f"several peers have this name; say which by its URL: {urls}")
        names = ", ".join(f"{one.name} ({one.url})" for one in peers) or "none"
        raise PeerError(wanted, f"this is no known peer; known are: {names}")

    def _token(self, url: str) -> str:
        from codetether_ray.bootstrap.a2a.peer_tokens import PeerTokens

        return PeerTokens.of(self._env).token_for(url)

    # -- talking ----------------------------------------------------------------------------------

    @asynccontextmanager
    async def _client(self, peer: KnownPeer) -> AsyncIterator["Client"]:
        """A client of a peer, at the host where its card is and nowhere else.

        Raises:
            PeerError: there is none.
        """
        from codetether_ray.a2a.clients import connected, interface_of, read_card
        from codetether_ray.bootstrap.a2a.peer_cards import CardReader

        try:
            token = self._token(peer.url)
        except ConfigError as error:
            raise PeerError(peer.url, str(error)) from None
        async with CardReader() as reader:
            found = await reader.card(peer.url, token, may_be_private=peer.is_private)
        card = read_card(found.base, found.data)
        chosen = interface_of(card, found.base)
        if not chosen.is_same_host:
            raise PeerError(
                peer.url, f"its card sends to another host ({chosen.url}), which is not followed"
            )
        async with connected(card, found.base, chosen, token, streams=False) as client:
            yield client

    async def _watched(self, client: "Client", said: "Said", wait_s: float) -> None:
        """Until the task is over or waits; nobody waits for it any more: it is canceled."""
        from a2a.types import CancelTaskRequest

        try:
            await _until_over(client, said, wait_s, "")
        except asyncio.CancelledError:
            with suppress(Exception):
                async with asyncio.timeout(_CANCEL_S):
                    await client.cancel_task(CancelTaskRequest(id=said.task_id))
            raise


async def _until_over(client: "Client", said: "Said", wait_s: float, url: str) -> None:
    """Ask again until there is nothing to wait for, or the time is over."""
    deadline = time.monotonic() + wait_s
    pauses = iter(_PAUSES_S)
    pause = 0.0
    while said.task_id and said.state not in OVER | ASKING:
        pause = next(pauses, pause)
        left = deadline - time.monotonic()
        if left <= 0:
            return
        await asyncio.sleep(min(pause, left))
        await _read(client, said, url)


async def _read(client: "Client", said: "Said", url: str) -> None:
    """Note how the task is now."""
    from a2a.types import GetTaskRequest

    async with _in_time(url):
        said.take_task(await client.get_task(GetTaskRequest(id=said.task_id, history_length=0)))


@asynccontextmanager
async def _in_time(url: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_ANSWER_S):
            yield
    except TimeoutError:
        raise PeerError(url, f"it does not answer within {_ANSWER_S:.0f} s") from None


def _answer(peer: KnownPeer, said: "Said") -> PeerAnswer:
    text = said.text
    answer = PeerAnswer(
        peer=peer,
        state=said.state,
        text=text[:_MOST_TEXT],
        task_id=said.task_id,
        context_id=said.context_id,
    )
    return replace(answer, is_cut=len(text) > _MOST_TEXT)
