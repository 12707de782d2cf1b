"""How much a task may hold, and how long things take: one table of each."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one task, or one owner, may take."""

    history: int = 200
    """Messages kept in a task's history; the oldest go first. A message that is sent again is
    known as such among these."""
    artifact_bytes: int = 3_000_000
    """Of a task's artifacts together."""
    task_bytes: int = 4_000_000
    """Of artifacts, history and status together: older messages go where they don't fit, so that
    a whole task fits into one gRPC message (4 MiB is what clients take, where nobody says more)."""
    streams: int = 1_000
    """Open streams of one owner at one replica."""
    pushes: int = 20
    """Push notification configurations of a task."""
    event_log: int = 64
    """Events of a task kept for its streams; one that fell behind is told the whole task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds."""

    lease: float = 15.0
    """How long a holder that says nothing is believed to live."""
    look: float = 1.0
    """How often it is asked whether the holder of a task that is watched here has died."""
    tick: float = 0.25
    """Unsaved intermediate states are saved this often; an agent that has said nothing that long
    has its task announced."""
    cancel: float = 10.0
    """How long a cancel waits for its effect."""
    retry: float = 0.5
    """Pause before a save is tried again when the store cannot be reached."""
