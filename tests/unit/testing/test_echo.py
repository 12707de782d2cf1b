"""The echo behind an ingress that is measured."""

from a2a.types import Message, Part, Role, Task, TaskState

from codetether_ray.a2a.agents import Order
from codetether_ray.core.principals import Principal
from codetether_ray.testing.echo import open_agents


async def test_an_echo_tells_the_messages_text_and_completes_the_task() -> None:
    message = Message(
        message_id="m", role=Role.ROLE_USER, parts=[Part(text="Hello, "), Part(text="you")]
    )
    task = Task(id="t", context_id="c", history=[message])
    order = Order(task=task, message=message, principal=Principal(user_id="ann"))
    artifact, status = [update async for update in open_agents(None, None).work(order)]
    assert artifact.artifact.parts[0].text == "Hello, you"
    assert (status.task_id, status.context_id) == ("t", "c")
    assert status.status.state == TaskState.TASK_STATE_COMPLETED
