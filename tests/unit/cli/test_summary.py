"""The closing summary of a swarm."""

from dataclasses import replace

from codetether_ray.cli.summary import summary
from codetether_ray.core.spec import TurnResult
from codetether_ray.core.usage import Usage
from codetether_ray.swarm.plan import Subtask
from codetether_ray.swarm.result import SubtaskResult, SwarmResult


def turn(outcome: str = "completed") -> TurnResult:
    usage = Usage(prompt_tokens=2000, completion_tokens=100)
    return TurnResult(
        outcome=outcome,  # type: ignore[arg-type]
        usage=usage,
        cost_usd=0.01,
        steps=3,
        tool_calls=5,
        elapsed_s=12.0,
    )


DONE = SubtaskResult(
    subtask=Subtask(id="parser", name="parser", instruction="x"),
    agent="sub/parser",
    status="completed",
    turn=turn(),
    branch="codetether/swm_1/parser",
    merge="merged",
    started_s=0.0,
    ended_s=12.0,
)
TORN = SubtaskResult(
    subtask=Subtask(id="lexer", name="lexer", instruction="x"),
    agent="sub/lexer",
    status="completed",
    turn=turn(),
    branch="codetether/swm_1/lexer",
    merge="unmerged",
    conflicts=("a.py", "b.py"),
    started_s=0.0,
    ended_s=12.0,
)
LOST = SubtaskResult(
    subtask=Subtask(id="docs", name="docs", instruction="x"),
    agent="sub/docs",
    status="blocked",
    error="parser failed",
)


def told(*subtasks: SubtaskResult, branch: str = "codetether/swm_1/main") -> str:
    result = SwarmResult(
        swarm_id="swm_1",
        outcome="partial",
        subtasks=subtasks,
        branch=branch,
        base="0123456789abcdef",
        diffstat=" a.py | 2 +-\n",
        usage=Usage(prompt_tokens=4000, completion_tokens=200),
        cost_usd=None,
        elapsed_s=14.0,
        notes=("2 files were left out",),
    )
    return "\n".join(summary(dict(result.to_json())))


def test_each_agent_has_a_row_with_steps_tools_tokens_cost_and_time() -> None:
    text = told(DONE)
    row = next(line for line in text.splitlines() if "parser" in line)
    assert row.split() == [
        *("parser", "completed", "3", "5", "2.1k", "$0.0100", "12", "s", "merged")
    ]


def test_what_was_not_merged_names_its_files_and_branch() -> None:
    text = told(DONE, TORN)
    assert "lexer: not merged (a.py, b.py); its work is on codetether/swm_1/lexer" in text


def test_what_a_subtask_says_of_its_failure_is_said_once() -> None:
    left = "not merged: conflicts in a.py; the work is on branch codetether/swm_1/lexer"
    text = told(DONE, replace(TORN, error=left))
    assert text.count("codetether/swm_1/lexer") == 1


def test_what_was_left_out_of_a_subtasks_commit_is_told() -> None:
    text = told(replace(DONE, notes=("big.iso is larger than 50 MB and was not committed",)))
    assert "parser: note: big.iso is larger than 50 MB and was not committed" in text


def test_what_never_ran_says_why() -> None:
    assert "docs: parser failed" in told(DONE, LOST)


def test_the_end_gives_totals_notes_and_the_commands_to_look_merge_and_clean_up() -> None:
    text = told(DONE)
    assert "total: 1 sub-agent · 4.0k in, 200 out · cost unknown · 14 s" in text
    assert "note: 2 files were left out" in text
    assert " a.py | 2 +-" in text
    assert "git diff 0123456789ab codetether/swm_1/main" in text
    assert "git merge codetether/swm_1/main" in text
    assert "codetether cleanup" in text


def test_outside_git_no_branch_is_promised() -> None:
    assert "git merge" not in told(DONE, branch="")


def test_what_was_delivered_is_not_to_be_merged_again() -> None:
    result = SwarmResult(
        swarm_id="swm_1",
        outcome="success",
        subtasks=(DONE,),
        branch="codetether/swm_1/main",
        base="0" * 40,
        diffstat=" a.py | 1 +",
    ).to_json()
    assert "  merge:    git merge codetether/swm_1/main" in summary(result)
    delivered = "\n".join(summary({**result, "delivered": "main has one new commit"}))
    assert "main has one new commit" in delivered
    assert "git merge" not in delivered
