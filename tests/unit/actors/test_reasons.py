"""What Ray says of an actor that died, in one sentence of ours."""

import pytest
from ray.exceptions import RayError

from codetether_ray.actors.calls import reason
from codetether_ray.actors.losses import lost
from codetether_ray.core.errors import AgentLostError, NodeLostError

_DIED = "The actor died unexpectedly before finishing this task.\n\tclass_name: Agents\n"
_NODE = "The actor died because its node has died. Node Id: 8f3a\n"


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (_DIED + _NODE + "\tthe actor's node was terminated unexpectedly: x", "its node died"),
        (_DIED + _NODE + "\tthe actor's node was terminated expectedly: drained", "its node died"),
        (_DIED + _NODE + "\tthe actor's node was preempted: spot", "its node was preempted"),
        (
            "The actor is not schedulable: The node specified via NodeAffinitySchedulingStrategy "
            "doesn't exist any more or is infeasible, and soft=False was specified.",
            "its node died",
        ),
        ("Worker unexpectedly exits with a connection error code 2.", "its process died"),
        (_DIED + "The actor is dead because its owner has died.", "its owner died"),
        (
            "The actor 5746300c6ab2 is unavailable: RpcError: RPC error: Socket closed. The task "
            "may or may not have been executed on the actor.",
            "its process cannot be reached",
        ),
    ],
)
def test_the_reason_is_told_in_a_sentence(said: str, wanted: str) -> None:
    error = RayError(said)
    assert reason(error) == wanted
    kind = NodeLostError if "node" in wanted else AgentLostError
    assert type(lost("sub/a", error, "8f3a")) is kind


def test_an_actor_that_died_for_no_known_reason_keeps_rays_first_line() -> None:
    assert reason(RayError(_DIED)).startswith("The actor died unexpectedly")
