"""Other agents that an agent may talk with: who they are, and a message to one of them."""

from dataclasses import dataclass
from typing import Protocol

OVER = frozenset({"completed", "failed", "canceled", "rejected", "answered"})
"""States in which nothing more comes; `answered`: a message came back, and no task was made."""
ASKING = frozenset({"input_required", "auth_required"})
"""States in which the other agent waits for a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSkill:
    """Something that an agent says it can do."""

    name: str
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPeer:
    """Another agent, in its own words: nothing in them was verified."""

    name: str
    url: str
    """Where its card is."""
    description: str = ""
    skills: tuple[PeerSkill, ...] = ()
    instance: str = ""
    """Which process it is, if it is one of ours; empty: it does not say."""
    is_private: bool = True
    """Whether it is on this machine or in a private network; otherwise it is looked for at public
    addresses alone."""
    is_here: bool = True
    """Whether it answered when it was last asked."""
    note: str = ""
    """Why it did not, or what is missing to talk with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerAnswer:
    """What came of a message. `text` is from outside: not to be trusted."""

    peer: KnownPeer
    state: str
    """As in the protocol, without its prefix and in small letters; `answered` without a task."""
    text: str = ""
    task_id: str = ""
    context_id: str = ""
    is_cut: bool = False
    """Whether there was more text than is carried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerMessage:
    """What is to be said to a peer."""

    peer: str
    """Its name or URL; only one that is known."""
    text: str
    id: str
    """The same for the same message: sent again, it is known by it."""
    task_id: str = ""
    context_id: str = ""
    wait_s: float = 0.0
    """How long to wait for the end; 0: the task's id alone is wanted."""


class PeerDesk(Protocol):
    """Knows peers, and talks with them."""

    async def peers(self) -> tuple[KnownPeer, ...]:
        """Those that are known, by name."""
        ...

    async def send(self, message: PeerMessage) -> PeerAnswer:
        """Say something to one of them, and wait as long as the message says.

        Raises:
            PeerError: it is not known, does not answer, or refuses.
        """
        ...

    async def look(self, peer: str, task_id: str, wait_s: float) -> PeerAnswer:
        """How far a task is that a peer was given; waits for its end as long as is said.

        Raises:
            PeerError: it is not known, does not answer, or refuses.
        """
        ...
