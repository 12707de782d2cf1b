"""The directory inside one process: also the state that the Ray registry actor holds."""

from codetether_ray.ports.clock import Clock
from codetether_ray.ports.directory import AgentCard, Presence

_FORGET_AFTER_S = 600.0
"""How long after its lease an agent is still shown (as not alive)."""
_SWEEP_EVERY_S = 30.0


class LocalDirectory:
    """Cards with leases. An agent that stops renewing is not alive, and later forgotten."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._swept_at = 0.0

    async def announce(self, card: AgentCard, lease_s: float = 30.0) -> None:
        """Register or renew: the agent counts as alive for `lease_s` from now."""
        now = self._clock.now()
        self._entries[card.name] = _Entry(card, now, now + lease_s)
        if now - self._swept_at > _SWEEP_EVERY_S:
            self._sweep(now)

    async def withdraw(self, name: str) -> None:
        """Take an agent out; nothing happens if it is not there."""
        self._entries.pop(name, None)

    async def find(self, name: str) -> Presence | None:
        """One agent."""
        entry = self._entries.get(name)
        now = self._clock.now()
        if entry is None or now > entry.until + _FORGET_AFTER_S:
            return None
        return entry.presence(now)

    async def list(self, run_id: str | None = None) -> tuple[Presence, ...]:
        """All agents (of a run), by name. Those whose lease ended long ago are dropped."""
        now = self._clock.now()
        self._sweep(now)
        wanted = (e for e in self._entries.values() if run_id in (None, e.card.run_id))
        return tuple(sorted((e.presence(now) for e in wanted), key=lambda p: p.card.name))

    def _sweep(self, now: float) -> None:
        self._swept_at = now
        gone = [n for n, e in self._entries.items() if now > e.until + _FORGET_AFTER_S]
        for name in gone:
            del self._entries[name]


class _Entry:
    __slots__ = ("card", "seen", "until")

    def __init__(self, card: AgentCard, seen: float, until: float) -> None:
        self.card, self.seen, self.until = card, seen, until

    def presence(self, now: float) -> Presence:
        return Presence(card=self.card, last_seen=self.seen, is_alive=now <= self.until)
