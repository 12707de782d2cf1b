"""Tasks in any of the shapes in which platforms tell of them."""

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from codetether_ray.worker.offers import offer_of, offers_of, told_by_event
from codetether_ray.worker.swarms import SwarmTerms, swarm_terms


@pytest.mark.parametrize(
    "told",
    [
        {"id": "t", "title": "T", "prompt": "P", "agent_type": "swarm", "model": "x:y"},
        {"task": {"id": "t", "title": "T", "prompt": "P", "agent": "swarm", "model_ref": "x/y"}},
        {"id": "event", "task": {"id": "t", "title": "T", "description": "P",
                                 "agent_type": "swarm", "metadata": {"model": "x:y"}}},
    ],
)  # fmt: skip
def test_a_task_is_read_from_itself_or_from_within(told: Any) -> None:
    offer = offer_of(told)
    assert offer is not None
    wish = offer.wish
    assert (offer.id, wish.title, offer.prompt) == ("t", "T", "P")
    assert (wish.agent_type, wish.model) == ("swarm", "x/y")


def test_the_title_says_it_where_nothing_else_does() -> None:
    offer = offer_of({"id": "t", "title": "T"})
    assert offer is not None
    assert offer.prompt == "T"


@pytest.mark.parametrize("told", [{"id": "1"}, {"title": "x"}, {"id": 5, "title": "x"}, [], None])
def test_an_id_alone_is_no_task(told: Any) -> None:
    assert offer_of(told) is None


def test_the_worker_that_is_meant_may_stand_in_the_routing() -> None:
    metadata = {"routing": {"target_agent_name": "one"}}
    offer = offer_of({"id": "t", "title": "T", "metadata": metadata})
    assert offer is not None
    assert offer.wish.agent_name == "one"


def test_a_list_may_stand_alone_or_in_an_object() -> None:
    items = [{"id": "a", "title": "A"}, {"id": "broken"}, {"id": "b", "title": "B"}]
    assert [o.id for o in offers_of(items)] == [o.id for o in offers_of({"tasks": items})]
    assert [o.id for o in offers_of(items)] == ["a", "b"]


def test_events_of_other_kinds_tell_of_no_task() -> None:
    task = {"id": "t", "title": "T"}
    for event in ("task", "message", "task.created"):
        offer, cancelled = told_by_event(event, task)
        assert (offer is not None, cancelled) == (True, "")
    assert told_by_event("heartbeat", task) == (None, "")
    assert told_by_event("cancel", {"task_id": "t"}) == (None, "t")
    assert told_by_event("message", None) == (None, "")


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "task", "tasks", "title", "metadata", "routing", "model", "timeout"]
            )
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(_JSON)
def test_nothing_that_a_platform_says_breaks_the_worker(told: Any) -> None:
    for offer in (offer_of(told), *offers_of(told), told_by_event("task", told)[0]):
        if offer is not None:
            swarm_terms(offer.wish.metadata)


def test_a_swarms_terms_are_found_under_their_many_names_within_their_bounds() -> None:
    metadata = {
        "swarm": {"strategy": "single", "subagents": 1000, "max_steps": "7", "timeout": 1},
        "parallel_enabled": False,
    }
    assert swarm_terms(metadata) == SwarmTerms(
        strategy="none", max_subagents=100, max_steps=7, timeout_s=30.0, is_serial=True
    )
    assert swarm_terms({}) == SwarmTerms()
    assert swarm_terms({"timeout": float("inf"), "strategy": "new"}).strategy == "auto"
