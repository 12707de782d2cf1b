"""What the path of an agent tells of it."""

import re

from codetether_ray.core.spec import AgentKind

_DIAGNOSIS = re.compile(r"story/[^/]+/diagnosis-\d+$")

_BY_HEAD: dict[str, AgentKind] = {
    "main": "main",
    "planner": "planner",
    "resolver": "resolver",
    "synthesis": "synthesis",
}
_BY_ROOM: dict[str, AgentKind] = {"relay": "member", "aide": "aide"}


def kind_of(path: str) -> AgentKind:
    """The kind of the agent at `path`; whoever has a parent is a sub-agent."""
    head, _, rest = path.partition("/")
    if head == "resolver":
        return "resolver"  # nobody's parent
    if _DIAGNOSIS.match(path):
        return "aide"
    if head in _BY_ROOM and rest:
        return "subagent" if "/" in rest else _BY_ROOM[head]
    return "subagent" if rest else _BY_HEAD.get(head, "subagent")


def model_labels(model: str) -> tuple[str, str]:
    """Provider and model of `provider/model`."""
    provider, slash, name = model.partition("/")
    return (provider, name) if slash else ("unknown", model or "unknown")
