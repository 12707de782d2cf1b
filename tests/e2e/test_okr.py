"""`codetether okr`: OKRs written, decided on, pursued and reported, as a user types it."""

import json
from pathlib import Path
from typing import Any

import pytest

from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply, call, say
from tests.e2e.program import Ended, Program
from tests.e2e.relay_scene import TEAM, RelayModel
from tests.e2e.swarm_scene import git
from tests.e2e.terminal import CTRL_D, terminal
from tests.unit.okr.okrs import OBJECTIVE

BENCH = """\
import sys
sys.path[:0] = ["."]
from app import LATENCIES
values = sorted(LATENCIES)
print("warm: p95=1 ms (not counted)")
print(f"p95={values[int(len(values) * 0.95) - 1]} ms")
"""


@pytest.fixture
def program(program: Program) -> Program:
    (program.project / "scripts").mkdir()
    (program.project / "scripts" / "bench.py").write_text(BENCH)
    (program.project / "app.py").write_text("LATENCIES = [300] * 20\n")
    (program.project / "readme.md").write_text("# search\n")
    git(program.project, "init", "--quiet", "--initial-branch=main")
    git(program.project, "add", "--all")
    git(program.project, "commit", "--quiet", "--message=first")
    return program


async def created(program: Program, text: str = OBJECTIVE) -> dict[str, Any]:
    ended = await program.run("okr", "create", "--from", "-", "--json", stdin=text)
    assert ended.code == 0, ended.err
    made: dict[str, Any] = ended.json
    return made


async def okr(program: Program, *arguments: str, **env: str) -> Ended:
    return await program.run("okr", *arguments, **env)


class Speeding(RelayModel):
    """Members who make `app.py` faster turn by turn; the second also rewrites the benchmark."""

    values = (200, 150, 90)

    def __call__(self, request: ModelCall) -> Reply:
        name, turn, step = self.who(request)
        if name not in self.team:
            return super().__call__(request)
        self.asked.append((name, turn, step))
        number = turn * len(self.team) + list(self.team).index(name)
        if step == 0:
            value = self.values[min(number, len(self.values) - 1)]
            return call("write_file", path="app.py", content=f"LATENCIES = [{value}] * 20\n")
        if step == 1 and number == 1:
            return call("write_file", path="scripts/bench.py", content='print("p95=1 ms")\n')
        return say(f"{name} did turn {turn}\nSTATUS: open")


async def test_progress_is_what_the_benchmark_printed_and_not_what_an_agent_made_of_it(
    program: Program,
) -> None:
    made = await created(program)
    assert (await okr(program, "approve", "--id", made["run"]["id"], "--yes")).code == 0
    async with ModelServer(Speeding()) as server:
        ended = await okr(
            program,
            "resume",
            "--id",
            made["id"],
            "--json",
            "--model",
            "local/m",
            CODETETHER_LOCAL_BASE_URL=server.url,
        )
    assert ended.code == 0, ended.err
    assert ended.json["outcome"] == "all_met"
    report = (await okr(program, "report", "--id", made["run"]["id"], "--json")).json
    readings = report["readings"]
    assert [one["value"] for one in readings] == [300, 200, 150, 90]
    assert [one["evidence"][-1].splitlines()[-1] for one in readings] == [
        "p95=300 ms",
        "p95=200 ms",
        "p95=150 ms",
        "p95=90 ms",
    ]
    assert all(one["restored"] == ["scripts/bench.py"] for one in readings)
    assert report["okr"]["status"] == "completed"
    assert report["run"]["approval"]["decision"] == "approved"
    (outcome,) = report["run"]["outcomes"]
    assert (outcome["value"], outcome["outcome_type"]) == (90, "metric_achievement")
    assert (await okr(program, "resume", "--id", made["id"])).code == 1
    page = program.home / "report.html"
    assert (await okr(program, "report", "--id", made["id"], "--html", str(page))).code == 0
    assert page.read_text().count("<circle") == 4
    listed = (await okr(program, "list", "--status", "completed", "--json")).json
    assert [one["progress"] for one in listed] == [1]


async def test_a_rubric_counts_what_the_judge_quotes_from_the_files_and_nothing_else(
    program: Program,
) -> None:
    rubric = """\
objective: Search is explained
key result: the readme says how
  measure: rubric
  criterion: it says how to search
  criterion: it says what it costs
"""
    made = await created(program, rubric)
    await okr(program, "approve", "--id", made["id"], "--yes")
    relay = RelayModel(
        says={
            (name, turn): (
                call(
                    "write_file", path="readme.md", content="# search\nUse `find WORD` to search.\n"
                ),
                say("done\nSTATUS: open"),
            )
            for name in TEAM
            for turn in range(1)
        }
    )

    def model(request: ModelCall) -> Reply:
        if "You judge whether work meets criteria" not in request.system:
            return relay(request)
        quote = {"met": True, "file": "readme.md", "reason": "it says so"}
        both = [
            {"number": 1, "quote": "Use `find WORD` to search.", **quote},
            {"number": 2, "quote": "A search costs nothing at all.", **quote},
        ]
        return say(json.dumps({"criteria": both}))

    async with ModelServer(model) as server:
        ended = await okr(
            program, "resume", "--id", made["id"], "--json", "--rounds", "1", "--model", "local/m",
            CODETETHER_LOCAL_BASE_URL=server.url,
        )  # fmt: skip
    assert (ended.code, ended.json["outcome"]) == (1, "max_rounds"), ended.err
    report = (await okr(program, "report", "--id", made["id"], "--json")).json
    readings = report["readings"][made["run"]["id"]]
    assert [one["value"] for one in readings] == [0, 1, 1]
    assert "not met: it says what it costs" in readings[-1]["evidence"][1]
    assert report["total_progress"] == 50


# -- at a terminal --------------------------------------------------------------------------------


async def test_at_a_terminal_a_draft_is_shown_edited_and_approved(
    program: Program, tmp_path: Path
) -> None:
    made = await created(program)
    editor = tmp_path / "editor"
    editor.write_text(
        '#!/bin/sh\nsed -i "s/target: .*/target: $(cat ' + f"{tmp_path}/next" + ')/" "$1"\n'
    )
    editor.chmod(0o755)
    (tmp_path / "next").write_text("soon")
    command = ("okr", "approve", "--id", made["run"]["id"])
    async with terminal(program, *command, EDITOR=str(editor)) as shown:
        await shown.sees("p95 below 100 ms")
        await shown.sees("[e]dit?")
        shown.press("e\r")
        await shown.sees("'soon' is no number")
        (tmp_path / "next").write_text("80")
        await shown.sees("Edit it again?")
        shown.press("\r")
        await shown.sees("target ≤ 80 ms")
        await shown.sees("[e]dit?")
        shown.press("a\r")
        assert await shown.process.wait() == 0
    status = (await okr(program, "status", "--id", made["id"], "--json")).json
    assert status["runs"][0]["status"] == "approved"
    assert status["okr"]["key_results"][0]["target_value"] == 80


async def test_at_a_terminal_a_denial_exits_with_1_and_the_end_of_input_with_3(
    program: Program,
) -> None:
    made = await created(program)
    command = ("okr", "approve", "--id", made["run"]["id"])
    async with terminal(program, *command) as shown:
        await shown.sees("[e]dit?")
        shown.press(CTRL_D)
        assert await shown.process.wait() == 3
    async with terminal(program, *command) as shown:
        await shown.sees("[e]dit?")
        shown.press("d\r")
        await shown.sees("what instead?")
        shown.press("too vague\r")
        assert await shown.process.wait() == 1
    run = (await okr(program, "runs", "--json")).json["runs"][0]
    assert (run["status"], run["approval"]["reason"]) == ("denied", "too vague")


async def test_at_a_terminal_an_okr_is_made_by_questions(program: Program) -> None:
    async with terminal(program, "okr", "create") as shown:
        for question, answer in (
            ("Objective", "Search is fast"),
            ("What is it about", ""),
            ("Key result", "p95"),
            ("Measured by", ""),
            ("Which shell command", "python3 scripts/bench.py"),
            ("Its value", "regex p95=(.*)ms"),
            ("Files that measure", ""),
            ("Better is", "lower"),
            ("Target", "100"),
            ("Unit", "ms"),
            ("Another key result?", ""),
        ):
            await shown.sees(question)
            shown.press(f"{answer}\r")
        assert await shown.process.wait() == 0
    (made,) = (await okr(program, "list", "--json")).json
    (key_result,) = made["key_results"]
    assert (key_result["target_value"], key_result["direction"]) == (100, "lower")
    assert key_result["measure"]["pattern"] == "p95=(.*)ms"
