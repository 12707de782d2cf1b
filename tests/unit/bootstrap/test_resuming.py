from dataclasses import replace
from pathlib import Path

import pytest

from codetether_ray.bootstrap.resuming import (
    choose,
    is_resumable,
    must_have_its_directory,
    resume_command,
    unfinished_here,
    worked_s,
)
from codetether_ray.core.errors import UsageError
from codetether_ray.core.events import Record, RunStarted, ToolFinished
from codetether_ray.core.messages import ToolResult
from codetether_ray.core.spec import Correlation
from codetether_ray.journal.listing import RunSummary
from codetether_ray.journal.lock import Holder

HERE = Path("/projects/here")
CUT = RunSummary(
    id="ses_0000000000_00000001",
    kind="session",
    title="the cut one",
    directory=str(HERE),
    state="interrupted",
)
DONE = replace(CUT, id="ses_0000000000_00000002", state="finished", outcome="completed")
RUNNING = replace(
    CUT,
    id="ses_0000000000_00000003",
    state="running",
    holder=Holder(pid=7, host="box", since=0.0),
)
SWARM = replace(CUT, id="swm_0000000000_00000004", kind="swarm")
ELSEWHERE = replace(CUT, id="ses_0000000000_00000005", directory="/projects/there")


def test_the_newest_that_did_not_finish_is_taken() -> None:
    older = replace(CUT, id="ses_0000000000_00000000")
    choice = choose([ELSEWHERE, SWARM, CUT, older], HERE, "session")
    assert (choice.run, choice.passed_over) == (CUT, None)
    assert choose([ELSEWHERE, CUT, SWARM], HERE, "swarm").run == SWARM


def test_a_newer_one_that_finished_is_named_as_passed_over() -> None:
    choice = choose([DONE, CUT], HERE, "session")
    assert (choice.run, choice.passed_over) == (CUT, DONE)
    said = list(choice.sentences())
    assert DONE.id in said[0]
    assert "completed" in said[0]
    assert said[1] == f'run: {CUT.id} goes on ("the cut one")'


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ([], "no session has been in this directory"),
        ([ELSEWHERE, SWARM], "no session has been in this directory"),
        ([DONE], f"{DONE.id}, the newest session here, has finished (completed); say more to it"),
        ([RUNNING], f"{RUNNING.id} is running (process 7 on box since"),
        ([replace(CUT, state="damaged", detail="byte 7 is bad")], "byte 7 is bad"),
    ],
)
def test_where_nothing_can_be_resumed_it_is_said_why(runs: list[RunSummary], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        choose(runs, HERE, "session")
    assert words in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (CUT, True),
        (DONE, False),
        (RUNNING, False),
        (replace(RUNNING, is_silent=True), True),
        (SWARM, True),
        (replace(CUT, kind=""), False),
        (replace(CUT, state="damaged"), False),
        *(
            (replace(DONE, outcome=outcome), True)
            for outcome in ("waiting", "budget", "cancelled", "timeout", "failed", "max_steps")
        ),
        (replace(DONE, outcome="needs_decision"), False),
        (replace(SWARM, state="finished", outcome="success"), False),
        (replace(SWARM, state="finished", outcome="partial"), True),
    ],
)
def test_a_run_can_be_resumed_while_something_is_left_to_do(
    run: RunSummary, expected: bool
) -> None:
    assert is_resumable(run) is expected


def test_only_what_was_cut_off_is_worth_a_reminder() -> None:
    stopped = replace(DONE, outcome="cancelled")
    assert unfinished_here([stopped, RUNNING, ELSEWHERE], HERE) is None
    assert unfinished_here([stopped, SWARM, CUT], HERE) == SWARM


def test_the_command_is_exact() -> None:
    assert resume_command("swarm", SWARM.id) == f"codetether swarm --resume {SWARM.id}"
    assert resume_command("session", CUT.id, "--max-steps", "100") == (
        f"codetether run --resume {CUT.id} --max-steps 100"
    )


def test_what_lies_between_two_tries_of_a_run_is_no_work_on_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    began = RunStarted(kind="swarm", title="", directory="/")
    done = ToolFinished(step=0, result=ToolResult(call_id="1", name="bash", content=""))
    who = Correlation(run_id="swm_1")
    told = [
        Record(correlation=who, agent="run", event=event, time=at)
        for at, event in ((100.0, began), (107.0, done), (500.0, began), (503.0, done))
    ]
    monkeypatch.setattr(
        "codetether_ray.bootstrap.resuming.read_records", lambda *_, **__: iter(told)
    )
    assert worked_s(HERE, "swm_1") == 10.0
    told.append(Record(correlation=who, agent="run", event=began, time=900.0))
    assert worked_s(HERE, "swm_1") == 10.0


def test_a_run_whose_directory_is_gone_is_not_gone_on_with(tmp_path: Path) -> None:
    must_have_its_directory(replace(CUT, directory=str(tmp_path)))
    with pytest.raises(UsageError, match="is not there any more; bring it back"):
        must_have_its_directory(replace(CUT, directory=str(tmp_path / "gone")))
