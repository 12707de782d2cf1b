"""One agent's session: a turn of it, new or continued, in this process or on Ray."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from codetether_ray.core.codec import JsonObject
from codetether_ray.core.events import Record
from codetether_ray.core.messages import Message
from codetether_ray.core.spec import TurnResult
from codetether_ray.core.usage import Budget, Usage

Show = Callable[[Record], None]
"""Takes each event of the run, durable and live, as it comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """What `codetether run` was asked for."""

    message: Message
    directory: Path
    model: str | None = None
    session_id: str | None = None
    continue_newest: bool = False
    """Go on with the newest session of `directory`, if there is one."""
    max_steps: int = 50
    timeout_s: float | None = None
    budget: Budget = field(default_factory=Budget)
    output_schema: str | None = None
    retry_for_s: float = 300.0
    wait_quota_s: float = 0.0
    record: Path | None = None
    on_ray: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionResult:
    """How the turn ended, and the session that can be continued."""

    session_id: str
    turn: TurnResult

    def to_json(self) -> JsonObject:
        """The object of `--format json`; `error` is there only if there was one."""
        out: JsonObject = {
            "text": self.turn.text,
            "session_id": self.session_id,
            "outcome": self.turn.outcome,
            "usage": usage_json(self.turn.usage),
            "cost_usd": self.turn.cost_usd,
        }
        if self.turn.error:
            out["error"] = self.turn.error
        return out


def usage_json(usage: Usage) -> JsonObject:
    """Tokens, every count spelled out."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
    }


async def run_session(
    options: SessionOptions, show: Show, on_started: Callable[[], None] = lambda: None
) -> SessionResult:
    """Give the session's agent one turn.

    Raises:
        CodetetherError: nothing was started (no model, no such session, …).
    """
    raise NotImplementedError
