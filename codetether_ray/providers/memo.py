"""Remembers the wire form of values that are sent again and again.

Keyed by identity: messages are frozen, and an agent sends the same objects in every turn, so no
text is hashed or compared. A value is held as long as its wire form is, so an identity is never
reused. Two generations bound the memory: when the young one is full it becomes the old one, and
what was not asked for since is forgotten.
"""

from collections.abc import Callable

Pieces = tuple[bytes, ...]


class Memo:
    """At most about `limit` bytes of wire forms, by the identity of what they stand for."""

    def __init__(self, limit: int = 16_000_000) -> None:
        self._half = limit // 2
        self._size = 0
        self._young: dict[tuple[int, str], tuple[object, Pieces]] = {}
        self._old: dict[tuple[int, str], tuple[object, Pieces]] = {}

    def get(self, value: object, variant: str, make: Callable[[], Pieces]) -> Pieces:
        """The wire form of `value` in this `variant`: remembered, or made now."""
        key = (id(value), variant)
        entry = self._young.get(key)
        if entry is None:
            entry = self._old.get(key) or (value, make())
            self._keep(key, entry)
        return entry[1]

    def _keep(self, key: tuple[int, str], entry: tuple[object, Pieces]) -> None:
        size = sum(len(piece) for piece in entry[1])
        if self._size + size > self._half:
            self._old, self._young, self._size = self._young, {}, 0
        self._young[key] = entry
        self._size += size
