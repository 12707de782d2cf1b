"""What the protocol lets a client ask, as values."""

import pytest
from a2a.types import (
    AgentCard,
    AgentSkill,
    ContentTypeNotSupportedError,
    InvalidParamsError,
    ListTasksRequest,
    ListTasksResponse,
    Message,
    Part,
    Task,
    TaskState,
    TaskStatus,
)
from google.protobuf.timestamp_pb2 import Timestamp

from codetether_ray.a2a.agents import Order
from codetether_ray.a2a.listing import list_tasks, query_of
from codetether_ray.a2a.orders import decode_order, encode_order
from codetether_ray.a2a.rules import check_modes
from codetether_ray.core.errors import UsageError
from codetether_ray.ports.tasks import TaskPage, TaskQuery, TaskRecord
from tests.unit.a2a.world import ANN, COMPLETED, MemoryTasks, request

_CARD = AgentCard(
    default_input_modes=["text/plain"],
    default_output_modes=["text/plain"],
    skills=[AgentSkill(output_modes=["application/json"])],
)


@pytest.mark.parametrize(
    "accepted",
    [
        [],
        ["text/plain"],
        ["image/png", "text/plain; charset=utf-8"],
        ["text/*"],
        ["*/*"],
        ["text"],
        ["Application/JSON"],
    ],
    ids=str,
)
def test_an_answer_in_one_accepted_mode_is_enough(accepted: list[str]) -> None:
    check_modes(Message(), accepted, _CARD)


@pytest.mark.parametrize("accepted", [["image/png"], ["image/*"], ["application/pdf"]], ids=str)
def test_without_a_common_mode_a_message_is_refused(accepted: list[str]) -> None:
    with pytest.raises(ContentTypeNotSupportedError):
        check_modes(Message(), accepted, _CARD)


def test_parts_that_the_agent_does_not_take_are_refused() -> None:
    message = Message(parts=[Part(raw=b"x", media_type="video/mp4")])
    with pytest.raises(ContentTypeNotSupportedError):
        check_modes(message, [], _CARD)


def test_a_card_that_declares_nothing_takes_everything() -> None:
    check_modes(Message(parts=[Part(raw=b"x", media_type="a/b")]), ["c/d"], AgentCard())


def test_a_list_request_is_understood() -> None:
    asked = ListTasksRequest(
        context_id="c",
        status=TaskState.TASK_STATE_INPUT_REQUIRED,
        page_size=7,
        page_token="p",
        status_timestamp_after=Timestamp(seconds=5, nanos=500_000_000),
    )
    assert query_of(asked, "ann") == TaskQuery(
        owner="ann",
        context_id="c",
        state="input-required",
        updated_after=5.5,
        page_size=7,
        page_token="p",
    )
    assert query_of(ListTasksRequest(), "ann") == TaskQuery(owner="ann", page_size=50)


@pytest.mark.parametrize(
    "asked",
    [
        ListTasksRequest(page_size=0),
        ListTasksRequest(page_size=101),
        ListTasksRequest(page_size=-1),
        ListTasksRequest(history_length=-1),
        ListTasksRequest(status=99),  # type: ignore[arg-type]
        ListTasksRequest(context_id="\0"),
    ],
    ids=["none", "too many", "negative", "negative history", "no state", "a NUL"],
)
def test_a_list_request_that_makes_no_sense_is_refused(asked: ListTasksRequest) -> None:
    with pytest.raises(InvalidParamsError):
        query_of(asked, "ann")


class _Page(MemoryTasks):
    async def list(self, query: TaskQuery) -> TaskPage:
        if query.page_token:
            raise UsageError("the page token is none of ours")
        task = Task(id="t", context_id="c", status=TaskStatus(state=COMPLETED))
        task.artifacts.add(artifact_id="a")
        task.history.add(message_id="m")
        task.history.add(message_id="n")
        record = TaskRecord(
            id="t",
            context_id="c",
            owner="ann",
            state="completed",
            version=1,
            updated_at=1.0,
            payload=task.SerializeToString(),
        )
        return TaskPage(tasks=(record,), next_page_token="next", total=9)


async def listed(**asked: object) -> ListTasksResponse:
    return await list_tasks(ListTasksRequest(**asked), "ann", _Page())  # type: ignore[arg-type]


async def test_a_list_gives_what_is_asked_for() -> None:
    page = await listed()
    assert (page.next_page_token, page.total_size, page.page_size) == ("next", 9, 50)
    assert not page.tasks[0].artifacts
    assert len(page.tasks[0].history) == 2
    page = await listed(include_artifacts=True, history_length=1)
    assert len(page.tasks[0].artifacts) == 1
    assert [message.message_id for message in page.tasks[0].history] == ["n"]
    with pytest.raises(InvalidParamsError, match="none of ours"):
        await listed(page_token="x")


class _Large(MemoryTasks):
    """Three tasks of 1.9 MB."""

    async def list(self, query: TaskQuery) -> TaskPage:
        records = []
        for id in "abc"[: query.page_size]:
            task = Task(id=id, context_id="c", status=TaskStatus(state=COMPLETED))
            task.history.add(message_id="m").parts.add(text="x" * 1_900_000)
            record = TaskRecord(
                id=id,
                context_id="c",
                owner="ann",
                state="completed",
                version=1,
                updated_at=1.0,
                payload=task.SerializeToString(),
            )
            records.append(record)
        return TaskPage(tasks=tuple(records), next_page_token=f"after {id}", total=3)


async def test_a_page_of_large_tasks_is_short_and_fits_into_one_message_of_grpc() -> None:
    page = await list_tasks(ListTasksRequest(page_size=3), "ann", _Large())
    assert [task.id for task in page.tasks] == ["a", "b"]
    assert page.next_page_token == "after b"
    assert page.ByteSize() < 4 * 1024 * 1024
    page = await list_tasks(ListTasksRequest(page_size=3, history_length=0), "ann", _Large())
    assert [task.id for task in page.tasks] == ["a", "b", "c"]


def test_an_order_travels() -> None:
    task = Task(id="t", context_id="c")
    order = Order(
        task=task, message=request("a\nb").message, principal=ANN, output_modes=("text/plain",)
    )
    found = decode_order(encode_order(order), task)
    assert found.message == order.message
    assert found.principal == ANN
    assert found.output_modes == ("text/plain",)
    assert found.is_taken_up
