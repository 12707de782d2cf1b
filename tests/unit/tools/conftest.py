"""A workspace and a context for tools."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codetether_ray.core.events import Event
from codetether_ray.core.spec import AgentSpec, Correlation
from codetether_ray.ports.tool import ToolContext
from codetether_ray.sandbox.local import LocalSandbox
from codetether_ray.tools.catalog import ALL_TOOLS
from codetether_ray.tools.toolbox import toolbox


class Desk:
    """A workspace with every tool at hand."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.events: list[Event] = []
        self.ctx = ToolContext(
            spec=AgentSpec(
                path="main",
                kind="main",
                name="main",
                model="tape/x",
                root=str(root),
                correlation=Correlation(run_id="ses_0000000000_00000000"),
                env=(("PORT_BASE", "4100"),),
            ),
            root=root,
            sandbox=LocalSandbox(),
            emit=self.events.append,
            call_id="call-1",
        )
        self._tools = toolbox(ALL_TOOLS)

    def with_(self, **changes: Any) -> "Desk":
        """The same desk with another context."""
        self.ctx = replace(self.ctx, **changes)
        return self

    async def call(self, name: str, **arguments: Any) -> str:
        """Call a tool as the loop does."""
        import json

        return await self._tools.call(name, json.dumps(arguments), self.ctx)

    def write(self, path: str, content: str | bytes) -> Path:
        """A file of the workspace."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def read(self, path: str) -> str:
        """A file's text, its line ends as they are."""
        return (self.root / path).read_bytes().decode()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    root = tmp_path / "work"
    root.mkdir()
    return Desk(root)


@pytest.fixture
def desks(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Desk]:
    """Fresh desks, for tests of many examples."""
    return lambda: Desk(tmp_path_factory.mktemp("work"))
