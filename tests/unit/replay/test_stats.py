"""Sums over records."""

from typing import Any

import pytest

from codetether_ray.core.events import SubtaskChanged, ToolFinished, ToolStarted
from codetether_ray.core.messages import ToolCall, ToolResult
from codetether_ray.replay.stats import Totals, written
from tests.unit.replay.scene import hostile_run, records


def totals(found: Any) -> dict[str, Any]:
    sums = Totals()
    for record in found:
        sums.add(record)
    return sums.to_json()


def test_calls_tokens_cost_and_tools_are_summed_up() -> None:
    found = totals(hostile_run("x"))
    assert (found["runs"], found["agents"]) == (1, 1)
    assert (found["calls"], found["failed"], found["tokens"]) == (1, 1, 110)
    assert (found["cost_usd"], found["unpriced_calls"]) == (0.25, 0)
    assert found["models"][0]["model"] == "x"
    tool = {"tool": "x", "calls": 1, "failures": 1, "interrupted": 0, "elapsed_ms": 1000}
    assert found["tools"] == [tool]
    assert [day["day"] for day in found["days"]] == ["2026-11-22"]


def test_files_are_those_that_tools_wrote_and_commits_changed() -> None:
    calls = [
        ToolCall(id="1", name="write_file", arguments='{"path": "a.py", "content": ""}'),
        ToolCall(id="2", name="write_file", arguments='{"path": "b.py", "content": ""}'),
    ]
    done = [
        ToolResult(call_id="1", name="write_file", content="ok"),
        ToolResult(call_id="2", name="write_file", content="no", is_error=True),
    ]
    events: list[Any] = [("main", 0.0, ToolStarted(step=0, call=c, effect="write")) for c in calls]
    events += [("main", 1.0, ToolFinished(step=0, result=r)) for r in done]
    subtask = SubtaskChanged(id="a", name="a", status="completed", files=("a.py", "c.py"))
    events.append(("run", 2.0, subtask))
    assert totals(records(events))["files"] == [
        {"path": "a.py", "writes": 1, "commits": 1},
        {"path": "c.py", "writes": 0, "commits": 1},
    ]


@pytest.mark.parametrize(
    ("arguments", "paths"),
    [
        ('{"path": "a"}', ["a"]),
        (
            '{"patch": "*** Begin Patch\\n*** Update File: x/y.py\\n*** Add File: z\\n"}',
            ["x/y.py", "z"],
        ),
        ('{"patch": "--- a/one\\n+++ b/one\\n--- a/two\\n+++ /dev/null\\n"}', ["one"]),
        ('{"path": 3}', []),
        ("[]", []),
        ("{", []),
    ],
)
def test_the_paths_of_a_writing_call(arguments: str, paths: list[str]) -> None:
    assert list(written(ToolCall(id="1", name="t", arguments=arguments))) == paths
