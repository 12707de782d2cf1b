"""What becomes of a task: the pure rules, and who may have it."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from codetether_ray.core.errors import WorkTakenError
from codetether_ray.core.work import Ended, Worker, WorkTask, WorkWish
from codetether_ray.worker import rules
from codetether_ray.worker.backoff import Backoff
from codetether_ray.worker.routing import codebase_of, fits, model_ref

TASK = WorkTask(id="t", owner="o", tenant="", wish=WorkWish())
ONE, TWO = Worker(id="one", tenant=""), Worker(id="two", tenant="")
DONE = Ended(status="completed", result="r")


@given(st.lists(st.sampled_from(["claim 1", "claim 2", "expire", "cancel", "hand back"])))
def test_an_old_lease_never_ends_a_task(steps: list[str]) -> None:
    task, now, old = TASK, 0.0, []
    for step in steps:
        now += 1
        try:
            match step.split():
                case ["claim", "1"]:
                    task = rules.claimed(task, ONE, now, 10)
                case ["claim", "2"]:
                    task = rules.claimed(task, TWO, now, 10)
                case ["expire"] if task.status == "running":
                    old.append((task.worker_id, task.lease))
                    task = rules.expired(task, now)
                case ["cancel"]:
                    task = rules.cancelled(task, now)
                case ["hand", "back"] if task.status == "running":
                    old.append((task.worker_id, task.lease))
                    ended = Ended(status="released")
                    task = rules.released(task, task.worker_id, task.lease, ended, now)
        except WorkTakenError:
            continue
    for worker, lease in old:
        if (worker, lease) != (task.worker_id, task.lease) or task.status != "running":
            with pytest.raises(WorkTakenError):
                rules.released(task, worker, lease, DONE, now)


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_what_is_over_cannot_be_claimed(status: str) -> None:
    held = rules.claimed(TASK, ONE, 0, 10)
    over = rules.released(held, "one", 1, Ended(status=status), 1)  # type: ignore[arg-type]
    with pytest.raises(WorkTakenError, match=f"is over: {status}"):
        rules.claimed(over, TWO, 2, 10)


def test_a_handed_back_task_that_was_to_be_cancelled_is_cancelled() -> None:
    held = rules.cancelled(rules.claimed(TASK, ONE, 0, 10), 1)
    left = rules.released(held, "one", 1, Ended(status="released"), 2)
    assert (left.status, left.is_cancelling) == ("cancelled", False)


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("", "/src/api"),
        ("/src/web", "/src/web"),
        ("web", "/src/web"),
        ("src", None),
        ("/src", None),
        ("../src/web", None),
        ("/src/web/", None),
        ("eb", None),
    ],
)
def test_only_registered_codebases_are_ever_meant(named: str, found: str | None) -> None:
    assert codebase_of(("/src/api", "/src/web"), named) == found


def test_a_worker_that_tells_of_no_models_gets_no_task_that_needs_one() -> None:
    assert not fits(ONE, WorkWish(model="x/y"))
    assert fits(Worker(id="w", tenant="", models=("x/y",)), WorkWish(model="x/y"))


def test_a_model_may_be_written_with_a_colon() -> None:
    assert [model_ref(t) for t in ("x:y", "x/y:z", "y", "")] == ["x/y", "x/y:z", "y", ""]


def test_waits_grow_to_their_bound_and_differ_by_chance() -> None:
    low, high = Backoff(1, 8, lambda: 0.0), Backoff(1, 8, lambda: 1.0)
    assert [low.next_s() for _ in range(5)] == [0.5, 1, 2, 4, 4]
    assert [high.next_s() for _ in range(5)] == [1, 2, 4, 8, 8]
    high.reset()
    assert high.next_s() == 1
