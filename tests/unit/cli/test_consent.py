"""Asking for a word on a plan."""

import io
import os
import pty
from collections.abc import Iterator

import pytest

from codetether_ray.cli.live import PlainProgress
from codetether_ray.cli.ralph_output import Amending
from codetether_ray.cli.swarm_consent import Consent, plan_lines
from codetether_ray.swarm.estimate import estimate
from codetether_ray.swarm.plan import Plan, Subtask

PLAN = Plan(
    subtasks=(
        Subtask(id="a", name="parse", instruction="write the parser"),
        Subtask(id="b", name="test", instruction="test it", dependencies=("a",), stage=1),
    ),
    warnings=("two touch x.py",),
)
COST = estimate(PLAN, max_steps=10)


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal() -> Iterator[tuple[int, io.TextIOWrapper]]:
    """What a person types into, and the terminal that is read from."""
    person, program = pty.openpty()
    with os.fdopen(program, "r+b", buffering=0) as raw:
        yield person, io.TextIOWrapper(raw)  # type: ignore[type-var]
    os.close(person)


def consent(stdin: object, screen: io.StringIO, *, is_given: bool = False) -> Consent:
    progress = PlainProgress(io.StringIO())
    return Consent(progress, is_given=is_given, stdin=stdin, stderr=screen)  # type: ignore[arg-type]


def test_the_plan_shows_order_warnings_and_the_estimate() -> None:
    assert plan_lines(PLAN, COST)[:4] == [
        "plan: 2 subtasks",
        "  1. parse: write the parser",
        "  2. test (after parse): test it",
        "  warning: two touch x.py",
    ]
    assert plan_lines(PLAN, COST)[-1].startswith("estimate: 2 agents, about ")


@pytest.mark.parametrize(("typed", "answer"), [(b"y\n", True), (b"Yes\n", True), (b"\n", False)])
async def test_a_person_decides(
    typed: bytes, answer: bool, terminal: tuple[int, io.TextIOWrapper]
) -> None:
    person, stdin = terminal
    asked = consent(stdin, Screen())
    os.write(person, typed)
    assert await asked.ask(PLAN, COST) is answer


async def test_where_nobody_can_be_asked_the_answer_is_no() -> None:
    screen = io.StringIO()
    asked = consent(io.StringIO("y\n"), screen)
    assert await asked.ask(PLAN, COST) is False
    assert "--yes" in screen.getvalue()


async def test_consent_given_beforehand_still_shows_the_plan() -> None:
    screen = io.StringIO()
    assert await consent(io.StringIO(), screen, is_given=True).ask(PLAN, COST)
    assert "1. parse" in screen.getvalue()


class Paused(PlainProgress):
    """Notes when the screen is left and taken again."""

    def __init__(self) -> None:
        super().__init__(io.StringIO())
        self.told: list[str] = []

    def pause(self) -> None:
        self.told.append("pause")

    def go_on(self) -> None:
        self.told.append("go on")

    def close(self) -> None:
        self.told.append("close")


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        (b"y\n", {"approved": True}),
        (b"\n", {"approved": False, "text": ""}),
        (b"it counts lines\n", {"approved": True, "text": "it counts lines"}),
    ],
)
async def test_a_criterion_is_amended_by_a_person_and_the_view_goes_on_afterwards(
    typed: bytes, answer: dict[str, object], terminal: tuple[int, io.TextIOWrapper]
) -> None:
    person, stdin = terminal
    progress = Paused()
    amending = Amending(progress, is_given=False, stdin=stdin, stderr=Screen())
    os.write(person, typed)
    proposal = {"story": "US-1", "title": "Counts", "criterion": 1}
    texts = {"old": "it counts words", "new": "it counts", "evidence": "no words there"}
    assert await amending.ask({**proposal, **texts}) == answer
    assert progress.told == ["pause", "go on"]
