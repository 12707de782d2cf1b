"""Other nodes of a test: another data directory each, reached by the names of functions alone."""

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codetether_ray.core.errors import ClusterError


@dataclass
class FakeNode:
    """A node as `actors.node.Node` serves it; `is_lost`: nobody answers any more."""

    node: str
    data_dir: Path
    host: str = ""
    state: dict[str, Any] = field(default_factory=dict)
    is_lost: bool = False
    calls: list[str] = field(default_factory=list)
    received: int = 0
    """Bytes of packs."""
    breaks_after: int = -1
    """Pieces that arrive before the sender's connection is cut; -1: all."""

    def __post_init__(self) -> None:
        self.host = self.host or self.node

    async def call(self, function: str, *arguments: Any) -> Any:
        if self.is_lost:
            raise ClusterError(f"node {self.node} does not answer")
        module, _, name = function.partition(":")
        self.calls.append(name)
        if name == "put":
            self.received += len(arguments[-1])
            if not self.breaks_after:
                raise ClusterError(f"node {self.node} does not answer")
            self.breaks_after -= 1
        return await getattr(importlib.import_module(module), name)(self, *arguments)
