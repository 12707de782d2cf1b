"""The book of peers: who is known, whom to ask when, who is gone. Pure: time and chance are given.

A peer is known by URLs. Those that the user named (seeds) are asked for ever; those that were heard
of, from a peer or by an introduction, are forgotten once they do not answer. Ourselves, and a peer
by its second URL, are recognised by the id of the instance that its card tells.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from codetether_ray.ports.peers import KnownPeer

PEER_EXTENSION = "urn:codetether:peer:v1"
"""An extension in a card: its parameter `instance` names the process that answers."""
MOST_PEERS = 200
MOST_HEARD = 50
"""URLs that are kept from one peer at a time: none can fill the book."""
MOST_DEPTH = 3
"""How far from a seed: a peer's peer's peer."""
MISSES = 3
"""A peer that does not answer so many times in a row is gone."""
_AGAIN = 0.4
"""Of the interval: so soon a peer is asked again that did not answer once."""
_SLOWEST = 16
"""Times the interval: the longest pause between looks for somebody who never answered."""
_FORGOTTEN_FOR = 8
"""Times the interval: so long nobody is asked who is gone, whoever tells of them."""
_MOST_URL = 2000


def whole_url(text: str) -> str:
    """As `normal_url`, of what another program says: it has to have a scheme."""
    return normal_url(text) if "://" in text else ""


def normal_url(text: str) -> str:
    """A peer's URL as it is kept: with a scheme, without a slash at the end; empty: it is none.

    Credentials in a URL, queries and fragments make it none.
    """
    text = text.strip()
    if len(text) > _MOST_URL or not text.isprintable() or " " in text:
        return ""
    if "://" not in text:
        text = f"http://{text}"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not host or port == 0:
        return ""
    if "@" in parts.netloc or parts.query or parts.fragment:
        return ""
    host = f"[{host}]" if ":" in host else host
    where = host if port is None else f"{host}:{port}"
    return f"{parts.scheme}://{where}{parts.path.rstrip('/')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A URL at which a peer is, or may be."""

    url: str
    depth: int = 0
    """0: the user named it."""
    may_be_private: bool = True
    """Whether it may be an address of this machine or a private network."""
    misses: int = 0
    """Since it answered last, or was heard of."""
    due_at: float = 0.0
    teller: str = ""
    """The URL of the peer that told of it; empty: none did."""
    seen: KnownPeer | None = None
    """As it answered last; None: it never did, or is gone."""
    is_private: bool = False
    """Whether it was found at such an address: then it may tell of such."""
    is_introduced: bool = False
    """Whether it was told of us."""

    @property
    def is_seed(self) -> bool:
        """Whether the user named it."""
        return self.depth == 0


class PeerBook:
    """Keeps at most `MOST_PEERS` entries, one for each peer."""

    def __init__(
        self,
        seeds: Iterable[str],
        *,
        instance: str,
        url: str,
        interval_s: float,
        chance: Callable[[], float],
    ) -> None:
        """Begin with `seeds`.

        Args:
            seeds: URLs.
            instance: our own id.
            url: our own URL.
            interval_s: how often a peer is asked.
            chance: gives numbers from 0 to 1, which spread the moments.
        """
        self._instance, self._interval_s, self._chance = instance, interval_s, chance
        self._ours = {normal_url(url)}
        self._gone: dict[str, float] = {}
        self._entries: dict[str, Entry] = {}
        for seed in dict.fromkeys(map(normal_url, seeds)):
            if seed and seed not in self._ours:
                self._entries[seed] = Entry(url=seed)

    # -- what is known ----------------------------------------------------------------------------

    def peers(self) -> tuple[KnownPeer, ...]:
        """Those who are here, by name."""
        found = (entry.seen for entry in self._entries.values() if entry.seen is not None)
        return tuple(sorted(found, key=lambda peer: (peer.name, peer.url)))

    def entry(self, url: str) -> Entry | None:
        """What is kept of a URL."""
        return self._entries.get(url)

    # -- whom to ask ------------------------------------------------------------------------------

    def due(self, now: float) -> tuple[Entry, ...]:
        """Whom to ask now."""
        return tuple(entry for entry in self._entries.values() if entry.due_at <= now)

    def entries(self) -> tuple[Entry, ...]:
        """All that is kept."""
        return tuple(self._entries.values())

    # -- what was heard ---------------------------------------------------------------------------

    def answered(self, url: str, seen: KnownPeer, now: float, *, is_private: bool) -> bool:
        """Note an answer; whether somebody new is here."""
        entry = self._entries.get(url)
        if entry is None:
            return False
        if seen.instance and seen.instance == self._instance:
            self._ours.add(url)
            del self._entries[url]
            return False
        twin = self._twin(url, seen)
        if twin is not None and not self._displaces(entry, twin):
            self._set(replace(entry, seen=None, misses=0), now, self._interval_s)
            if not entry.is_seed:
                self._forget(url, now)
            return False
        before = entry.seen or (twin.seen if twin is not None else None)
        is_new = before is None or before.instance != seen.instance
        was_told = entry.is_introduced or (twin is not None and twin.is_introduced)
        self._set(
            replace(
                entry,
                seen=seen,
                misses=0,
                is_private=is_private,
                is_introduced=was_told and not is_new,
            ),
            now,
            self._interval_s,
        )
        if twin is not None:
            self._forget(twin.url, now)
        return is_new

    def missed(self, url: str, now: float) -> KnownPeer | None:
        """Note that nobody answered; who is gone by that."""
        entry = self._entries.get(url)
        if entry is None:
            return None
        misses = entry.misses + 1
        if entry.seen is not None and misses < MISSES:
            self._set(replace(entry, misses=misses), now, self._interval_s * _AGAIN)
            return None
        if not entry.is_seed and misses >= MISSES:
            self._forget(url, now)
            return entry.seen
        pause = min(2 ** min(misses - 1, 10), _SLOWEST) * self._interval_s
        gone = replace(entry, misses=misses, seen=None, is_introduced=False)
        self._set(gone, now, pause)
        return entry.seen

    def told(self, url: str, urls: Iterable[str], now: float) -> tuple[str, ...]:
        """Take whom the peer at `url` tells of; the new ones."""
        teller = self._entries.get(url)
        if teller is None or teller.depth >= MOST_DEPTH:
            return ()
        new: list[str] = []
        room = MOST_HEARD - sum(1 for entry in self._entries.values() if entry.teller == url)
        depth, private = teller.depth + 1, teller.is_private
        for found in map(whole_url, urls):
            if len(new) >= room:
                break
            if self._add(found, depth, now, may_be_private=private, teller=url):
                new.append(found)
        return tuple(new)

    def introduced(self, url: str, now: float, *, may_be_private: bool) -> bool:
        """Take one who says that they are there; whether they are to be asked.

        Who is known is asked anew: they may have been started again.
        """
        found = whole_url(url)
        known = self._entries.get(found)
        if known is not None:
            self._entries[found] = replace(known, due_at=now)
            return True
        self._gone.pop(found, None)
        return self._add(found, 1, now, may_be_private=may_be_private)

    def told_of_us(self, url: str) -> None:
        """Note that the peer at a URL was told of us."""
        entry = self._entries.get(url)
        if entry is not None:
            self._entries[url] = replace(entry, is_introduced=True)

    # -- within -----------------------------------------------------------------------------------

    def _twin(self, url: str, seen: KnownPeer) -> Entry | None:
        """The same peer by another URL."""
        others = (e for e in self._entries.values() if e.url != url and e.seen is not None)
        for other in others:
            assert other.seen is not None
            if other.seen.url == seen.url or (
                seen.instance and other.seen.instance == seen.instance
            ):
                return other
        return None

    def _displaces(self, entry: Entry, twin: Entry) -> bool:
        """Whether a peer is better known by `entry` than by `twin`."""
        return entry.is_seed and not twin.is_seed

    def _add(
        self, url: str, depth: int, now: float, *, may_be_private: bool, teller: str = ""
    ) -> bool:
        if not url or url in self._ours or url in self._entries:
            return False
        self._gone = {gone: until for gone, until in self._gone.items() if until > now}
        if url in self._gone or len(self._entries) >= MOST_PEERS:
            return False
        self._entries[url] = Entry(
            url=url, depth=depth, due_at=now, may_be_private=may_be_private, teller=teller
        )
        return True

    def _forget(self, url: str, now: float) -> None:
        """Have no entry for a URL; a seed is only out of sight."""
        entry = self._entries[url]
        if entry.is_seed:
            self._set(replace(entry, seen=None), now, self._interval_s)
            return
        del self._entries[url]
        self._gone[url] = now + _FORGOTTEN_FOR * self._interval_s

    def _set(self, entry: Entry, now: float, pause: float) -> None:
        """Keep an entry, due after a pause that is up to a fifth shorter."""
        self._entries[entry.url] = replace(entry, due_at=now + pause * (1 - 0.2 * self._chance()))
