from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.core.topics import matches, segment, topic

_names = st.text(min_size=1, max_size=8)


def test_an_agent_is_not_matched_by_the_prefix_of_its_id() -> None:
    assert not matches("agent.a1", "agent.a10")
    assert matches("agent.a1", "agent.a1")


def test_a_star_is_one_segment_and_two_stars_are_the_rest() -> None:
    assert matches("agent.*.events", "agent.a1.events")
    assert not matches("agent.*", "agent.a1.events")
    assert matches("agent.**", "agent.a1.events")
    assert not matches("agent.**", "agent")
    assert matches("**", "broadcast")


@given(_names, _names)
def test_an_escaped_id_is_always_one_segment(first: str, second: str) -> None:
    name = topic("agent", first, "events")
    assert len(name.split(".")) == 3
    assert matches("agent.*.events", name)
    assert matches(name, topic("agent", second, "events")) == (first == second)


@given(_names)
def test_escaping_never_makes_a_pattern(name: str) -> None:
    assert "*" not in segment(name)
    assert "." not in segment(name)
