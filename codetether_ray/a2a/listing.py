"""Lists tasks as a client asks for them."""

from dataclasses import replace

from a2a.types import InvalidParamsError, ListTasksRequest, ListTasksResponse, Task
from a2a.utils.constants import DEFAULT_LIST_TASKS_PAGE_SIZE
from a2a.utils.task import validate_history_length, validate_page_size

from codetether_ray.a2a.rules import check_id, shorten
from codetether_ray.a2a.states import NAMES
from codetether_ray.core.errors import UsageError
from codetether_ray.ports.tasks import TaskPage, TaskQuery, TaskRecord, TaskStore

_BYTES = 4_000_000
"""Of one page, so that it fits into one gRPC message; a single task always does."""


async def list_tasks(params: ListTasksRequest, owner: str, store: TaskStore) -> ListTasksResponse:
    """A page of an owner's tasks: fewer than asked for where they are large.

    Raises:
        InvalidParamsError: the request asks for what there can't be.
    """
    query = query_of(params, owner)
    page = await _page(store, query)
    tasks = [_shown(record, params) for record in page.tasks]
    fitting = _fitting(tasks)
    if fitting < len(tasks):  # only the store can say where a shorter page ends
        page = await _page(store, replace(query, page_size=fitting))
        tasks = [_shown(record, params) for record in page.tasks]
    return ListTasksResponse(
        tasks=tasks,
        next_page_token=page.next_page_token,
        page_size=query.page_size,
        total_size=page.total,
    )


async def _page(store: TaskStore, query: TaskQuery) -> TaskPage:
    try:
        return await store.list(query)
    except UsageError as error:
        raise InvalidParamsError(str(error)) from None


def _shown(record: TaskRecord, params: ListTasksRequest) -> Task:
    length = params.history_length if params.HasField("history_length") else None
    task = shorten(Task.FromString(record.payload), length)
    if not params.include_artifacts:
        task.ClearField("artifacts")
    return task


def _fitting(tasks: list[Task]) -> int:
    """How many of them, at least one, are a page."""
    room = _BYTES
    for number, task in enumerate(tasks):
        room -= task.ByteSize() + 5
        if room < 0 and number:
            return number
    return len(tasks)


def query_of(params: ListTasksRequest, owner: str) -> TaskQuery:
    """The request as the store understands it.

    Raises:
        InvalidParamsError: as above.
    """
    validate_history_length(params)
    check_id("contextId", params.context_id)
    check_id("pageToken", params.page_token)
    if params.HasField("page_size"):
        validate_page_size(params.page_size)
    if params.status and params.status not in NAMES:
        raise InvalidParamsError(f"there is no task state {params.status}")
    after = None
    if params.HasField("status_timestamp_after"):
        stamp = params.status_timestamp_after
        after = stamp.seconds + stamp.nanos / 1e9
    return TaskQuery(
        owner=owner,
        context_id=params.context_id,
        state=NAMES[params.status] if params.status else "",
        updated_after=after,
        page_size=params.page_size or DEFAULT_LIST_TASKS_PAGE_SIZE,
        page_token=params.page_token,
    )
