"""A swarm's spans, as a receiver of OTLP gets them from the command as a process."""

import re
from collections import Counter

import pytest

from codetether_ray.telemetry.identity import trace_id
from codetether_ray.testing.model_server import ModelServer, call, say
from tests.e2e.otlp_receiver import Got, Receiver, receiving
from tests.e2e.program import Ended, Program
from tests.e2e.swarm_scene import TASK, SwarmModel, make_repository

OUTER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CLIENT = 3  # of OTLP's SpanKind


@pytest.fixture
def program(program: Program) -> Program:
    make_repository(program.project)
    return program


async def _swarm(
    program: Program, server: ModelServer, receiver: Receiver, *arguments: str, **env: str
) -> Ended:
    return await program.run(
        "swarm",
        *arguments,
        "--local",
        "--model",
        "local/m",
        CODETETHER_LOCAL_BASE_URL=server.url,
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        **env,
    )


def _is_one_tree(spans: list[Got], root: Got) -> bool:
    """Whether every span but the root has its parent here."""
    ids = {span.id for span in spans}
    return all(span is root or span.parent in ids for span in spans)


async def test_a_swarm_is_one_tree_of_spans_and_holds_no_content(program: Program) -> None:
    async with ModelServer(SwarmModel()) as server, receiving() as receiver:
        ended = await _swarm(program, server, receiver, TASK, "--json")
    assert ended.code == 0, ended.err
    run_id = ended.json["swarm_id"]
    (root,) = receiver.named("invoke_workflow swarm")
    assert root.parent == ""
    assert int(root.trace, 16) == trace_id(run_id)
    assert {span.trace for span in receiver.spans} == {root.trace}
    assert {span.service for span in receiver.spans} == {"codetether"}
    assert _is_one_tree(receiver.spans, root)
    assert max(Counter(span.id for span in receiver.spans).values()) == 1
    assert len(receiver.named("subtask ")) == 4
    assert len(receiver.named("invoke_agent ")) == 6  # planner, four, synthesis
    chats = receiver.named("chat m")
    assert len(chats) == 10
    assert {span.kind for span in chats} == {CLIENT}
    assert {span.attributes["gen_ai.provider.name"] for span in chats} == {"local"}
    assert all(span.attributes["gen_ai.usage.input_tokens"] > 0 for span in chats)
    assert len(receiver.named("execute_tool write_file")) == 4
    assert all(root.start <= s.start <= s.end <= root.end for s in receiver.spans)
    everything = b"".join(receiver.bodies)
    assert TASK.encode() not in everything
    assert b"Do the work of" not in everything
    assert str(program.project).encode() not in everything


async def test_a_swarm_that_is_killed_and_resumed_is_one_tree_in_one_trace(
    program: Program,
) -> None:
    async with ModelServer(SwarmModel()) as server, receiving() as receiver:
        killed = await _swarm(
            program, server, receiver, TASK, CODETETHER_FAILPOINT="model.responded:6"
        )
        assert killed.code != 0
        assert not receiver.named("invoke_workflow swarm")
        resumed = await _swarm(program, server, receiver, "--resume", "--json")
    assert resumed.code == 0, resumed.err
    (root,) = receiver.named("invoke_workflow swarm")
    assert int(root.trace, 16) == trace_id(resumed.json["swarm_id"])
    assert {span.trace for span in receiver.spans} == {root.trace}
    assert _is_one_tree(receiver.spans, root)
    assert {span.name for span in receiver.named("subtask ")} >= {
        f"subtask {name}" for name in ("alpha", "beta", "gamma", "delta")
    }


async def test_a_run_within_a_trace_goes_on_with_it(program: Program) -> None:
    async with ModelServer(SwarmModel()) as server, receiving() as receiver:
        ended = await _swarm(program, server, receiver, TASK, TRACEPARENT=OUTER)
    assert ended.code == 0, ended.err
    (root,) = receiver.named("invoke_workflow swarm")
    assert (root.trace, root.parent) == tuple(OUTER.split("-")[1:3])
    assert {span.trace for span in receiver.spans} == {root.trace}


async def test_commands_and_providers_are_told_the_span_that_they_are_called_from(
    program: Program,
) -> None:
    model = SwarmModel(steps={"alpha": [call("bash", command="echo in $TRACEPARENT"), say("so")]})
    async with ModelServer(model) as server, receiving() as receiver:
        ended = await _swarm(program, server, receiver, TASK, TRACEPARENT=OUTER)
        told = [request.headers["traceparent"] for request in server.requests]
        said = [x for r in server.requests for x in re.findall(r"in (00-[0-9a-f-]+)", str(r.body))]
    assert ended.code == 0, ended.err
    trace = OUTER.split("-")[1]
    chats = {f"00-{trace}-{span.id}-01" for span in receiver.named("chat m")}
    assert set(told) == chats
    (bash,) = receiver.named("execute_tool bash")
    assert set(said) == {f"00-{trace}-{bash.id}-01"}


async def test_who_wants_no_propagation_has_none(program: Program) -> None:
    model = SwarmModel(steps={"alpha": [call("bash", command="echo in $TRACEPARENT"), say("so")]})
    async with ModelServer(model) as server, receiving() as receiver:
        ended = await _swarm(program, server, receiver, TASK, OTEL_PROPAGATORS="none")
        assert not any("traceparent" in request.headers for request in server.requests)
        assert "in 00-" not in str([request.body for request in server.requests])
    assert ended.code == 0, ended.err
    assert receiver.named("execute_tool bash")


async def test_a_receiver_that_refuses_spoils_neither_the_swarm_nor_what_it_says(
    program: Program,
) -> None:
    async with ModelServer(SwarmModel()) as server, receiving() as receiver:
        receiver.answers = 400
        ended = await _swarm(program, server, receiver, TASK)
    assert ended.code == 0, ended.err
    assert "Traceback" not in ended.err
    assert "opentelemetry" not in ended.err


async def test_nobody_is_asked_where_no_receiver_is_named(program: Program) -> None:
    async with ModelServer(SwarmModel()) as server, receiving() as receiver:
        ended = await _swarm(program, server, receiver, TASK, OTEL_SDK_DISABLED="true")
    assert ended.code == 0, ended.err
    assert not receiver.bodies
