"""How each kind of run is shown: its view, the answer in its result, and its summary."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from codetether_ray.cli import ralph_output, relay_output
from codetether_ray.cli.progress import SwarmView
from codetether_ray.cli.ralph_view import RalphView
from codetether_ray.cli.relay_view import RelayView
from codetether_ray.cli.summary import summary

Result = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of run."""

    view: Callable[[], SwarmView]
    answer: Callable[[Result], list[str]]
    summary: Callable[[Result], list[str]]


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "swarm": Kind(
            view=SwarmView, answer=lambda r: str(r["result"] or "").splitlines(), summary=summary
        ),
        "relay": Kind(
            view=RelayView,
            answer=lambda r: str(r["final_handoff"] or "").splitlines(),
            summary=relay_output.relay_summary,
        ),
        "ralph": Kind(view=RalphView, answer=ralph_output.table, summary=ralph_output.summary),
    }
)
