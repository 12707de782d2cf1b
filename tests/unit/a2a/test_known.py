"""What a follower makes of events that come late, twice, or not at all."""

import pytest
from a2a.types import Task, TaskStatus
from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.a2a.draft import Draft
from codetether_ray.a2a.limits import Limits
from codetether_ray.a2a.means import Means, response
from codetether_ray.a2a.watching import Known
from codetether_ray.ports.task_channel import TaskEvent
from codetether_ray.ports.tasks import TaskRecord
from tests.unit.a2a.world import WORKING, World, delta, kind, text_of

_LETTERS = "abcdefgh"


def means() -> Means:
    world = World()
    return Means(
        store=world.store,
        channel=None,  # type: ignore[arg-type]  # nothing is sent
        agents=world.stage,
        clock=world.clock,
        holder="r1",
        limits=Limits(),
        timing=world.timing,
        saver=None,  # type: ignore[arg-type]  # nothing is saved
        deliveries=None,
    )


def at(version: int) -> Task:
    """The task after as many letters, less one."""
    draft = Draft(Task(id="t", status=TaskStatus(state=WORKING)), Limits(), lambda: 1.0)
    for letter in _LETTERS[: version - 1]:
        draft.take(delta(letter))
    return draft.snapshot()


def known(version: int) -> Known:
    task = at(version)
    record = TaskRecord(
        id="t",
        context_id="",
        owner="ann",
        state="working",
        version=version,
        updated_at=1.0,
        payload=task.SerializeToString(),
    )
    return Known(record, means())


def event(version: int, *, whole: bool = False) -> TaskEvent:
    update = at(version) if whole else delta(_LETTERS[version - 2], append=version > 2)
    return TaskEvent(task_id="t", version=version, payload=response(update).SerializeToString())


def test_the_next_event_is_told_as_it_is() -> None:
    told = known(3).hear(event(4))
    assert told is not None
    assert [kind(update) for update in told] == ["+c"]


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("whole", [False, True])
def test_what_is_known_is_not_told_again(version: int, whole: bool) -> None:
    if version > 1:
        assert known(3).hear(event(version, whole=whole)) == ()


def test_an_event_after_a_gap_is_not_told() -> None:
    follower = known(3)
    assert follower.hear(event(5)) is None
    assert follower.version == 3


def test_a_whole_task_closes_a_gap_with_the_difference() -> None:
    follower = known(3)
    told = follower.hear(event(6, whole=True))
    assert told is not None
    assert [kind(update) for update in told] == ["+cde"]
    told = follower.hear(event(7))
    assert told is not None
    assert text_of(follower.task) == "abcdef"


@given(st.lists(st.tuples(st.integers(2, 9), st.booleans()), max_size=20))
def test_whatever_arrives_the_task_is_the_one_of_its_version(
    arrivals: list[tuple[int, bool]],
) -> None:
    follower = known(1)
    for version, whole in arrivals:
        follower.hear(event(version, whole=whole))
        assert text_of(follower.task) == _LETTERS[: follower.version - 1]
