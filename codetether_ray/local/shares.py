"""Results that the agents of a run share, inside the process that holds the run."""

import json

from codetether_ray.core.topics import topic
from codetether_ray.ports.bus import Bus, Envelope
from codetether_ray.ports.tool import SharedResult


class LocalShares:
    """The last result under each key; announced on `results.{key}` where there is a bus."""

    def __init__(self, bus: Bus | None = None) -> None:
        self._bus = bus
        self._results: dict[str, SharedResult] = {}

    async def publish(self, result: SharedResult) -> None:
        """Store and announce; the last write of a key wins."""
        self._results[result.key] = result
        if self._bus is not None:
            await self._bus.publish([_announcement(result)])

    async def get(self, key: str) -> SharedResult | None:
        """One result."""
        return self._results.get(key)

    async def query(
        self, *, tags: tuple[str, ...] = (), prefix: str = ""
    ) -> tuple[SharedResult, ...]:
        """Results with any of the tags (all, if none is given) and a key prefix, by key."""
        return tuple(
            result
            for key, result in sorted(self._results.items())
            if key.startswith(prefix) and (not tags or set(tags) & set(result.tags))
        )


def _announcement(result: SharedResult) -> Envelope:
    payload = {
        "key": result.key,
        "producer": result.producer,
        "value": result.value,
        "tags": list(result.tags),
        "published_at": result.published_at,
    }
    text = json.dumps(payload, ensure_ascii=False)
    return Envelope(
        topic=topic("results", result.key),
        sender=result.producer,
        payload=text.encode("utf-8", "replace"),
    )
