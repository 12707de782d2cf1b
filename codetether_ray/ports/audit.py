"""The audit log: what was about to be done is durable before it is done, how it ended after it."""

from collections.abc import Awaitable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal, Protocol

from codetether_ray.core.codec import JsonObject
from codetether_ray.core.spec import Correlation

AuditCategory = Literal[
    "api",
    "tool_execution",
    "session",
    "policy",
    "auth",
    "swarm",
    "ralph",
    "relay",
    "okr",
    "cognition",
    "k8s",
    "sandbox",
    "config",
    "archive",
]
AuditOutcome = Literal["success", "failure", "denied"]

about_task: ContextVar[str] = ContextVar("about_task", default="")
"""The story or subtask that the asyncio task works on which acts now; empty for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Something that is about to be done.

    `action` is a verb with its subject (`tool:bash`, `model.call`, `config.set`), `resource` what
    it is done to (a digest, a name, a reference; never content), `principal` who does it
    (`user:alice`, `agent:sub/one`). `detail` holds digests, counts and references alone.
    """

    category: AuditCategory
    action: str
    resource: str = ""
    principal: str = ""
    correlation: Correlation | None = None
    detail: JsonObject = field(default_factory=dict)


class Audit(Protocol):
    """Appends to this process's own chain."""

    def begin(self, *actions: Action) -> Awaitable[tuple[str, ...]]:
        """One id for each action, once the intents are on disk.

        They are handed over by the call itself, or with the loop's next turn, so that a caller can
        let another flush (the journal's) go on beside this one before it awaits the ids.

        Raises:
            AuditError: they could not be written; the actions must not happen. Raised by the
                call or by awaiting its answer.
        """
        ...

    def end(
        self,
        id: str,
        outcome: AuditOutcome,
        *,
        detail: JsonObject | None = None,
        duration_ms: int | None = None,
    ) -> None:
        """Say how the action of that id ended; on disk soon, by `close` at the latest.

        An intent without an end lists as `unknown`, which is then the truth.
        """
        ...

    def conceal(self, values: Iterable[str]) -> None:
        """Mask these secrets from now on."""
        ...

    async def rest(self) -> None:
        """Write what waits and close the chain, unless an action is under way.

        For a process that may be ended at any time from now on; another action begins another
        chain.
        """
        ...

    async def close(self) -> None:
        """End this use; the last one writes what waits and closes the chain."""
        ...
