"""The swarm's progress as pure state."""

import pytest

from codetether_ray.cli.progress import SwarmView
from codetether_ray.core import events as e
from codetether_ray.core.events import Event, Record
from codetether_ray.core.messages import ToolCall, assistant
from codetether_ray.core.models import ModelResponse
from codetether_ray.core.spec import Correlation, TurnResult
from codetether_ray.core.usage import Usage


class Scene:
    """Feeds a view with numbered records, one second apart."""

    def __init__(self) -> None:
        self.view = SwarmView("swm_x")
        self.now = 100.0
        self.seq = 0
        self.said: list[str] = []

    def durable(self, agent: str, event: Event) -> Record:
        record = self.record(agent, event, self.seq)
        self.seq += 1
        self.said += self.view.apply(record)
        return record

    def live(self, agent: str, event: Event) -> None:
        self.said += self.view.apply(self.record(agent, event, -1))

    def record(self, agent: str, event: Event, seq: int) -> Record:
        self.now += 1
        correlation = Correlation(run_id="swm_x", swarm_id="swm_x")
        return Record(correlation=correlation, agent=agent, event=event, time=self.now, seq=seq)

    def plan(self, *names: str) -> None:
        self.durable("", e.SwarmStarted(task="t", strategy="auto"))
        self.durable("", e.PlanMade(subtasks=tuple({"name": n} for n in names)))
        for name in names:
            self.change(name, "pending")

    def change(self, name: str, status: e.SubtaskStatus, detail: str = "") -> None:
        event = e.SubtaskChanged(
            id=name, name=name, status=status, agent=f"sub/{name}", detail=detail
        )
        self.durable("", event)

    def answer(self, name: str, *calls: ToolCall, cost: float | None = 0.5) -> Record:
        usage = Usage(prompt_tokens=1000, completion_tokens=200)
        response = ModelResponse(
            message=assistant("ok", *calls), finish_reason="stop", usage=usage, cost_usd=cost
        )
        event = e.ModelResponded(step=0, response=response, elapsed_ms=1)
        return self.durable(f"sub/{name}", event)


def test_the_headline_counts_subtasks_tokens_cost_and_time() -> None:
    scene = Scene()
    scene.plan("a", "b")
    scene.answer("a")
    scene.change("a", "completed")
    assert scene.view.headline(scene.now) == (
        "swarm swm_x · working · 1/2 subtasks done · 1.2k tokens · $0.5000 · 5.0 s"
    )


def test_a_record_that_comes_twice_is_counted_once() -> None:
    scene = Scene()
    scene.plan("a")
    record = scene.answer("a")
    assert scene.view.apply(record) == ()
    assert scene.view.usage.total_tokens == 1200


def test_an_agents_line_names_its_tool_and_the_age_of_its_last_event() -> None:
    scene = Scene()
    scene.plan("a")
    scene.change("a", "running")
    scene.answer("a", ToolCall(id="1", name="bash", arguments='{"command": "pytest -q"}'))
    line = scene.view.lines(scene.now + 3)[1]
    assert "bash pytest -q" in line
    assert "3.0 s ago" in line
    assert "1.2k tokens" in line


def test_an_agent_that_gives_no_sign_is_marked_silent() -> None:
    scene = Scene()
    scene.plan("a")
    scene.change("a", "running")
    assert "silent for 2 min 00 s" in scene.view.lines(scene.now + 120)[1]


@pytest.mark.parametrize("width", [40, 59, 60, 80, 89, 90, 100])
@pytest.mark.parametrize("silent_s", [1, 3600])
def test_no_agents_line_is_wider_than_the_terminal(width: int, silent_s: int) -> None:
    scene = Scene()
    scene.plan("a name that is longer than its column is")
    scene.change("a name that is longer than its column is", "running", "x" * 200)
    scene.answer("a name that is longer than its column is")
    line = scene.view.lines(scene.now + silent_s, width=width)[1]
    assert len(line) <= width
    assert "1.2k" in line


def test_a_retry_shows_its_countdown_and_reason() -> None:
    scene = Scene()
    scene.plan("a")
    scene.live("sub/a", e.Retrying(step=0, attempt=1, next_in_s=30, reason="busy", status=429))
    assert scene.said[-1] == "a: retry in 30 s: busy"
    assert "retry in 30 s: busy" in scene.view.lines(scene.now)[1]
    assert "retry in 12 s: busy" in scene.view.lines(scene.now + 18)[1]
    scene.live("sub/a", e.TextStreamed(step=0, text="x"))
    assert "retry" not in scene.view.lines(scene.now)[1]


def test_live_events_say_nothing_in_the_log_but_keep_the_agent_awake() -> None:
    scene = Scene()
    scene.plan("a")
    scene.change("a", "running")
    before = len(scene.said)
    scene.live("sub/a", e.TextStreamed(step=0, text="x"))
    assert len(scene.said) == before
    assert "answering" in scene.view.lines(scene.now)[1]


def test_a_call_of_unknown_price_makes_the_total_unknown() -> None:
    scene = Scene()
    scene.plan("a", "b")
    scene.answer("a")
    scene.answer("b", cost=None)
    assert scene.view.cost_usd is None
    assert "$" not in scene.view.headline(scene.now)


def test_where_not_all_lines_fit_the_busy_agents_come_first() -> None:
    scene = Scene()
    names = [f"t{i}" for i in range(10)]
    scene.plan(*names)
    for name in names[:5]:
        scene.change(name, "completed")
    lines = scene.view.lines(scene.now, height=7)
    assert len(lines) == 7
    assert [line.split()[0] for line in lines[1:6]] == names[5:]
    assert lines[-1] == "… and 5 more"


def test_the_log_tells_failures_merges_restarts_and_warnings() -> None:
    scene = Scene()
    scene.plan("a")
    scene.change("a", "failed", "it was\nimpossible")
    scene.durable("sub/a", e.AgentRestarted(attempt=1, reason="killed"))
    scene.durable("", e.SubtaskMerged(id="a", name="a", status="unmerged", detail="x.py"))
    scene.live("", e.Warned(text="careful"))
    scene.durable("", e.SwarmFinished(outcome="partial", result={}))
    assert scene.said[-5:] == [
        "a: failed: it was impossible",
        "a: restarted (attempt 1): killed",
        "a: not merged; its branch is kept (x.py)",
        "warning: careful",
        "swarm partial",
    ]


def test_agents_that_are_no_subtasks_have_lines_too() -> None:
    scene = Scene()
    result = TurnResult(outcome="completed")
    scene.durable("planner", e.ModelRequested(step=0, attempt=0, model="m", digest="", messages=1))
    assert "waiting for the model" in scene.view.lines(scene.now)[1]
    scene.durable("planner", e.TurnFinished(turn=0, result=result))
    assert scene.view.agents["planner"].is_over
