"""The A2A protocol's operations, for every version and transport: one handler."""

from collections.abc import AsyncGenerator, Callable

from a2a.server.context import ServerCallContext
from a2a.server.events.event_queue import Event
from a2a.server.request_handlers.request_handler import RequestHandler
from a2a.types import (
    AgentCard,
    CancelTaskRequest,
    DeleteTaskPushNotificationConfigRequest,
    GetExtendedAgentCardRequest,
    GetTaskPushNotificationConfigRequest,
    GetTaskRequest,
    ListTaskPushNotificationConfigsRequest,
    ListTaskPushNotificationConfigsResponse,
    ListTasksRequest,
    ListTasksResponse,
    Message,
    SendMessageRequest,
    SubscribeToTaskRequest,
    Task,
    TaskPushNotificationConfig,
)

from codetether_ray.a2a.agents import TaskAgents
from codetether_ray.a2a.limits import Limits, Timing
from codetether_ray.a2a.pushing import PushSender
from codetether_ray.core.principals import Principal
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.task_channel import TaskChannel
from codetether_ray.ports.tasks import TaskStore


class TaskHandler(RequestHandler):
    """Answers all operations; `start` begins to tend what is held here, `close` lets go of it.

    The context's user must be a `users.CallingUser`.
    """

    def __init__(
        self,
        store: TaskStore,
        channel: TaskChannel,
        agents: TaskAgents,
        clock: Clock,
        *,
        holder: str,
        card: Callable[[], AgentCard],
        extended_card: Callable[[Principal], AgentCard] | None = None,
        pushes: PushSender | None = None,
        limits: Limits | None = None,
        timing: Timing | None = None,
    ) -> None:
        raise NotImplementedError

    async def start(self) -> None:
        """Attend to signals, renew leases, take over what others left."""

    async def close(self) -> None:
        """Stop tending; the work that goes on here is left to be taken up."""
