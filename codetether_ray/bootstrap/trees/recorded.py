"""What the last recorded step of a subtask left, from the run's journal: it outlives any node."""

from pathlib import Path

from codetether_ray.core.events import Record, ToolFinished, TreeFound
from codetether_ray.ports.journal import Journal
from codetether_ray.workspace.hub import agent_ref, hub_path


class LastTrees:
    """Finds the commit that a subtask's tree came to: its agent's, or a child's that shares it."""

    def __init__(self, journal: Journal, data_dir: Path, run_id: str) -> None:
        self._journal = journal
        self._hub = hub_path(data_dir, run_id)
        self._run_id = run_id

    async def of(self, subtask: str) -> str:
        """The commit, which is in the run's hub; empty where no step left anything.

        Trees that are named by their agents' paths are told from a swarm's by the slash.
        """
        agent = subtask if "/" in subtask else f"sub/{subtask}"
        folder = self._hub / agent_ref(self._run_id, agent, "")
        if not folder.is_dir():
            return ""
        has_children = any(place.is_dir() for place in folder.iterdir())
        records = await self._journal.read(None if has_children else agent)
        return last_tree(records, agent)


def last_tree(records: tuple[Record, ...], agent: str) -> str:
    """The last tree that a record of an agent, or of one below it, names."""
    for record in reversed(records):
        event = record.event
        is_theirs = record.agent == agent or record.agent.startswith(f"{agent}/")
        if is_theirs and isinstance(event, ToolFinished | TreeFound) and event.snapshot:
            return event.snapshot
    return ""
