"""The audit log of an agent on another node: the chain is its supervisor's, reached by its door.

So a node that is lost takes nothing of the log with it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from codetether_ray.actors.door import End, Entry
from codetether_ray.actors.outbox import Outbox
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import AuditError, ClusterError
from codetether_ray.core.masking import Masker
from codetether_ray.ports.audit import Action, AuditOutcome

if TYPE_CHECKING:
    from codetether_ray.actors.caller import Caller

_WORDS_BYTES = 500
"""What an intent or an outcome is taken to weigh."""


class RayAudit:
    """The audit port on a supervisor: what one process says reaches it in order, each once."""

    def __init__(self, caller: "Caller") -> None:
        self._caller = caller
        self._mask: Masker | None = None
        self._outbox: Outbox[Entry, tuple[str, ...]] = Outbox(self._send)

    def conceal(self, values: Iterable[str]) -> None:
        """Mask these secrets in what is sent; the supervisor masks as well."""
        self._mask = Masker(values)

    def begin(self, *actions: Action) -> Awaitable[tuple[str, ...]]:
        """One id for each action, once the supervisor has the intents on disk.

        Raises:
            AuditError: they could not be written; the actions must not happen.
        """
        masked = tuple(self._masked(action) for action in actions)
        return asyncio.ensure_future(
            self._begun(self._outbox.post(masked, _WORDS_BYTES * len(masked)))
        )

    def end(
        self,
        id: str,
        outcome: AuditOutcome,
        *,
        detail: JsonObject | None = None,
        duration_ms: int | None = None,
    ) -> None:
        """See `Audit.end`."""
        words = _without(self._mask, detail) if self._mask is not None else detail
        answer = self._outbox.post(End(id, outcome, words, duration_ms), _WORDS_BYTES)
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def rest(self) -> None:
        """Wait until what was said has arrived."""
        await self._outbox.flush()

    async def close(self) -> None:
        """The same; the chain is not this process's to close."""
        await self._outbox.flush()

    async def _begun(self, answer: "asyncio.Future[tuple[str, ...]]") -> tuple[str, ...]:
        try:
            return await answer
        except ClusterError as error:
            raise AuditError(
                f"the audit log is the supervisor's, and {error}, so nothing is done that must be "
                "audited"
            ) from error

    async def _send(self, entries: Sequence[Entry]) -> Sequence[tuple[str, ...] | Exception]:
        answers: list[tuple[str, ...] | Exception] = await self._caller.ask("audit", list(entries))
        return answers

    def _masked(self, action: Action) -> Action:
        if self._mask is None:
            return action
        return replace(
            action,
            action=self._mask(action.action),
            resource=self._mask(action.resource),
            detail=_without(self._mask, action.detail),
        )


def _without(mask: Callable[[str], str], value: Any) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {name: _without(mask, item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without(mask, item) for item in value]
    return value
