"""What `top` shows fits its terminal, keeps its columns, and says first what matters."""

from typing import Any

import pytest

from codetether_ray.cli import words
from codetether_ray.cli.top_screen import lines


def _agent(name: str, **more: Any) -> dict[str, Any]:
    return {
        "path": f"sub/{name}",
        "name": name,
        "kind": "subagent",
        "state": "running",
        "doing": "bash",
        "age_s": 3.0,
        "silent": False,
        "stuck": False,
        "steps": 1,
        "tokens": 1234,
        "cost_usd": 0.5,
        "host": "",
        "restarts": 0,
        **more,
    }


def _picture(*agents: dict[str, Any], count: int | None = None) -> Any:
    run = {
        "id": "swm_00mws00000_00000000",
        "kind": "swarm",
        "title": "a\nlong task 修复 " * 20,
        "directory": "/x",
        "state": "running",
        "outcome": None,
        "silent": False,
        "started_at": 0.0,
        "age_s": 75.0,
        "problem": "",
        "phase": "working",
        "subtasks": 3,
        "subtasks_done": 1,
        "agents_by_state": {"running": len(agents)},
        "agents_count": len(agents) if count is None else count,
        "tokens": 5000,
        "cost_usd": None,
        "agents": list(agents),
    }
    node = {
        "node": "ab",
        "host": "a-host-of-a-very-long-name.example.org",
        "cpus": 4.0,
        "memory_bytes": 8 * 1024**3,
        "free_memory_bytes": 2 * 1024**3,
        "draining": True,
    }
    return {
        "source": "this machine",
        "runs_live": 1,
        "agents_live": len(agents),
        "tokens": 5000,
        "cost_usd": None,
        "nodes": [node],
        "runs": [run],
    }


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    wide = _agent("修复解析器的错误处理", doing="x" * 300, host="node-1")
    for line in lines(_picture(wide, _agent("short")), width):
        assert words.cells(line) <= width
        assert "\n" not in line


def test_the_columns_of_agents_stand_below_each_other() -> None:
    found = lines(_picture(_agent("a", tokens=7), _agent("a-longer-name", state="queued")), 80)
    short, long = (line for line in found if "bash" in line)
    assert short.index("bash") == long.index("bash")
    assert short.index("$0.500") == long.index("$0.500")
    assert short.startswith("  a ")


def test_what_does_not_fit_the_height_is_counted() -> None:
    found = lines(_picture(*(_agent(f"a{n}") for n in range(50))), 80, 10)
    assert len(found) == 10
    assert "more lines" in found[-1]


def test_agents_that_are_not_listed_are_counted() -> None:
    assert any("and 7 more agents" in line for line in lines(_picture(_agent("a"), count=8), 80))


def test_an_agent_that_goes_round_in_circles_or_says_nothing_is_marked() -> None:
    found = lines(
        _picture(_agent("round", stuck=True), _agent("still", silent=True, age_s=200.0)), 80
    )
    assert any("round" in line and "STUCK" in line for line in found)
    assert any("still" in line and "silent 3 min" in line for line in found)


def test_a_node_shows_how_full_it_is_and_that_it_leaves() -> None:
    node = lines(_picture(_agent("a")), 100)[1]
    assert "[########..]" in node
    assert "6.0 of 8.0 GiB" in node
    assert node.endswith("draining")


def test_a_node_of_which_agents_may_have_a_part_says_how_much() -> None:
    picture = _picture(_agent("a"))
    picture["nodes"][0]["free_memory_bytes"] = 20 * 1024**3
    assert "20.0 GiB free, 8.0 GiB for agents" in lines(picture, 100)[1]


def test_with_nothing_under_way_it_says_so() -> None:
    picture = {**_picture(), "runs": [], "runs_live": 0}
    assert lines(picture, 80)[-1] == "nothing is under way"
