from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codetether_ray.ralph.planning import blocked, ready, waiting, waves
from codetether_ray.ralph.prd import Prd, Story
from codetether_ray.ralph.prd_text import read_prd

PRDS = Path(__file__).parents[2] / "data" / "prds"

_WIDTHS = {
    "prd": ([8], [8]),
    "prd_09340472": ([1, 1, 2, 5, 1, 2], [3, 1, 2]),
    "prd_21b8ed93": ([4, 1], [4, 1]),
    "prd_62a125e8": ([1, 1, 3, 2, 1], []),
    "prd_7695ca0e": ([1, 6, 1, 1, 1], [1, 6, 1, 1, 1]),
    "prd_b8199e88": ([2, 1, 3, 2, 2], [1, 3, 2, 2]),
    "prd_missing_features": ([4, 2, 4], []),
    "prd_swarm_agent_detail_view": ([2, 4], []),
    "prd_tui_agent_integration": ([1, 1, 1, 2], [1, 1, 1, 2]),
}
"""From the reference's table: the widths with nothing passed, and as the files stand."""


def prd(*stories: Story) -> Prd:
    return Prd(project="p", feature="f", stories=stories)


def story(id: str, *needs: str, priority: int = 1, complexity: int = 3) -> Story:
    return Story(id=id, title=id, depends_on=needs, priority=priority, complexity=complexity)


@pytest.mark.parametrize("name", _WIDTHS)
def test_the_waves_of_the_references_prds_are_as_wide_as_its_table_says(name: str) -> None:
    (path,) = PRDS.glob(f"{name}.json") if name == "prd" else PRDS.glob(f"{name}*.json")
    found = read_prd(path.read_bytes()).prd
    widths = tuple([len(w) for w in waves(found, passed=p)] for p in ((), None))
    assert widths == _WIDTHS[name]


def test_the_next_story_is_told_by_priority_then_complexity_then_the_files_order() -> None:
    stories = (
        story("late", priority=3),
        story("hard", complexity=5),
        story("first"),
        story("second"),
        story("urgent", priority=0, complexity=5),
    )
    found = ready(prd(*stories))
    assert [s.id for s in found] == ["urgent", "first", "second", "hard", "late"]


def test_a_story_is_ready_the_moment_its_own_dependencies_have_passed() -> None:
    whole = prd(story("a"), story("b"), story("c", "a"), story("d", "b", "c"))
    assert [s.id for s in ready(whole)] == ["a", "b"]
    assert [s.id for s in ready(whole, passed={"a"}, without={"b"})] == ["c"]
    assert waiting(whole, passed={"a", "c"}) == {"d": ("b",)}


def test_who_waits_for_a_stuck_story_is_told_with_what_it_waits_for() -> None:
    whole = prd(story("a"), story("b", "a"), story("c", "b"), story("d"), story("e", "c", "d"))
    assert blocked(whole, {"a"}) == {"b": ("a",), "c": ("a",), "e": ("a",)}
    assert blocked(whole, {"c", "d"}, passed={"a", "b"}) == {"e": ("c", "d")}
    assert blocked(whole, {"a"}, passed={"a"}) == {}


@st.composite
def prds(draw: st.DrawFn) -> Prd:
    count = draw(st.integers(1, 12))
    order = draw(st.permutations(range(count)))
    found = []
    for place, number in enumerate(order):
        needs = draw(st.sets(st.sampled_from(order[:place]))) if place else set()
        found.append(story(f"s{number}", *(f"s{n}" for n in sorted(needs))))
    return prd(*draw(st.permutations(found)))


@settings(deadline=None)
@given(whole=prds())
def test_working_off_what_is_ready_ends_with_everything_passed(whole: Prd) -> None:
    done: set[str] = set()
    while found := ready(whole, passed=done):
        assert all(done.issuperset(s.depends_on) for s in found)
        done.add(found[0].id)
    assert done == set(whole.by_id)


@settings(deadline=None)
@given(whole=prds(), data=st.data())
def test_each_wave_needs_only_what_is_before_it_and_nothing_is_lost(
    whole: Prd, data: st.DataObject
) -> None:
    done = data.draw(st.sets(st.sampled_from(sorted(whole.by_id))))
    before = set(done)
    for wave in waves(whole, passed=done):
        ids = {s.id for s in wave}
        assert ids
        assert all(before.issuperset(s.depends_on) for s in wave)
        before |= ids
    assert before == set(whole.by_id)
