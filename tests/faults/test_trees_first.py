"""The tree that a step left is in the hub before the step is recorded."""

from collections.abc import Sequence
from pathlib import Path

from codetether_ray.core.events import Record, ToolFinished
from codetether_ray.workspace.hub import Hub, hub_path
from codetether_ray.workspace.snapshots import GitSnapshots
from tests.adapters.workspace.repos import Repo, git
from tests.contracts.journal import RUN
from tests.faults.scene import ANSWER, Life

_WRITING = ("c0", "c1", "c4")


async def test_a_result_is_recorded_when_the_hub_has_the_tree_that_it_names(
    tmp_path: Path,
) -> None:
    repo = Repo(tmp_path / "project")
    repo.commit({"a.txt": "a\n"})
    root = tmp_path / "disk"
    (root / "data").mkdir(parents=True)
    hub = hub_path(tmp_path / "data", RUN)
    snapshots = GitSnapshots(repo.path, hub, run_id=RUN, agent="main")
    life = Life(root, tmp_path / "scratch", snapshots)
    named: list[str] = []

    def change_the_tree(call_id: str) -> None:
        if call_id in _WRITING:
            repo.write({f"{call_id}.txt": call_id})

    def look_into_the_hub(records: Sequence[Record]) -> None:
        for event in (r.event for r in records if isinstance(r.event, ToolFinished)):
            if event.result.call_id in _WRITING:
                assert event.snapshot, f"{event.result.call_id} names no tree"
                named.append(event.snapshot)
                assert _is_kept(hub, event)

    life.at_effect, life.at_append = change_the_tree, look_into_the_hub
    assert (await life.run()).text == ANSWER
    assert len(set(named)) == len(_WRITING)


def _is_kept(hub: Path, event: ToolFinished) -> bool:
    """The commit is the one of a ref, and all that it names is in the hub itself."""
    refs = [p for p in (hub / "refs" / "codetether").rglob("g*") if p.is_file()]
    heads = {Hub(hub).read_ref(str(p.relative_to(hub))) for p in refs}
    tree = git(hub, "rev-parse", f"{event.snapshot}^{{tree}}")
    return event.snapshot in heads and tree == event.tree
