"""What Ray 2.60 says when it ends a process, read as what happened. The texts are its own."""

from ray.exceptions import ActorUnschedulableError, OutOfMemoryError, RayActorError, RayTaskError

from codetether_ray.actors.losses import is_death, lost
from codetether_ray.core.errors import AgentLostError, MemoryExceededError, NodeLostError

MONITOR = """2 worker(s) were killed due to the node running low on memory. Memory on the node \
(IP: 192.0.2.2, ID: 4b83b0e006154f05a33359008a244bab5f2660c7d920c27e95f66f31) was 5.75GB used / \
23.54GB limit (0.244340)
OOM kill reason: Memory usage 6093910016B exceeded threshold of 6067588096B (24.0% of \
25276514304B limit)
Ray killed 2 worker(s) based on the killing policy
Considered workers: [
Selected to kill: (Actor(7b4a2a7e933efd77d1e6f16101000000): job ID=01000000, lease ID=00000000d4, \
task name=Ag.__init__, required resources={}, pid=20003, actual memory used=1.50GB, worker ID=c1e6)
Selected to kill: (Actor(11): job ID=01000000, lease ID=00, task name=Ag.__init__, \
required resources={}, pid=20004, actual memory used=0.25GB, worker ID=c1e7)
]
Top 10 memory users: PID	MEM(GB)	COMMAND
20003	1.50	ray::Ag.eat
"""


def test_a_kill_by_rays_memory_monitor_tells_what_the_process_had_and_what_the_node_had() -> None:
    error = OutOfMemoryError(MONITOR)
    assert is_death(error)
    found = lost("sub/a", error, "n1", pid=20004, limit_bytes=200_000_000)
    assert isinstance(found, MemoryExceededError)
    assert found.peak_bytes == (1 << 30) // 4
    assert found.limit_bytes == 200_000_000
    assert found.reason == (
        "Ray's memory monitor ended it when 5.75 GB of its node's 23.54 GB were used"
    )


def test_of_several_that_were_ended_none_is_taken_for_one_that_is_not_named() -> None:
    found = lost("sub/a", OutOfMemoryError(MONITOR), pid=1)
    assert isinstance(found, MemoryExceededError)
    assert found.peak_bytes == 0


def test_a_node_that_is_gone_is_told_from_a_process_that_is() -> None:
    gone = RayActorError(error_msg="The actor died because its node has died. The actor's node x")
    found = lost("sub/a", gone, "n1")
    assert isinstance(found, NodeLostError)
    assert found.node == "n1"
    never = lost("sub/a", ActorUnschedulableError("The node doesn't exist any more"), "n1")
    assert isinstance(never, NodeLostError)
    died = RayActorError(error_msg="Worker unexpectedly exits with a connection error code 2")
    assert type(lost("sub/a", died)) is AgentLostError


def test_a_call_that_failed_is_no_death() -> None:
    assert not is_death(RayTaskError("turn", "text", ValueError("x")))
