"""What an agent is about to do is in the audit log before it does it, how it ended after it.

Digests, counts and names alone: the journal has the content.
"""

import asyncio
import hashlib
from collections.abc import Awaitable

from codetether_ray.core.codec import JsonObject
from codetether_ray.core.messages import ToolCall, ToolResult
from codetether_ray.core.models import ModelRequest, ModelResponse
from codetether_ray.core.spec import AgentSpec
from codetether_ray.ports.audit import Action, Audit, AuditCategory, AuditOutcome
from codetether_ray.ports.tool import Effect


class Auditor:
    """The audit log as one agent uses it; without one, every id is empty."""

    def __init__(self, spec: AgentSpec, audit: Audit | None) -> None:
        self._spec = spec
        self._audit = audit
        self._principal = f"agent:{spec.path}"
        self._provider = spec.model.partition("/")[0]

    @property
    def policy(self) -> str:
        """The rule that lets this agent use the tools it was given."""
        return f"kind:{self._spec.kind}"

    async def begin(self, *actions: Action) -> tuple[str, ...]:
        """Return once the intents are on disk.

        Raises:
            AuditError: they are not; the actions must not happen.
        """
        if self._audit is None:
            return ("",) * len(actions)
        return await self._audit.begin(*actions)

    async def beside(self, keeping: Awaitable[None], *actions: Action) -> tuple[str, ...]:
        """`begin`, with the journal's own flush going on meanwhile; both are done on return.

        Raises:
            AuditError, JournalError: one of them could not be written.
        """
        if self._audit is None:
            await keeping
            return ("",) * len(actions)
        try:
            waiting = self._audit.begin(*actions)
        except BaseException:
            await keeping
            raise
        try:
            await keeping
        except BaseException:
            _forget(waiting)
            raise
        return await waiting

    def end(self, id: str, outcome: AuditOutcome, detail: JsonObject | None = None) -> None:
        """Say how an action ended."""
        if self._audit is not None and id:
            self._audit.end(id, outcome, detail=detail)

    async def refuse(self, call: ToolCall, effect: Effect | None, reason: str) -> None:
        """Note that a call was not let through; no `effect` where there is no such tool.

        Raises:
            AuditError: it could not be noted.
        """
        detail: JsonObject = {"reason": reason, "effect": str(effect or "")}
        (id,) = await self.begin(self._action("policy", call, detail))
        self.end(id, "denied")

    def tool(self, call: ToolCall, effect: Effect | None, step: int, within: str = "") -> Action:
        """A tool call; `within` is the call that makes it, where that is another tool."""
        category: AuditCategory = "tool_execution"
        if effect is None:  # there is no such tool, which the answer will say
            category = "policy"
        elif effect is Effect.SHELL:
            category = "sandbox"
        detail: JsonObject = {"step": step, "effect": str(effect or ""), "policy": self.policy}
        if within:
            detail["within"] = within
        return self._action(category, call, detail)

    def model(self, request: ModelRequest, digest: str, purpose: str) -> Action:
        """A model call."""
        return Action(
            category="api",
            action="model.call",
            resource=self._spec.model,
            principal=self._principal,
            correlation=self._spec.correlation,
            detail={
                "provider": self._provider,
                "digest": digest,
                "step": request.step,
                "purpose": purpose,
                "messages": len(request.messages),
            },
        )

    def answered(self, id: str, response: ModelResponse) -> None:
        """A model call was answered."""
        if not id:
            return
        usage = response.usage
        tokens: JsonObject = {"prompt": usage.prompt_tokens, "completion": usage.completion_tokens}
        self.end(id, "success", {"tokens": tokens, "finish": response.finish_reason})

    def failed(self, id: str, error: BaseException) -> None:
        """An action ended with an error; its class is told, not its words."""
        self.end(id, "failure", {"error": type(error).__name__})

    def returned(self, id: str, outcome: AuditOutcome, result: ToolResult) -> None:
        """A tool call has its result."""
        if id:
            output: JsonObject = {"characters": len(result.content), "sha256": _sha(result.content)}
            self.end(id, outcome, {"output": output})

    def _action(self, category: AuditCategory, call: ToolCall, detail: JsonObject) -> Action:
        arguments: JsonObject = {"characters": len(call.arguments), "sha256": _sha(call.arguments)}
        name = call.name
        if not detail["effect"]:  # the model made the name up, so that it is content
            name, detail = "unknown", {**detail, "name": _sha(name)}
        return Action(
            category=category,
            action=f"tool:{name}",
            resource=call.id,
            principal=self._principal,
            correlation=self._spec.correlation,
            detail={**detail, "arguments": arguments},
        )


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _forget(waiting: Awaitable[object]) -> None:
    """Let go of an answer nobody waits for, without a word about its error."""
    if isinstance(waiting, asyncio.Future):
        waiting.add_done_callback(lambda future: future.cancelled() or future.exception())
