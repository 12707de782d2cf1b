"""What is shown of a Ralph run while it works, and of its end."""

from codetether_ray.cli.ralph_output import question_lines, summary, table
from codetether_ray.cli.ralph_view import RalphView
from codetether_ray.core import events as e
from codetether_ray.core.events import Event, Record
from codetether_ray.core.spec import Correlation
from codetether_ray.ralph.coordinator import RalphCoordinator
from tests.unit.ralph.world import RUN, story, world


def record(event: Event, seq: int, agent: str = "run") -> Record:
    return Record(
        correlation=Correlation(run_id=RUN), agent=agent, event=event, time=100.0 + seq, seq=seq
    )


async def lines_of(coordinator: RalphCoordinator, events: list[Event]) -> tuple[RalphView, str]:
    await coordinator.run()
    view = RalphView()
    said = [line for n, event in enumerate(events) for line in view.apply(record(event, n))]
    return view, "\n".join(said)


async def test_attempts_gates_and_ends_are_lines_and_the_headline_counts() -> None:
    made = world(story("A"), story("B"))
    made.runtime.behaviours["story/b/1"] = "STORY_BLOCKED: there is no key"
    view, said = await lines_of(made.coordinator(), made.publisher.recorded)
    assert "f: 0 of 2 stories passed" in said
    assert "A: attempt 1: do A" in said
    assert "A: test passed" in said
    assert "A: passed" in said
    assert "B: blocked: there is no key" in said
    assert "ralph blocked" in said
    assert "1/2 stories passed" in view.headline(200.0)


def test_a_gate_that_runs_shows_its_last_line() -> None:
    view = RalphView()
    view.apply(record(e.ToolOutput(call_id="gate:A:test", text="$ make\nfirst\nlast\n"), -1))
    assert any("A test" in line and "last" in line for line in view.lines(101.0))
    gone = e.GateRun(story="A", attempt=1, gate="test", command="make", commit="c", exit_code=0)
    view.apply(record(gone, 1))
    assert not any("A test" in line for line in view.lines(101.0))


async def test_the_table_has_a_line_per_story_and_the_summary_what_to_type() -> None:
    made = world(story("A"), story("B"))
    made.runtime.behaviours["story/b/1"] = "STORY_BLOCKED: there is no key"
    result = (await made.coordinator().run()).to_json()
    shown = "\n".join(table(result))
    assert "1 of 2 stories passed on ralph/f (blocked)" in shown
    assert "blocked (told)" in shown
    result["resume"] = "codetether ralph run --resume x"
    told = "\n".join(summary(result))
    assert "go on: codetether ralph run --resume x" in told
    assert "B: there is no key" in told
    assert "total: 2 attempts" in told


def test_a_proposal_is_shown_with_its_evidence() -> None:
    question = {"story": "A", "title": "t", "criterion": 2, "old": "o", "new": "", "evidence": "e"}
    shown = "\n".join(question_lines(question))
    assert "criterion 2" in shown
    assert "(none: type one)" in shown
