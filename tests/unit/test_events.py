import json

from codetether_ray.core.events import (
    AgentStarted,
    ModelResponded,
    Record,
    SubtaskChanged,
    ToolFinished,
    is_durable,
)
from codetether_ray.core.messages import Reasoning, ToolCall, ToolResult, assistant
from codetether_ray.core.models import ModelResponse, ToolSchema
from codetether_ray.core.spec import AgentSpec, Correlation, TurnResult
from codetether_ray.core.usage import Usage

_WHERE = Correlation(run_id="swm_0000000000_00000000", swarm_id="s", task_id="t")
_MESSAGE = assistant("hi", ToolCall(id="1", name="bash", arguments='{"a": 1}'))


def test_a_record_reads_back_as_it_was_written() -> None:
    spec = AgentSpec(
        path="main", kind="main", name="main", model="a/b", root="/x", correlation=_WHERE
    )
    response = ModelResponse(
        message=_MESSAGE, finish_reason="tool_calls", usage=Usage(prompt_tokens=3)
    )
    for event in (
        AgentStarted(
            spec=spec,
            system="s",
            tools=(ToolSchema(name="n", description="d", parameters={"type": "object"}),),
        ),
        ModelResponded(step=1, response=response, elapsed_ms=2),
        ToolFinished(
            step=1, result=ToolResult(call_id="1", name="bash", content="ok", is_error=True)
        ),
        SubtaskChanged(
            id="a", name="A", status="running", result=TurnResult(outcome="stuck", text="é")
        ),
    ):
        record = Record(
            correlation=_WHERE, agent="main", event=event, time=12.5, seq=3, agent_seq=1
        )
        assert Record.from_json(json.loads(json.dumps(record.to_json()))) == record
        assert is_durable(event)


def test_an_opaque_reasoning_block_is_kept_byte_for_byte() -> None:
    block = Reasoning(text="t", opaque='{"signature": "A==", "x":  1}', origin="anthropic/m")
    response = ModelResponse(message=assistant(), finish_reason="stop")
    event = ModelResponded(step=0, response=response, elapsed_ms=1)
    record = Record(correlation=_WHERE, agent="main", event=event, time=1.0)
    from dataclasses import replace

    event = replace(event, response=replace(response, message=replace(assistant(), parts=(block,))))
    again = Record.from_json(replace(record, event=event).to_json()).event
    assert isinstance(again, ModelResponded)
    assert again.response.message.parts == (block,)
