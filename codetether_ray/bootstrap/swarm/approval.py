"""Somebody's word on a plan: asked for once, kept in the journal, bound to what was decided on."""

import hashlib
import json
from collections.abc import Awaitable, Callable

from codetether_ray.bootstrap.auditing.opening import audited
from codetether_ray.bootstrap.swarm.request import SwarmRequest
from codetether_ray.core import failpoints
from codetether_ray.core.codec import JsonObject, encode
from codetether_ray.core.events import ApprovalGiven
from codetether_ray.ports.audit import Action, Audit
from codetether_ray.ports.publisher import Publisher
from codetether_ray.swarm.estimate import Estimate
from codetether_ray.swarm.plan import Plan

SUBJECT = "plan"


class PlanApproval:
    """Answers whether a plan may be carried out, from the journal where it holds the answer.

    A word given stays given, whoever dies; it is asked for again if the plan, the limits or the
    policy differ from those that it was given for. A refusal is on record and binds nobody.
    """

    def __init__(
        self,
        request: SwarmRequest,
        voice: Publisher,
        ask: Callable[[Plan, Estimate], Awaitable[bool]],
    ) -> None:
        self._request = request
        self._voice = voice
        self._ask = ask

    async def __call__(self, plan: Plan, cost: Estimate) -> bool:
        """Whether the plan may be carried out; its answer is on disk first."""
        if not self._request.needs_approval(len(plan.subtasks)):
            return True
        digest = plan_digest(plan, self._request)
        if any(_grants(event, digest) for event in await self._voice.history()):
            return True
        is_granted = await self._ask(plan, cost)
        await self._voice.record(
            ApprovalGiven(subject=SUBJECT, digest=digest, is_granted=is_granted, by="user")
        )
        failpoints.hit("approval.recorded")
        return is_granted


def audited_ask(
    ask: Callable[[JsonObject], Awaitable[bool]], audit: Audit, request: SwarmRequest
) -> Callable[[JsonObject], Awaitable[bool]]:
    """The same question, put to somebody whose word is in the audit log; a no is `denied`."""

    async def put(question: JsonObject) -> bool:
        text = json.dumps(question, sort_keys=True, separators=(",", ":"))
        action = Action(
            category="policy",
            action="swarm.approve",
            resource=hashlib.sha256(text.encode()).hexdigest(),
            correlation=request.correlation,
        )
        async with audited(audit, action) as done:
            is_granted = await ask(question)
            done.outcome = "success" if is_granted else "denied"
            return is_granted

    return put


def plan_digest(plan: Plan, request: SwarmRequest) -> str:
    """SHA-256 over all that somebody agrees to: the subtasks, the limits and the policy."""
    options = request.options()
    terms: JsonObject = {
        "subtasks": list(plan.to_json()),
        "model": request.model,
        "max_steps": request.max_steps,
        "max_tool_calls": request.max_tool_calls,
        "max_depth": request.max_depth,
        "timeout_s": request.timeout_s,
        "budget": encode(request.budget),
        "tools": {str(kind): list(names) for kind, names in options.tools.items()},
        "setup": request.setup,
        "copy": list(request.copy),
        "hooks": request.hooks,
        "deliver": request.deliver,
    }
    text = json.dumps(terms, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _grants(event: object, digest: str) -> bool:
    return (
        isinstance(event, ApprovalGiven)
        and event.is_granted
        and (event.subject, event.digest) == (SUBJECT, digest)
    )
