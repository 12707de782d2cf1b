"""A task as its updates make it, and what leads from one state of it to another."""

import copy
import os
from pathlib import Path

import pytest
from a2a.types import (
    Artifact,
    InvalidAgentResponseError,
    Message,
    Part,
    Role,
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatus,
)
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.a2a.differences import Told, difference
from codetether_ray.a2a.draft import Draft, is_continued
from codetether_ray.a2a.limits import Limits
from tests.unit.a2a.world import COMPLETED, WORKING, delta, status, text_of


def draft(
    task: Task | None = None, *, is_told_anew: bool = False, limits: Limits | None = None
) -> Draft:
    stamped = TaskStatus(state=WORKING, timestamp=Timestamp(seconds=1))
    made = task or Task(id="t", context_id="c", status=stamped)
    return Draft(made, limits or Limits(), lambda: 1.0, is_told_anew=is_told_anew)


_parts = st.one_of(
    st.builds(lambda text: Part(text=text), st.text("ab", max_size=3)),
    st.builds(lambda text: Part(text=text, media_type="text/html"), st.text("ab", max_size=3)),
    st.builds(lambda raw: Part(raw=raw), st.binary(max_size=3)),
)
_artifacts = st.builds(
    lambda name, parts, append, last: TaskArtifactUpdateEvent(
        artifact=Artifact(artifact_id=name, parts=parts), append=append, last_chunk=last
    ),
    st.sampled_from("xy"),
    st.lists(_parts, min_size=1, max_size=3),
    st.booleans(),
    st.booleans(),
)
_statuses = st.builds(
    status, st.sampled_from([WORKING, TaskState.TASK_STATE_SUBMITTED]), st.text("ab", max_size=2)
)
_updates = st.lists(st.one_of(_artifacts, _statuses), max_size=12)


def fold(task: Task, told: tuple[Told, ...]) -> Task:
    """What a client makes of updates."""
    known = draft(copy.deepcopy(task))
    for update in told:
        if isinstance(update, Task):
            known = draft(copy.deepcopy(update))
        else:
            known.take(copy.deepcopy(update))
    return known.task


def joined(task: Task) -> dict[str, list[Part]]:
    """Artifacts' parts, with texts joined that follow each other: where they part is no matter."""
    found: dict[str, list[Part]] = {}
    for artifact in task.artifacts:
        parts = found[artifact.artifact_id] = []
        for part in artifact.parts:
            if parts and is_continued(parts[-1], part):
                parts[-1].text += part.text
            else:
                parts.append(copy.deepcopy(part))
    return found


@given(_updates, _updates)
def test_the_difference_leads_from_the_one_to_the_other(
    before: list[Told], after: list[Told]
) -> None:
    made = draft()
    for update in before:
        made.take(copy.deepcopy(update))
    old = made.snapshot()
    for update in after:
        made.take(copy.deepcopy(update))
    new = made.snapshot()
    reached = fold(old, difference(old, new))
    assert joined(reached) == joined(new)
    assert reached.status == new.status


@given(_updates, _updates)
def test_between_unlike_tasks_the_difference_leads_as_well(
    before: list[Told], after: list[Told]
) -> None:
    one, other = draft(), draft()
    for update in before:
        one.take(copy.deepcopy(update))
    for update in after:
        other.take(copy.deepcopy(update))
    old, new = one.snapshot(), other.snapshot()
    reached = fold(old, difference(old, new))
    assert joined(reached) == joined(new)
    assert reached.status == new.status


@given(st.lists(st.text("ab\n", max_size=4), max_size=20), st.integers(0, 20))
def test_deltas_are_one_part_whenever_the_task_is_read(deltas: list[str], read_at: int) -> None:
    made = draft()
    for place, text in enumerate(deltas):
        made.take(delta(text))
        if place == read_at:
            made.snapshot()
    assert text_of(made.task) == "".join(deltas)
    assert all(len(artifact.parts) == 1 for artifact in made.task.artifacts)


def test_a_long_answer_that_is_read_often_leaves_none_of_its_earlier_states_in_memory() -> None:
    long = draft()
    before = resident()
    for _ in range(1_500):
        long.take(delta("tick " * 10))
        assert long.task.artifacts
    assert resident() - before < 20_000_000  # all states together are 56 MB


def resident() -> int:
    pages = Path("/proc/self/statm").read_text("ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def test_what_is_no_text_stays_a_part_of_its_own() -> None:
    made = draft()
    made.take(delta("a"))
    artifact = Artifact(artifact_id="a", parts=[Part(raw=b"x"), Part(text="b"), Part(text="c")])
    made.take(TaskArtifactUpdateEvent(artifact=artifact, append=True))
    assert [part.WhichOneof("content") for part in made.task.artifacts[0].parts] == [
        "text",
        "raw",
        "text",
    ]


def test_a_first_piece_that_appends_begins_the_artifact_and_says_so() -> None:
    made = draft()
    update = delta("a", append=True)
    made.take(update)
    assert not update.append


def test_what_is_told_anew_replaces_once_then_appends() -> None:
    made = draft()
    made.take(delta("old"))
    again = draft(made.snapshot(), is_told_anew=True)
    again.take(delta("new"))
    again.take(delta("er"))
    assert text_of(again.task) == "newer"


def test_a_status_message_goes_into_the_history_when_something_follows() -> None:
    made = draft()
    made.take(status(WORKING, "thinking"))
    assert not made.task.history
    made.take(status(COMPLETED))
    assert [message.parts[0].text for message in made.task.history] == ["thinking"]
    assert not made.task.status.HasField("message")


def test_the_oldest_history_gives_way() -> None:
    made = draft(limits=Limits(history=2))
    for text in "abc":
        made.hear(Message(message_id=text, role=Role.ROLE_USER, parts=[Part(text=text)]))
    assert [message.message_id for message in made.task.history] == ["b", "c"]


def heard(message_id: str, size: int) -> Message:
    return Message(message_id=message_id, role=Role.ROLE_USER, parts=[Part(text="x" * size)])


def test_the_oldest_history_gives_way_to_what_makes_the_task_too_large() -> None:
    made = draft(limits=Limits(task_bytes=10_000, artifact_bytes=6_000))
    for name in "abc":
        made.hear(heard(name, 3_000))
    assert [message.message_id for message in made.task.history] == ["a", "b", "c"]
    made.take(delta("x" * 2_000))
    assert [message.message_id for message in made.task.history] == ["b", "c"]
    made.take(status(WORKING, "y" * 2_000))
    assert [message.message_id for message in made.task.history] == ["c"]
    assert made.task.ByteSize() <= 10_000


def test_a_message_that_is_too_large_alone_keeps_its_name_and_says_so() -> None:
    made = draft(limits=Limits(task_bytes=10_000))
    made.hear(heard("a", 100))
    made.hear(heard("b", 12_000))
    (kept,) = made.task.history
    assert (kept.message_id, kept.role) == ("b", Role.ROLE_USER)
    assert "12" in kept.parts[0].text
    assert "left out" in kept.parts[0].text
    made.take(delta("z" * 9_000))
    assert made.task.ByteSize() <= 10_000


def test_the_largest_task_fits_into_one_message_of_grpc() -> None:
    made = draft(limits=(limits := Limits()))
    for number in range(5):
        made.hear(heard(f"m{number}", 3_900_000))
        made.take(delta("x" * 599_000))
        made.take(status(WORKING, f"{number}"))
        assert made.task.ByteSize() <= limits.task_bytes
    assert made.task.history[-1].message_id == "m4"
    assert len(text_of(made.task)) == 5 * 599_000


def test_statuses_are_stamped_in_milliseconds() -> None:
    update = status(WORKING)
    Draft(Task(id="t"), Limits(), lambda: 12.3456).take(update)
    assert (update.status.timestamp.seconds, update.status.timestamp.nanos) == (12, 346_000_000)


@pytest.mark.parametrize(
    "update",
    [
        status(TaskState.TASK_STATE_UNSPECIFIED),
        TaskArtifactUpdateEvent(artifact=Artifact(parts=[Part(text="x")])),
        TaskArtifactUpdateEvent(task_id="another", artifact=Artifact(artifact_id="a")),
        Task(id="another"),
        Task(id="t", status=TaskStatus(state=TaskState.TASK_STATE_UNSPECIFIED)),
        delta("x" * 2_000),
        Task(
            id="t",
            status=TaskStatus(state=WORKING),
            artifacts=[Artifact(artifact_id="a", parts=[Part(text="x" * 2_000)])],
        ),
    ],
    ids=["no state", "no id", "another's", "another", "no state at all", "large", "large at once"],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(update: Told) -> None:
    made = draft(limits=Limits(artifact_bytes=1_000))
    before = made.snapshot()
    with pytest.raises(InvalidAgentResponseError):
        made.take(update)
    assert made.task == before
