"""One agent on a page: what it is, what it used, and what of it is still open."""

from dataclasses import dataclass, field

from codetether_ray.core.codec import JsonObject
from codetether_ray.core.usage import Usage
from codetether_ray.replay.shelf import NOT_SENT, Sent


@dataclass(slots=True)
class Lane:
    """One agent, or the run itself."""

    path: str
    number: int
    kind: str = ""
    model: str = ""
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = 0.0
    calls: int = 0
    tools: int = 0
    outcome: str = ""
    asked: JsonObject | None = None
    """The span of the model call that is open."""
    running: dict[str, JsonObject] = field(default_factory=dict)
    waiting: JsonObject | None = None
    sent: Sent = NOT_SENT
    """The messages of its last request."""

    def spend(self, usage: Usage, cost_usd: float | None) -> None:
        """Add what a model call took."""
        self.usage += usage
        known = self.cost_usd is not None and cost_usd is not None
        self.cost_usd = (self.cost_usd or 0.0) + (cost_usd or 0.0) if known else None

    def end_wait(self, at: float) -> None:
        """It waits no longer."""
        if self.waiting is not None:
            self.waiting["e"] = at
            self.waiting = None

    def break_off(self, at: float) -> None:
        """The model call that is open has no answer, and gets none."""
        if self.asked is not None:
            self.asked["e"], self.asked["x"] = at, "interrupted"
            self.asked = None

    def open_spans(self) -> list[JsonObject]:
        """What has no end."""
        found = (self.asked, self.waiting, *self.running.values())
        return [item for item in found if item is not None]

    def to_json(self) -> JsonObject:
        """What the page shows of it."""
        return {
            "path": self.path,
            "kind": self.kind,
            "model": self.model,
            "outcome": self.outcome,
            "calls": self.calls,
            "tools": self.tools,
            "prompt": self.usage.prompt_tokens,
            "completion": self.usage.completion_tokens,
            "cached": self.usage.cache_read_tokens,
            "cost": self.cost_usd,
        }
