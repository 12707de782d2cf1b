"""The coordinator over real worktrees: few tests, since git is slow and has tests of its own."""

import asyncio
from pathlib import Path

from codetether_ray.core.spec import AgentSpec, Correlation, TurnResult
from codetether_ray.swarm.coordinator import SwarmCoordinator
from codetether_ray.swarm.options import SwarmOptions
from codetether_ray.swarm.result import SwarmResult
from codetether_ray.testing.clock import FakeClock
from codetether_ray.testing.fakes import MemoryPublisher, make_spec
from codetether_ray.workspace.open import open_workspace
from tests.adapters.workspace.repos import Repo
from tests.unit.swarm.world import Behaviour, ScriptedRuntime, completed, plan_of

RUN = "swm_0mabc12345_deadbeef"
PLAN = plan_of(
    {"name": "top", "dependencies": ["left", "right"]}, {"name": "left"}, {"name": "right"}
)


def _adds(name: str, text: str) -> Behaviour:
    async def behaviour(spec: AgentSpec, _: str) -> TurnResult:
        with (Path(spec.root) / name).open("a") as file:
            file.write(text)
        return completed()

    return behaviour


def _writes(files: dict[str, str], turns: int = 0, result: TurnResult | None = None) -> Behaviour:
    async def behaviour(spec: AgentSpec, text: str) -> TurnResult:
        for _ in range(turns):
            await asyncio.sleep(0)
        for name, content in files.items():
            (Path(spec.root) / name).write_text(content)
        return result or completed(f"wrote {sorted(files)}")

    return behaviour


async def _swarm(
    repo: Repo, data: Path, behaviours: dict[str, object], history: MemoryPublisher | None = None
) -> SwarmResult:
    runtime = ScriptedRuntime(**{"planner": PLAN, **behaviours})
    template = make_spec(
        root=str(repo.path), correlation=Correlation(run_id=RUN, swarm_id=RUN), max_steps=10
    )
    workspace = await open_workspace(repo.path, RUN, data_dir=data)
    options = SwarmOptions(task="all", template=template)
    publisher = history or MemoryPublisher()
    return await SwarmCoordinator(options, runtime, workspace, publisher, FakeClock()).run()


async def test_conflicting_parents_and_merges_become_one_branch_with_the_same_tree_every_time(
    tmp_path: Path,
) -> None:
    trees = set()
    for number, (left, right) in enumerate([(200, 0), (0, 200)]):
        repo = Repo(tmp_path / f"project{number}")
        repo.commit({"f.txt": "one\ntwo\n"})
        before = repo.fingerprint()
        result = await _swarm(
            repo,
            tmp_path / f"data{number}",
            {
                "sub/left": _writes({"f.txt": "left\ntwo\n", "left": "1"}, left),
                "sub/right": _writes({"f.txt": "right\ntwo\n"}, right),
                "sub/top": _writes({"top": "1"}),
                "resolver/top/parents-1": _writes({"f.txt": "both\ntwo\n"}),
                "resolver/right": _writes({"f.txt": "both\ntwo\n"}),
            },
        )
        assert result.outcome == "success", result.error
        assert [s.merge for s in result.subtasks] == ["merged", "merged", "resolved"]
        assert repo.files_at(result.commit) == ["f.txt", "left", "top"]
        assert repo.show(f"{result.branch}:f.txt") == "both\ntwo"
        assert "3 files changed" in result.diffstat
        assert repo.fingerprint() == before
        trees.add(repo.git("rev-parse", f"{result.commit}^{{tree}}"))
    assert len(trees) == 1


async def test_markers_that_stay_leave_a_branch_and_a_partial_swarm(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "project")
    repo.commit({"f.txt": "one\n"})
    plan = plan_of({"name": "left"}, {"name": "right"})
    result = await _swarm(
        repo,
        tmp_path / "data",
        {
            "planner": plan,
            "sub/left": _writes({"f.txt": "left\n"}),
            "sub/right": _writes({"f.txt": "right\n"}),
        },
    )
    right = result.subtasks[1]
    assert (result.outcome, right.merge, right.conflicts) == ("partial", "unmerged", ("f.txt",))
    assert repo.show(f"{right.branch}:f.txt") == "right"
    assert repo.show(f"{result.branch}:f.txt") == "left"


async def test_a_resumed_swarm_goes_on_in_the_tree_that_an_unfinished_agent_left(
    tmp_path: Path,
) -> None:
    repo, history = Repo(tmp_path / "project"), MemoryPublisher()
    repo.commit({"f.txt": "one\n"})
    first = await _swarm(
        repo,
        tmp_path / "data",
        {
            "sub/left": _writes({"left": "half"}, result=TurnResult(outcome="budget")),
            "sub/right": _writes({"right": "1"}),
        },
        history,
    )
    assert first.outcome == "budget"
    assert "codetether/swm-deadbeef/left" in first.subtasks[1].error
    again = await _swarm(
        repo,
        tmp_path / "data",
        {"planner": "not asked", "sub/left": _adds("left", " and whole")},
        MemoryPublisher(history.recorded),
    )
    assert again.outcome == "success", again.error
    assert repo.show(f"{again.branch}:left") == "half and whole"
    assert repo.files_at(again.commit) == ["f.txt", "left", "right"]
