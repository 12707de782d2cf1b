"""Ids of a run's trace and spans: computed, so that whoever resumes a run goes on in its trace."""

import hashlib
import re
from dataclasses import dataclass

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
"""W3C Trace Context, level 1."""


@dataclass(frozen=True, slots=True)
class Parent:
    """A span of somebody else's, below which a run's own are."""

    trace_id: int
    span_id: int
    is_sampled: bool = True


@dataclass(frozen=True, slots=True)
class RunTrace:
    """A run's trace, as its agents name their spans of it to others (W3C Trace Context)."""

    run_id: str
    trace_id: int
    is_sampled: bool = True

    def of_tool(self, agent: str, call_id: str) -> str:
        """The `traceparent` of a tool call, for the processes that it starts."""
        return self._parent(agent, tool_span(call_id))

    def of_model(self, agent: str, purpose: str, step: int, attempt: int) -> str:
        """The `traceparent` of a model call, for the provider."""
        return self._parent(agent, model_span(purpose, step, attempt))

    def _parent(self, agent: str, what: str) -> str:
        span = span_id(self.run_id, agent, what)
        return f"00-{self.trace_id:032x}-{span:016x}-{int(self.is_sampled):02x}"


def tool_span(call_id: str) -> str:
    """What names the span of a tool call among its agent's; see `span_id`."""
    return f"tool {call_id}"


def model_span(purpose: str, step: int, attempt: int) -> str:
    """What names the span of a model call among its agent's; see `span_id`."""
    return f"model {purpose} {step} {attempt}"


def trace_id(run_id: str) -> int:
    """The 128 bits that name a run's trace, where nobody else's is gone on with."""
    return int.from_bytes(hashlib.sha256(f"trace {run_id}".encode()).digest()[:16]) or 1


def span_id(run_id: str, agent: str, what: str) -> int:
    """The 64 bits that name one span of a run."""
    name = f"span {run_id}\n{agent}\n{what}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) or 1


def parse_traceparent(text: str) -> Parent | None:
    """What a `traceparent` names; None where it is none."""
    found = _TRACEPARENT.fullmatch(text.strip().lower())
    if found is None or text.strip().lower().startswith("ff"):
        return None
    trace, span = int(found[1], 16), int(found[2], 16)
    return Parent(trace, span, bool(int(found[3], 16) & 1)) if trace and span else None
