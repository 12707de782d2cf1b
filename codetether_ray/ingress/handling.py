"""Opens A2A's one handler of an ingress: its cards, its pushes, what it holds."""

from typing import TYPE_CHECKING

from codetether_ray.bootstrap.truth.reach import Reach
from codetether_ray.ingress import cards
from codetether_ray.ingress.options import IngressOptions
from codetether_ray.ingress.push_signing import push_signer
from codetether_ray.local.clock import SystemClock
from codetether_ray.ports.task_channel import TaskChannel
from codetether_ray.ports.tasks import TaskStore

if TYPE_CHECKING:
    from a2a.types import AgentCard

    from codetether_ray.a2a.agents import TaskAgents
    from codetether_ray.a2a.handler import TaskHandler
    from codetether_ray.core.principals import Principal


async def open_handler(
    options: IngressOptions,
    reach: Reach,
    store: TaskStore,
    channel: TaskChannel,
    agents: "TaskAgents",
    holder: str,
) -> "TaskHandler":
    """The handler, which tends its tasks until it is closed."""
    from codetether_ray.a2a.handler import TaskHandler
    from codetether_ray.a2a.means import never
    from codetether_ray.a2a.push_http import HttpPushes

    clock = SystemClock()
    pushes = HttpPushes(
        clock,
        sign=push_signer(options, reach),
        allows_private=options.allows_private_pushes,
    )

    def card() -> "AgentCard":
        return cards.public_card(options)

    def extended(principal: "Principal") -> "AgentCard":
        return cards.extended_card(options, principal)

    handler = TaskHandler(
        store,
        channel,
        agents,
        clock,
        holder=holder,
        card=card,
        extended_card=extended,
        pushes=pushes,
        is_gone=never if reach.cluster is None else _is_gone,
    )
    await handler.start()
    return handler


async def _is_gone(holder: str) -> bool:
    from codetether_ray.actors.holders import is_gone

    return await is_gone(holder)
