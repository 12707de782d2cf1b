"""Records of a small run, made by hand: hostile texts in every place that a page shows."""

from collections.abc import Iterator

from codetether_ray.core.events import (
    AgentStarted,
    Event,
    ModelFailed,
    ModelRequested,
    ModelResponded,
    PlanMade,
    Record,
    RunFinished,
    RunStarted,
    SubtaskChanged,
    SubtaskMerged,
    ToolFinished,
    ToolStarted,
    TurnFinished,
    TurnStarted,
)
from codetether_ray.core.messages import ToolCall, ToolResult, assistant, user
from codetether_ray.core.models import ModelResponse
from codetether_ray.core.spec import Correlation, TurnResult
from codetether_ray.core.usage import Usage
from codetether_ray.testing.fakes import make_spec

RUN = "swm_00mwsa0r8v_c4f37ad8"
HOSTILE = (
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "<!--<script>",
    "]]>&lt;b&gt;&amp;",
    "{{data}} {{script}}",
    "\u2028\u2029 line separators",
    "\u202eright to left\u202c",
    "\x1b[31mred\x07\x00",
    "${document.title='owned'}`;document.title='owned'//",
    "javascript:document.title='owned'",
)


def records(events: list[tuple[str, float, Event]]) -> Iterator[Record]:
    """Number (agent, time, event)s as a journal does."""
    counts: dict[str, int] = {}
    for seq, (agent, moment, event) in enumerate(events):
        count = counts.get(agent, 0)
        counts[agent] = count + 1
        yield Record(
            correlation=Correlation(run_id=RUN),
            agent=agent,
            event=event,
            time=1_795_378_500.0 + moment,
            seq=seq,
            agent_seq=count,
        )


def answer(text: str, *calls: ToolCall, cost: float | None = 0.25) -> ModelResponse:
    """An answer that took 100 tokens in and 10 out."""
    return ModelResponse(
        message=assistant(text, *calls),
        finish_reason="tool_calls" if calls else "stop",
        usage=Usage(prompt_tokens=100, completion_tokens=10, cache_read_tokens=40),
        cost_usd=cost,
    )


def hostile_run(text: str) -> list[Record]:
    """A run with `text` wherever somebody else's words can be."""
    agent = f"sub/{text}"
    call = ToolCall(id="c1", name=text, arguments=f'{{"command": "{text}')
    spec = make_spec(agent, name=text)
    result = TurnResult(outcome="failed", text=text, error=text)
    result_of_call = ToolResult(call_id="c1", name=text, content=text, is_error=True)
    return list(
        records(
            [
                ("run", 0.0, RunStarted(kind="swarm", title=text, directory=text, model=text)),
                ("run", 0.1, PlanMade(subtasks=({"name": text, "instruction": text},))),
                ("run", 0.2, SubtaskChanged(id="a", name=text, status="queued", agent=agent)),
                ("run", 0.4, SubtaskChanged(id="a", name=text, status="running", agent=agent)),
                (agent, 0.5, AgentStarted(spec=spec, system=text)),
                (agent, 0.5, TurnStarted(turn=0, message=user(text))),
                (agent, 0.5, ModelRequested(step=0, attempt=0, model=text, digest="", messages=1)),
                (agent, 1.0, ModelResponded(step=0, response=answer(text, call), elapsed_ms=500)),
                (agent, 1.0, ToolStarted(step=0, call=call, effect="shell")),
                (agent, 2.0, ToolFinished(step=0, result=result_of_call, elapsed_ms=1000)),
                (agent, 2.0, ModelRequested(step=1, attempt=0, model=text, digest="", messages=3)),
                (agent, 2.5, ModelFailed(step=1, error_kind=text, error=text)),
                (agent, 2.5, TurnFinished(turn=0, result=result)),
                ("run", 2.6, SubtaskMerged(id="a", name=text, status="unmerged", detail=text)),
                ("run", 3.0, RunFinished(outcome="failed", summary={"error": text})),
            ]
        )
    )
