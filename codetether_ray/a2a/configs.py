"""Push configurations of tasks: kept, read and removed for those whose tasks they are."""

from collections.abc import Awaitable, Callable

from a2a.types import (
    DeleteTaskPushNotificationConfigRequest,
    GetTaskPushNotificationConfigRequest,
    InvalidParamsError,
    ListTaskPushNotificationConfigsRequest,
    ListTaskPushNotificationConfigsResponse,
    PushNotificationNotSupportedError,
    TaskNotFoundError,
    TaskPushNotificationConfig,
)
from a2a.utils.proto_utils import validate_proto_required_fields

from codetether_ray.a2a.means import Means
from codetether_ray.a2a.pushing import PushSender
from codetether_ray.a2a.rules import check_id
from codetether_ray.ports.tasks import PushRecord

_PAGE = 50


class Configs:
    """The four operations; all refuse where nothing is pushed."""

    def __init__(
        self,
        means: Means,
        sender: PushSender | None,
        tell_holder: Callable[[str], Awaitable[None]],
    ) -> None:
        """`tell_holder` is called with a task's id when its configurations have changed."""
        self._means = means
        self._sender = sender
        self._tell_holder = tell_holder

    async def keep(
        self, config: TaskPushNotificationConfig, task_id: str, owner: str
    ) -> TaskPushNotificationConfig:
        """Keep one; without an id it gets its task's, as the protocol's first version had it.

        Raises:
            InvalidParamsError: its address may not be pushed to, or the task has enough of them.
            PushNotificationNotSupportedError: nothing is pushed here.
        """
        sender = self._given()
        check_id("id", config.id)
        await sender.check(config)
        names = {each.id for each in await self._means.store.pushes(task_id, owner)}
        if len(names) >= self._means.limits.pushes and (config.id or task_id) not in names:
            raise InvalidParamsError(
                f"task {task_id} has {len(names)} push configurations; delete one first"
            )
        kept = TaskPushNotificationConfig()
        kept.CopyFrom(config)
        kept.task_id = task_id
        kept.id = config.id or task_id
        await self._means.store.save_push(
            PushRecord(task_id=task_id, id=kept.id, owner=owner, payload=kept.SerializeToString())
        )
        return kept

    async def create(
        self, params: TaskPushNotificationConfig, owner: str
    ) -> TaskPushNotificationConfig:
        """Keep one for a task that there is.

        Raises:
            TaskNotFoundError: there is none; or as `keep`.
        """
        self._given()
        validate_proto_required_fields(params)
        if not params.task_id:
            raise InvalidParamsError("taskId is missing")
        await self._check_task(params.task_id, owner)
        config = await self.keep(params, params.task_id, owner)
        await self._tell_holder(config.task_id)
        return config

    async def get(
        self, params: GetTaskPushNotificationConfigRequest, owner: str
    ) -> TaskPushNotificationConfig:
        """One of a task's; without an id the one that has its task's, or the first.

        Raises:
            TaskNotFoundError: there is no such task, or no such configuration.
        """
        self._given()
        configs = await self._of(params.task_id, owner)
        wanted = params.id or params.task_id
        found = next((c for c in configs if c.id == wanted), None)
        if found is None and not params.id and configs:
            return configs[0]
        if found is None:
            raise TaskNotFoundError(
                f"task {params.task_id} has no push configuration {params.id}".rstrip()
            )
        return found

    async def page(
        self, params: ListTaskPushNotificationConfigsRequest, owner: str
    ) -> ListTaskPushNotificationConfigsResponse:
        """A page of a task's, by id.

        Raises:
            InvalidParamsError: the page's size is negative.
            TaskNotFoundError: there is no such task.
        """
        self._given()
        if params.page_size < 0:
            raise InvalidParamsError("pageSize must not be negative")
        configs = await self._of(params.task_id, owner)
        rest = [c for c in configs if c.id > params.page_token]
        size = params.page_size or _PAGE
        more = rest[size - 1].id if len(rest) > size else ""
        return ListTaskPushNotificationConfigsResponse(configs=rest[:size], next_page_token=more)

    async def delete(self, params: DeleteTaskPushNotificationConfigRequest, owner: str) -> None:
        """Remove one; it is no fault if it is gone already.

        Raises:
            TaskNotFoundError: there is no such task.
        """
        self._given()
        await self._check_task(params.task_id, owner)
        name = params.id or params.task_id
        if await self._means.store.delete_push(params.task_id, name, owner):
            await self._tell_holder(params.task_id)

    def _given(self) -> PushSender:
        if self._sender is None:
            raise PushNotificationNotSupportedError("this agent sends no push notifications")
        return self._sender

    async def _of(self, task_id: str, owner: str) -> list[TaskPushNotificationConfig]:
        await self._check_task(task_id, owner)
        records = await self._means.store.pushes(task_id, owner)
        configs: list[TaskPushNotificationConfig] = [
            TaskPushNotificationConfig.FromString(each.payload) for each in records
        ]
        return sorted(configs, key=lambda config: config.id)

    async def _check_task(self, task_id: str, owner: str) -> None:
        if not task_id:
            raise InvalidParamsError("taskId is missing")
        if await self._means.store.get(task_id, owner) is None:
            raise TaskNotFoundError(f"there is no task {task_id}")
