import json
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.core import graph
from codetether_ray.core.errors import PlanError
from codetether_ray.swarm.plan import Plan, parse_plan


def _plan(*subtasks: dict[str, Any], limit: int = 100) -> Plan:
    filled = [{"instruction": "work", **s} for s in subtasks]
    return parse_plan(json.dumps({"subtasks": filled}), max_subagents=limit)


def _refusal(*subtasks: dict[str, Any], limit: int = 100) -> str:
    with pytest.raises(PlanError) as refused:
        _plan(*subtasks, limit=limit)
    return str(refused.value)


def test_a_plan_is_read_from_a_fence_and_keeps_the_models_order() -> None:
    body = {
        "subtasks": [
            {"name": "B", "instruction": "do b", "specialty": "Tests", "priority": 2},
            {"name": "A a", "instruction": "do a", "dependencies": ["B"], "specialty": None},
        ]
    }
    plan = parse_plan(f"Well:\n```json\n{json.dumps(body)}\n``` ok {{}}", max_subagents=5)
    assert [s.id for s in plan.subtasks] == ["b", "a-a"]
    assert plan.subtasks[0].specialty == "Tests"
    assert plan.subtasks[0].priority == 2
    assert plan.subtasks[1].dependencies == ("b",)
    assert [s.stage for s in plan.subtasks] == [0, 1]


@pytest.mark.parametrize(
    "wrap",
    ["{}", "Sure! {} That is all.", "```json\n{}\n```", "```\n{}\n```", "x ```json\n{}"],
)
def test_a_plan_is_found_whatever_stands_around_it(wrap: str) -> None:
    body = json.dumps({"subtasks": [{"name": "a", "instruction": "do"}]})
    assert parse_plan(wrap.replace("{}", body), max_subagents=5).subtasks[0].id == "a"


def test_an_instruction_may_hold_a_fence_itself() -> None:
    told = "write:\n```python\nx = 1\n```\nand {y}"
    body = json.dumps({"subtasks": [{"name": "a", "instruction": told}]})
    plan = parse_plan(f"```json\n{body}\n```", max_subagents=5)
    assert plan.subtasks[0].instruction == told


@pytest.mark.parametrize("text", ["", "  \n "])
def test_a_blank_answer_is_one_main_task(text: str) -> None:
    (only,) = parse_plan(text, max_subagents=5, task="all of it").subtasks
    assert (only.id, only.name, only.instruction) == ("main-task", "Main Task", "all of it")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no json here", "no JSON object"),
        ('{"subtasks": [', "not valid JSON"),
        ('{"subtasks": [}', "not valid JSON"),
        ("{}", "subtasks"),
        ('{"subtasks": []}', "subtasks"),
        ('{"subtasks": ["a"]}', "subtask 1 is not a JSON object"),
        ('{"subtasks": [{"name": " ", "instruction": "x"}]}', 'subtask 1 has no "name"'),
        ('{"subtasks": [{"name": "a"}]}', '"a" has no "instruction"'),
        ('{"subtasks": [{"name": "a", "instruction": []}]}', "must be a string"),
        ('{"subtasks": [{"name": "a", "instruction": "x", "priority": "high"}]}', "number"),
        ('{"subtasks": [{"name": "a", "instruction": "x", "files": "f"}]}', "list of strings"),
    ],
)
def test_what_is_no_plan_is_refused_with_a_reason(text: str, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        parse_plan(text, max_subagents=5)


def test_dependencies_are_ids_or_names_or_slugs() -> None:
    plan = _plan(
        {"name": "Read Code", "id": "t1"},
        {"name": "b", "dependencies": ["t1"]},
        {"name": "c", "dependencies": ["Read Code", "b"]},
        {"name": "d", "dependencies": ["read-code", "c", "t1"]},
    )
    assert [s.dependencies for s in plan.subtasks] == [
        (), ("read-code",), ("read-code", "b"), ("read-code", "c")
    ]  # fmt: skip
    assert [s.stage for s in plan.subtasks] == [0, 1, 2, 3]


def test_numbers_serve_as_ids() -> None:
    plan = _plan({"name": "a", "id": 1}, {"name": "b", "id": 2, "dependencies": [1]})
    assert plan.subtasks[1].dependencies == ("a",)


def test_an_unknown_dependency_is_named_with_what_there_is() -> None:
    said = _refusal({"name": "a", "dependencies": ["z"]}, {"name": "b"})
    assert '"a" depends on "z"' in said
    assert '"a", "b"' in said


def test_a_cycle_is_named_with_its_path() -> None:
    said = _refusal(
        {"name": "in front", "dependencies": ["x"]},
        {"name": "x", "dependencies": ["z"]},
        {"name": "y", "dependencies": ["x"]},
        {"name": "z", "dependencies": ["y"]},
    )
    assert said.endswith("x -> z -> y -> x")
    assert "in front" not in said


def test_depending_on_oneself_is_refused() -> None:
    assert _refusal({"name": "a", "dependencies": ["a"]}) == 'subtask "a" depends on itself'


def test_names_must_differ_and_not_be_main() -> None:
    assert "two subtasks" in _refusal({"name": "A"}, {"name": "a"})
    assert '"Main"' in _refusal({"name": "Main"})
    assert "main" in _refusal({"name": "main!"})


def test_too_many_subtasks_are_refused() -> None:
    assert "2 subtasks; at most 1" in _refusal({"name": "a"}, {"name": "b"}, limit=1)


def test_names_that_look_alike_get_different_ids() -> None:
    plan = _plan(
        {"name": "a b"}, {"name": "a-b"}, {"name": "a b 2"}, {"name": "日本"}, {"name": "!"}
    )
    ids = [s.id for s in plan.subtasks]
    assert len(set(ids)) == 5
    assert ids[0] == "a-b"
    assert ids[2] == "a-b-2"


def test_the_same_file_makes_the_later_subtask_wait() -> None:
    plan = _plan(
        {"name": "a", "files": ["src/x.py"]},
        {"name": "b", "files": ["./src//x.py"]},
        {"name": "c", "files": ["src/x.py", "y"]},
    )
    assert [s.dependencies for s in plan.subtasks] == [(), ("a",), ("b",)]
    assert [s.stage for s in plan.subtasks] == [0, 1, 2]
    assert '"b" waits for "a": both say they change src/x.py' in plan.warnings


def test_subtasks_in_order_already_may_name_the_same_file() -> None:
    plan = _plan(
        {"name": "a", "files": ["x"], "dependencies": ["b"]}, {"name": "b", "files": ["x"]}
    )
    assert [s.dependencies for s in plan.subtasks] == [("b",), ()]
    assert plan.warnings == ()


def test_a_directory_around_anothers_file_is_a_warning() -> None:
    plan = _plan({"name": "a", "files": ["src/"]}, {"name": "b", "files": ["src/deep/x.py"]})
    assert [s.dependencies for s in plan.subtasks] == [(), ()]
    assert plan.warnings == (
        '"a" and "b" may change the same files: src holds src/deep/x.py',
    )  # fmt: skip


def test_a_plan_survives_the_journal() -> None:
    plan = _plan({"name": "a", "files": ["x"]}, {"name": "b", "files": ["x"], "priority": 3})
    assert Plan.from_json(plan.to_json(), plan.warnings) == plan


@st.composite
def _graphs(draw: st.DrawFn) -> dict[str, tuple[str, ...]]:
    nodes = [str(n) for n in range(draw(st.integers(1, 8)))]
    return {
        n: tuple(draw(st.lists(st.sampled_from(nodes), max_size=3, unique=True))) for n in nodes
    }


@given(_graphs())
def test_a_graph_is_either_ordered_wholly_or_shows_a_true_cycle(
    found: dict[str, tuple[str, ...]],
) -> None:
    order, path = graph.topological(found), graph.cycle(found)
    if len(order) == len(found):
        assert path == ()
        assert all(
            order.index(need) < order.index(n) for n, needs in found.items() for need in needs
        )
    else:
        assert path[0] == path[-1]
        assert all(b in found[a] for a, b in pairwise(path))


@given(
    _graphs(), st.lists(st.lists(st.sampled_from(["p", "q", "d/p", "d"]), max_size=2), max_size=8)
)
def test_stated_files_never_make_a_cycle_and_order_all_who_share_one(
    found: dict[str, tuple[str, ...]], files: list[list[str]]
) -> None:
    if graph.cycle(found):
        return
    entries = [
        {
            "name": f"n{n}",
            "dependencies": [f"n{d}" for d in needs],
            "files": (files[i : i + 1] or [[]])[0],
        }
        for i, (n, needs) in enumerate(found.items())
    ]
    plan = _plan(*entries)
    for a in plan.subtasks:
        for b in plan.subtasks:
            if a.id != b.id and set(a.files) & set(b.files):
                assert a.id in graph.reach(plan.graph, (b.id,)) or b.id in graph.reach(
                    plan.graph, (a.id,)
                )
    assert len(plan.merge_order) == len(plan.subtasks)


@given(st.text(max_size=200))
def test_any_answer_is_a_plan_or_a_plan_error(text: str) -> None:
    with suppress(PlanError):
        assert parse_plan(text, max_subagents=5).subtasks
