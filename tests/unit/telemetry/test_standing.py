"""How a run stands is told from its durable records alone."""

from typing import Any

from codetether_ray.core import events as e
from codetether_ray.core.events import Record
from codetether_ray.telemetry.standing import SILENT_S, Standing
from tests.unit.telemetry.scene import Story, answered, asked, call, finished, started, swarm


def _stands(records: list[Record], after_s: float = 0.0, most: int = 10) -> Any:
    standing = Standing()
    for record in records:
        standing.take(record)
    return standing.to_json(records[-1].time + after_s, most)


def test_a_swarm_that_has_ended_has_all_its_numbers() -> None:
    found = _stands(list(swarm(Story())))
    assert found["phase"] == "success"
    assert (found["subtasks"], found["subtasks_done"]) == (1, 1)
    assert found["tokens"] == 220
    assert found["cost_usd"] == 0.5
    (agent,) = found["agents"]
    assert (agent["name"], agent["state"], agent["steps"]) == ("tests", "completed", 2)
    assert agent["host"] == "node-1"


def test_an_agent_does_what_was_begun_last() -> None:
    records = list(swarm(Story()))
    doing = [
        agent["doing"]
        for n in range(5, 14)
        if (agent := next(iter(_stands(records[:n])["agents"]), None))
    ]
    assert doing == ["", "", "", "model", "bash", "bash", "bash", "model", ""]


def test_an_agent_that_waits_long_for_its_model_is_silent_and_one_in_a_command_is_not() -> None:
    story = Story()
    waiting = [story.tell("main", started("main", "main")), story.tell("main", asked(0))]
    in_tool = [*waiting, story.tell("main", e.ToolStarted(step=0, call=call(1), effect="shell"))]
    assert _stands(waiting, SILENT_S + 1)["agents"][0]["silent"]
    assert not _stands(waiting, 1)["agents"][0]["silent"]
    assert not _stands(in_tool, SILENT_S + 1)["agents"][0]["silent"]


def test_an_agent_that_repeats_itself_is_stuck() -> None:
    story = Story()
    records = [story.tell("main", started("main", "main"))]
    for number in range(3):
        same = call(1)
        records += [
            story.tell("main", answered(number, same)),
            story.tell("main", finished(1)),
        ]
        assert _stands(records)["agents"][0]["stuck"] == (number == 2)
    records.append(story.tell("main", answered(3, call(1, name="other"))))
    assert not _stands(records)["agents"][0]["stuck"]


def test_of_many_agents_those_at_work_are_listed_and_all_are_counted() -> None:
    story = Story()
    records = [story.tell(f"sub/{n}", started(f"sub/{n}")) for n in range(50)]
    over = e.SubtaskChanged(id="7", name="7", status="completed", agent="sub/7")
    records.append(story.tell("run", over))
    found = _stands(records, most=49)
    assert found["agents_count"] == 50
    assert found["agents_by_state"] == {"completed": 1, "running": 49}
    assert "sub/7" not in {agent["path"] for agent in found["agents"]}
