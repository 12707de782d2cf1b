"""What a task's metadata says of the swarm that does it, in the words that platforms use."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from codetether_ray.worker.offers import found_in

_STRATEGIES = {
    "none": "none", "single": "none", "domain": "domain", "by_domain": "domain", "data": "data",
    "by_data": "data", "stage": "stage", "by_stage": "stage",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmTerms:
    """None leaves a choice to the worker's settings."""

    strategy: str | None = None
    max_subagents: int | None = None
    max_steps: int | None = None
    timeout_s: float | None = None
    is_serial: bool = False
    """One sub-agent at a time."""


def swarm_terms(metadata: Mapping[str, Any]) -> SwarmTerms:
    """The terms that are named, each within its bounds."""
    strategy = found_in(
        metadata,
        "decomposition_strategy", "swarm_strategy", "strategy", "swarm_decomposition",
    )  # fmt: skip
    timeout = _bounded(metadata, 30, 3600, "swarm_timeout_secs", "timeout_secs", "timeout")
    return SwarmTerms(
        strategy=_STRATEGIES.get(strategy.lower(), "auto") if strategy else None,
        max_subagents=_bounded(
            metadata, 1, 100, "swarm_max_subagents", "max_subagents", "subagents"
        ),
        max_steps=_bounded(
            metadata,
            1,
            200,
            "swarm_max_steps_per_subagent",
            "max_steps_per_subagent",
            "max_steps",
        ),
        timeout_s=None if timeout is None else float(timeout),
        is_serial=found_in(metadata, "swarm_parallel_enabled", "parallel_enabled").lower()
        in ("false", "0", "no"),
    )


def _bounded(metadata: Mapping[str, Any], least: int, most: int, *names: str) -> int | None:
    text = found_in(metadata, *names)
    try:
        return max(least, min(most, int(float(text))))
    except (ValueError, OverflowError):
        return None
