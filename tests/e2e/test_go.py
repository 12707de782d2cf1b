"""`codetether run "/go …"`: an objective is drafted, decided on, pursued and measured."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codetether_ray.bootstrap.okr_store import open_okrs
from codetether_ray.bootstrap.truth.place import truth_here
from codetether_ray.core.okrs import Okr, OkrRun
from codetether_ray.testing.model_reply import Fault
from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply
from tests.e2e.program import Program
from tests.e2e.relay_scene import OKR, TASK, RelayModel, run
from tests.e2e.swarm_scene import git, make_repository, records

GO = f"/go 2 {TASK}"


@pytest.fixture
def program(program: Program) -> Program:
    make_repository(program.project)
    return program


async def stored(program: Program, run_id: str) -> tuple[Okr, OkrRun]:
    okrs = open_okrs(truth_here(program.data))
    found = await okrs.get_run(run_id)
    return await okrs.get(found.okr_id), found


async def test_approved_beforehand_it_ends_when_all_key_results_are_met(program: Program) -> None:
    model = RelayModel()
    async with ModelServer(model) as server:
        ended = await run(program, server, GO, "--yes", "--format", "json")
        assert not server.refused
    assert ended.code == 0, ended.err
    result = ended.json
    assert (result["outcome"], result["turns"]) == ("all_met", 3)
    files, written = result["key_results"]
    assert [r["value"] for r in files["readings"]] == [0.0, 1.0, 2.0, 3.0]
    assert [r["turn"] for r in files["readings"]] == [0, 1, 2, 3]
    assert [r["value"] for r in written["readings"]] == [0.0, 1.0, 1.0, 1.0]
    assert (files["is_met"], files["progress"], files["target"]) == (True, 1.0, 3.0)
    okr, kept = await stored(program, result["okr_run_id"])
    assert (okr.status, kept.status, kept.outcome) == ("completed", "completed", "all_met")
    assert kept.approval is not None
    assert kept.approval.approver == "--yes"
    assert kept.relay_id == result["relay_id"]
    assert [kr.current_value for kr in okr.key_results] == [3.0, 1.0]
    body = git(program.project, "log", "-1", "--format=%(trailers)", result["branch"])
    assert f"Okr-Id: {okr.id}" in body
    assert f"Okr-Run-Id: {kept.id}" in body


async def test_what_is_met_can_be_merged_later_and_nothing_is_measured_anew(
    program: Program,
) -> None:
    git(program.project, "add", "--all")
    git(program.project, "commit", "--message=all")
    model = RelayModel()
    async with ModelServer(model) as server:
        ended = await run(program, server, GO, "--yes", "--format", "json")
        asked = len(model.asked)
        relay_id = ended.json["relay_id"]
        again = await run(program, server, "--resume", relay_id, "--merge", "--format", "json")
    assert (again.code, again.json["outcome"], len(model.asked)) == (0, "all_met", asked), again.err
    assert (program.project / "turn-3.out").exists()
    okr, kept = await stored(program, ended.json["okr_run_id"])
    assert (okr.status, kept.status) == ("completed", "completed")


async def test_further_rounds_meet_what_the_first_ones_did_not(program: Program) -> None:
    model = RelayModel()
    async with ModelServer(model) as server:
        ended = await run(program, server, GO, "--yes", "--rounds", "1", "--format", "json")
        assert (ended.code, ended.json["outcome"]) == (1, "max_rounds")
        more = ("--resume", ended.json["relay_id"], "--rounds", "2", "--format", "json")
        again = await run(program, server, *more)
    assert (again.code, again.json["outcome"], again.json["turns"]) == (0, "all_met", 3), again.err
    assert model.twice == []
    okr, kept = await stored(program, again.json["okr_run_id"])
    assert (okr.status, kept.status, kept.outcome) == ("completed", "completed", "all_met")
    assert {kr.status for kr in okr.key_results} == {"completed"}


async def test_all_is_met_though_it_could_not_be_merged_and_a_resume_merges_it(
    program: Program,
) -> None:
    git(program.project, "add", "--all")
    git(program.project, "commit", "--message=all")
    team = RelayModel()

    def model(request: ModelCall) -> Reply:
        if team.who(request) == ("auto-ann", 1, 0):
            git(program.project, "checkout", "--quiet", "-b", "other")
        return team(request)

    async with ModelServer(model) as server:
        ended = await run(program, server, GO, "--yes", "--merge", "--format", "json")
        git(program.project, "checkout", "--quiet", "main")
        again = await run(program, server, *ended.json["resume"].split()[2:], "--format", "json")
    assert (ended.code, ended.json["outcome"]) == (1, "all_met")
    assert ended.json["error"].startswith("not delivered: ")
    assert "delivered" not in ended.json
    _, kept = await stored(program, ended.json["okr_run_id"])
    assert (kept.status, kept.outcome) == ("completed", "all_met")
    assert (again.code, again.json["outcome"]) == (0, "all_met"), again.err
    assert (program.project / "turn-3.out").exists()


async def test_every_record_and_every_line_of_the_audit_log_carries_the_ids_of_the_objective(
    program: Program,
) -> None:
    async with ModelServer(RelayModel()) as server:
        ended = await run(program, server, GO, "--yes", "--format", "json")
    result = ended.json
    ids = {
        (r.correlation.okr_id, r.correlation.okr_run_id, r.correlation.relay_id)
        for r in records(program, result["relay_id"])
    }
    assert ids == {(result["okr_id"], result["okr_run_id"], result["relay_id"])}
    listed = await program.run("audit", "query", "--json")
    goals = {(line["okr_id"], line["okr_run_id"]) for line in listed.lines}
    assert goals == {(result["okr_id"], result["okr_run_id"])}
    last = [line for line in listed.lines if line["action"] == "relay.run"][-1]
    assert (last["outcome"], last["detail"]["okr_id"]) == ("success", result["okr_id"])


async def test_a_spent_budget_stops_it_and_a_higher_one_goes_on(program: Program) -> None:
    model = RelayModel()
    async with ModelServer(model) as server:
        ended = await run(program, server, GO, "--yes", "--format", "json", "--max-tokens", "16000")
        result = ended.json
        assert (ended.code, result["outcome"], result["turns"]) == (1, "budget", 2)
        assert (await stored(program, result["okr_run_id"]))[1].status == "paused"
        more = ("--resume", result["relay_id"], "--max-tokens", "90000", "--format", "json")
        again = await run(program, server, *more)
    assert (again.code, again.json["outcome"], again.json["turns"]) == (0, "all_met", 3)
    assert model.twice == []


async def test_outside_git_it_is_measured_all_the_same_and_gives_a_patch(
    program: Program, tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "a.txt").write_text("a\n")
    async with ModelServer(RelayModel()) as server:
        ended = await run(replace(program, project=bare), server, GO, "--yes", "--format", "json")
    assert (ended.code, ended.json["outcome"]) == (0, "all_met"), ended.err
    assert sorted(path.name for path in bare.iterdir()) == ["a.txt"]
    git(bare, "apply", ended.json["patch"])
    assert (bare / "turn-3.out").read_text() == "auto-ann\n"


async def test_ten_turns_of_talk_that_change_nothing_are_0_percent(program: Program) -> None:
    async with ModelServer(RelayModel(is_idle=True)) as server:
        ended = await run(program, server, GO, "--yes", "--rounds", "5", "--format", "json")
    result = ended.json
    assert (ended.code, result["outcome"], result["turns"]) == (1, "max_rounds", 10)
    assert {kr["progress"] for kr in result["key_results"]} == {0.0}
    assert result["diffstat"] == ""
    okr, kept = await stored(program, result["okr_run_id"])
    assert (kept.status, kept.outcome) == ("completed", "max_rounds")
    assert {kr.status for kr in okr.key_results} == {"failed"}


async def test_where_nobody_can_be_asked_it_waits_and_can_be_approved_and_resumed(
    program: Program,
) -> None:
    model = RelayModel()
    async with ModelServer(model) as server:
        ended = await run(program, server, GO, "--format", "json")
        assert (ended.code, ended.json["outcome"]) == (3, "pending_approval")
        assert "codetether okr approve --id" in ended.err
        assert server.count == 1, "nothing but the draft was asked for"
        run_id, relay_id = ended.json["okr_run_id"], ended.json["relay_id"]
        assert (await stored(program, run_id))[1].status == "pending_approval"
        okrs = open_okrs(truth_here(program.data))
        await okrs.approve(run_id, "somebody")
        again = await run(program, server, "--resume", relay_id, "--format", "json")
    assert (again.code, again.json["outcome"]) == (0, "all_met"), again.err
    assert model.asked.count(("drafter", 0, 0)) == 1


async def test_a_model_that_fails_before_there_is_a_draft_is_asked_again_by_a_resume(
    program: Program,
) -> None:
    team, faults = RelayModel(), [Fault(kind="status", status=400, message="no such model")]

    def model(request: ModelCall) -> Reply:
        return Reply(fault=faults.pop()) if faults else team(request)

    async with ModelServer(model) as server:
        ended = await run(program, server, GO, "--yes", "--format", "json")
        again = await run(program, server, *ended.json["resume"].split()[2:], "--format", "json")
    assert (ended.code, ended.json["outcome"], ended.json["turns"]) == (1, "failed", 0)
    assert "no OKR was drafted" in ended.json["error"]
    assert "no such model" in ended.json["error"]
    assert f"codetether run --resume {ended.json['relay_id']}" in ended.err
    assert (again.code, again.json["outcome"]) == (0, "all_met"), again.err


async def test_an_approval_of_a_run_that_is_decided_is_told_who_decided(program: Program) -> None:
    async with ModelServer(RelayModel()) as server:
        ended = await run(program, server, GO, "--format", "json")
        run_id, relay_id = ended.json["okr_run_id"], ended.json["relay_id"]
        await open_okrs(truth_here(program.data)).deny(run_id, "the boss")
        again = await run(program, server, "--resume", relay_id, "--yes", "--format", "json")
        assert server.count == 1
    assert (again.code, again.json["outcome"]) == (1, "denied")
    assert "denied by the boss" in again.json["error"]


@pytest.mark.parametrize(
    "failpoint",
    [
        "okr.stored:1",
        "measured.recorded:2",
        pytest.param("okr.drafted:1", marks=pytest.mark.matrix),
        pytest.param("okr.decided:1", marks=pytest.mark.matrix),
    ],
)
async def test_killed_at_the_gate_or_while_measuring_it_goes_on_and_repeats_nothing(
    program: Program, failpoint: str
) -> None:
    model = RelayModel()
    async with ModelServer(model) as server:
        dead = await run(program, server, GO, "--yes", CODETETHER_FAILPOINT=failpoint)
        assert dead.code == -9
        relay_id = (await program.run("runs", "--json")).json[0]["id"]
        ended = await run(program, server, "--resume", relay_id, "--format", "json")
    assert (ended.code, ended.json["outcome"]) == (0, "all_met"), ended.err
    assert ended.json["relay_id"] == relay_id
    assert model.twice == []


# -- at a terminal --------------------------------------------------------------------------------


class Seat:
    """A person before a pseudo-terminal: types answers as the program asks."""

    def __init__(self, program: Program, server: ModelServer) -> None:
        self._program, self._server = program, server
        self.said = b""

    async def run(
        self,
        *arguments: str,
        answers: list[tuple[str, str]],
        before: Callable[[], Awaitable[None]] | None = None,
        **env: str,
    ) -> Any:
        """Run to the end; each answer is typed once its words were said. Code, JSON of stdout."""
        ours, theirs = os.openpty()
        env = {"CODETETHER_LOCAL_BASE_URL": self._server.url, "TERM": "xterm", **env}
        words = ("run", *arguments, "--model", "local/m", "--format", "json")
        process = await self._program.start(*words, terminal=theirs, **env)
        os.close(theirs)
        reading = asyncio.create_task(self._read(ours))
        try:
            for asked, typed in answers:
                async with asyncio.timeout(180):
                    while asked.encode() not in self.said:
                        await asyncio.sleep(0.02)
                self.said = self.said.partition(asked.encode())[2]
                if before is not None:
                    await before()
                os.write(ours, typed.encode())
            async with asyncio.timeout(180):
                out, _ = await process.communicate()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            os.close(ours)
        return process.returncode, json.loads(out)

    async def _read(self, terminal: int) -> None:
        os.set_blocking(terminal, False)
        while True:
            await asyncio.sleep(0.01)
            try:
                self.said += os.read(terminal, 65536)
            except BlockingIOError:
                continue
            except OSError:
                return


ASKS = "[e]dit: "
INSTEAD = "leave it) "


async def test_denied_at_a_terminal_nothing_is_done_and_it_exits_with_1(program: Program) -> None:
    model = RelayModel()
    async with ModelServer(model) as server:
        code, result = await Seat(program, server).run(GO, answers=[(ASKS, "d\n"), (INSTEAD, "\n")])
    assert (code, result["outcome"], result["turns"]) == (1, "denied", 0)
    assert model.asked == [("drafter", 0, 0)]
    okr, kept = await stored(program, result["okr_run_id"])
    assert (okr.status, kept.status) == ("cancelled", "denied")


async def test_denied_with_another_intent_it_is_drafted_anew_and_approved(program: Program) -> None:
    second = {**OKR, "objective": "Letters are counted"}
    model = RelayModel(okrs=(OKR, second))
    async with ModelServer(model) as server:
        code, result = await Seat(program, server).run(
            GO, answers=[(ASKS, "d\n"), (INSTEAD, "count letters\n"), (ASKS, "a\n")]
        )
        drafts = [q for q in server.requests if "Intent:" in q.first_user_text]
    assert (code, result["outcome"]) == (0, "all_met")
    assert "count letters" in drafts[1].first_user_text
    assert "Words are counted" in drafts[1].first_user_text
    okr, kept = await stored(program, result["okr_run_id"])
    assert (okr.title, kept.status) == ("Letters are counted", "completed")


async def test_edited_what_was_written_is_what_is_pursued(program: Program, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    script = "import pathlib, sys; p = pathlib.Path(sys.argv[1]); "
    script += "p.write_text(p.read_text().replace('target: 3', 'target: 1'))"
    editor.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{script}" "$1"\n')
    editor.chmod(0o755)
    async with ModelServer(RelayModel()) as server:
        code, result = await Seat(program, server).run(
            GO, answers=[(ASKS, "e\n"), (ASKS, "a\n")], EDITOR=str(editor)
        )
    assert (code, result["outcome"], result["turns"]) == (0, "all_met", 1)
    okr, _ = await stored(program, result["okr_run_id"])
    assert [kr.target_value for kr in okr.key_results] == [1.0, 1.0]


async def test_at_the_end_of_input_nothing_is_decided(program: Program) -> None:
    async with ModelServer(RelayModel()) as server:
        code, result = await Seat(program, server).run(GO, answers=[(ASKS, "\x04")])
    assert (code, result["outcome"]) == (3, "pending_approval")
    assert (await stored(program, result["okr_run_id"]))[1].status == "pending_approval"


async def test_who_answers_after_somebody_else_did_is_told_and_that_one_counts(
    program: Program,
) -> None:
    async def elsewhere() -> None:
        relay_id = (await program.run("runs", "--json")).json[0]["id"]
        okrs = open_okrs(truth_here(program.data))
        _, waiting = await okrs.find(relay_id)
        assert waiting is not None
        await okrs.approve(waiting.id, "the boss")

    async with ModelServer(RelayModel()) as server:
        seat = Seat(program, server)
        code, result = await seat.run(GO, answers=[(ASKS, "a\n")], before=elsewhere)
    assert (code, result["outcome"]) == (0, "all_met")
    assert b"approved by the boss" in seat.said
    _, kept = await stored(program, result["okr_run_id"])
    assert kept.approval is not None
    assert kept.approval.approver == "the boss"


async def test_approved_elsewhere_it_begins_though_nobody_typed_anything_here(
    program: Program,
) -> None:
    async def elsewhere() -> None:
        relay_id = (await program.run("runs", "--json")).json[0]["id"]
        approved = await program.run("okr", "approve", "--id", relay_id, "--yes")
        assert approved.code == 0, approved.err

    async with ModelServer(RelayModel()) as server:
        seat = Seat(program, server)
        code, result = await seat.run(GO, answers=[(ASKS, "")], before=elsewhere)
    assert (code, result["outcome"]) == (0, "all_met")
    assert b"it was decided elsewhere: approved by " in seat.said


async def test_approved_twice_at_once_one_wins_and_the_work_is_done_once(program: Program) -> None:
    model = RelayModel()
    async with ModelServer(model) as server:
        ended = await run(program, server, GO, "--format", "json")
        run_id, relay_id = ended.json["okr_run_id"], ended.json["relay_id"]
        okrs = [open_okrs(truth_here(program.data)) for _ in "ab"]
        both = await asyncio.gather(
            *(o.approve(run_id, who) for o, who in zip(okrs, "ab", strict=True)),
            return_exceptions=True,
        )
        assert [isinstance(b, Exception) for b in both].count(True) == 1
        assert "approved by" in str(next(b for b in both if isinstance(b, Exception)))
        again = await run(program, server, "--resume", relay_id, "--format", "json")
    assert (again.code, again.json["outcome"]) == (0, "all_met")
    assert model.twice == []
