"""Finds peers and loses them: asks those that are due, side by side, until it is closed.

A new peer of ours, for which there is a token, is told who we are (`POST /v1/peers/introduce`),
and asked whom it knows (`GET /v1/peers`). Foreign agents are only looked at: a message would have
an agent work there, which nobody asked for.
"""

import asyncio
import contextlib
import json
import logging
import os
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from codetether_ray.a2a.peers import Entry, PeerBook
from codetether_ray.bootstrap.a2a.peer_cards import Card, CardReader, is_private
from codetether_ray.bootstrap.a2a.peer_desk import FILE as FILE
from codetether_ray.bootstrap.a2a.peer_tokens import PeerTokens
from codetether_ray.core.codec import decode, encode_object
from codetether_ray.core.errors import ConfigError, PeerError
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.peers import KnownPeer

LEAST_INTERVAL_S = 5.0
_AT_ONCE = 16
_NAP_S = 60.0

_log = logging.getLogger(__name__)
Notice = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Me:
    """Who looks for peers."""

    name: str
    url: str
    instance: str


class Discovery:
    """Keeps the book of peers up to date, and in a file for the agents of this process."""

    def __init__(
        self,
        me: Me,
        seeds: Iterable[str],
        tokens: PeerTokens,
        folder: Path,
        clock: Clock,
        *,
        interval_s: float = 15.0,
        introduces: bool = True,
        notice: Notice | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Look from `me` for `seeds` and whom they know.

        Args:
            me: who looks.
            seeds: URLs that the user named.
            tokens: for them, and others.
            folder: where `FILE` is written.
            clock: the time.
            interval_s: how often a peer is asked.
            introduces: whether new peers are told of `me`.
            notice: is given sentences for people.
            chance: spreads the moments.
        """
        self.me = me
        self.book = PeerBook(
            seeds, instance=me.instance, url=me.url, interval_s=interval_s, chance=chance
        )
        self._tokens, self._path, self._clock = tokens, folder / FILE, clock
        self._introduces = introduces
        self._notice = notice or _ignore
        self._reader = CardReader()
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._news = asyncio.Event()
        self._work: asyncio.Task[None] | None = None
        self._is_private = True
        self._said: set[str] = set()
        self._written: tuple[KnownPeer, ...] | None = None

    async def start(self) -> None:
        """Look from now on.

        Raises:
            ConfigError: the file of tokens or that of peers is not what it must be.
        """
        self._tokens.token_for(self.me.url)
        self._is_private = await is_private(self.me.url)
        self._write()
        self._work = asyncio.create_task(self._look(), name="discovery of peers")

    async def close(self) -> None:
        """Look no more."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
        await self._reader.close()
        with contextlib.suppress(OSError):
            self._path.unlink()

    def peers(self) -> tuple[KnownPeer, ...]:
        """Those who are here, by name."""
        return self.book.peers()

    def introduced(self, url: str) -> bool:
        """Take one who says that they are at a URL: they are looked at there, soon.

        They may be at a private address where we are at one.
        """
        taken = self.book.introduced(url, self._clock.monotonic(), may_be_private=self._is_private)
        if taken:
            self._news.set()
        return taken

    # -- looking ----------------------------------------------------------------------------------

    async def _look(self) -> None:
        """Each due peer in a task of its own: one that hangs keeps nobody waiting."""
        going: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                now = self._clock.monotonic()
                going = {url: task for url, task in going.items() if not task.done()}
                for entry in self.book.due(now):
                    if entry.url not in going:
                        probe = asyncio.create_task(self._probe(entry))
                        probe.add_done_callback(lambda _: self._news.set())
                        going[entry.url] = probe
                await self._until_due(going)
        finally:
            for task in going.values():
                task.cancel()
            await asyncio.gather(*going.values(), return_exceptions=True)

    async def _until_due(self, going: dict[str, "asyncio.Task[None]"]) -> None:
        """Until somebody is due whom nobody asks yet, or there is news."""
        waiting = [entry for entry in self.book.entries() if entry.url not in going]
        due_at = min((entry.due_at for entry in waiting), default=float("inf"))
        pause = min(max(due_at - self._clock.monotonic(), 0.0), _NAP_S)
        self._news.clear()
        news = asyncio.create_task(self._news.wait())
        nap = asyncio.create_task(self._nap(pause))
        try:
            await asyncio.wait({news, nap}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()
            nap.cancel()
            await asyncio.gather(news, nap, return_exceptions=True)

    async def _nap(self, pause: float) -> None:
        await self._clock.sleep(pause)

    async def _probe(self, entry: Entry) -> None:
        try:
            async with self._room:
                await self._ask(entry)
            self._write()
        except ConfigError as error:
            self._say_once(str(error))
        except Exception:  # noqa: BLE001 - the others are looked at still
            _log.exception("the look at %s broke", entry.url)
        if self.book.entry(entry.url) is entry:  # nothing came of it: not again at once
            self.book.missed(entry.url, self._clock.monotonic())

    async def _ask(self, entry: Entry) -> None:
        """Look at one, and note what was found."""
        try:
            token = self._tokens.token_for(entry.url)
            card = await self._reader.card(entry.url, token, may_be_private=entry.may_be_private)
        except PeerError as error:
            self._missed(entry, error)
            return
        peer = card.peer
        is_new = self.book.answered(
            entry.url, peer, self._clock.monotonic(), is_private=card.is_private
        )
        self._write()  # before the talk: agents may ask for it as soon as we know it
        if is_new:
            self._notice(f"found {peer.name} at {peer.url}")
        known = self.book.entry(entry.url)
        if known is not None and known.seen is not None and peer.instance:
            await self._talk(known, card)

    async def _talk(self, entry: Entry, card: Card) -> None:
        """Tell one of ours of us, once, and ask whom it knows."""
        token = self._tokens.token_for(card.base)
        if not token:
            self._say_once(
                f"{card.base} is listed, but there is no token for it: it is not told of this "
                "peer, nor asked whom it knows (CODETETHER_PEER_TOKENS)"
            )
            return
        private = entry.may_be_private
        try:
            if self._introduces and not entry.is_introduced:
                told = {"name": self.me.name, "url": self.me.url, "instance": self.me.instance}
                await self._reader.introduce(card.base, token, told, may_be_private=private)
                self.book.told_of_us(entry.url)
            urls = await self._reader.peers_of(card.base, token, may_be_private=private)
        except PeerError as error:
            self._say_once(str(error))
            return
        if self.book.told(entry.url, urls, self._clock.monotonic()):
            self._news.set()

    def _missed(self, entry: Entry, error: PeerError) -> None:
        gone = self.book.missed(entry.url, self._clock.monotonic())
        if gone is not None:
            self._notice(f"{gone.name} at {gone.url} is gone")
        elif entry.is_seed and entry.seen is None:
            self._say_once(f"no peer yet at {error}")

    def _say_once(self, sentence: str) -> None:
        if sentence not in self._said and len(self._said) < 1000:
            self._said.add(sentence)
            self._notice(sentence)

    def _write(self) -> None:
        """Have the file say who is known.

        Raises:
            ConfigError: it cannot be written.
        """
        peers = self.peers()
        if peers == self._written:
            return
        try:
            write_peers(self._path, peers)
        except OSError as error:
            raise ConfigError(f"{self._path} cannot be written: {error.strerror}") from error
        self._written = peers


def write_peers(path: Path, peers: Iterable[KnownPeer]) -> None:
    """Write the file anew, as a whole; its owner alone can read it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"peers": [encode_object(peer) for peer in peers]}, file)
    draft.replace(path)


def read_peers(path: Path) -> tuple[KnownPeer, ...] | None:
    """Who is known, as the file says; None: there is none, nobody looks for peers here."""
    try:
        data = json.loads(path.read_text("utf-8"))
        return tuple(decode(KnownPeer, one) for one in data["peers"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _ignore(_: str) -> None:
    """Nobody wants to know."""
