"""`codetether ralph status` and `create-prd` as a process, against a model behind real HTTP."""

import json
import shutil
from pathlib import Path
from typing import Any

from codetether_ray.testing.model_server import ModelServer, call, fail, say, script_of
from tests.e2e.program import Ended, Program

PRDS = Path(__file__).parents[1] / "data" / "prds"


def story(id: str, *needs: str) -> dict[str, Any]:
    return {
        "id": id,
        "title": f"Story {id}",
        "description": "what to do",
        "acceptance_criteria": ["it works"],
        "depends_on": list(needs),
    }


async def draft(program: Program, server: ModelServer, *arguments: str, **more: Any) -> Ended:
    return await program.run(
        *("ralph", "create-prd", "-f", "Rate limits", "--project-name", "api"),
        *("--model", "local/test-model", *arguments),
        CODETETHER_LOCAL_BASE_URL=server.url,
        **more,
    )


async def test_status_of_a_prd_is_shown_without_colours_to_a_pipe(program: Program) -> None:
    shutil.copy(next(PRDS.glob("prd_0934*")), program.project / "prd.json")
    before = (program.project / "prd.json").read_bytes()
    ended = await program.run("ralph", "status")
    assert (ended.code, ended.err) == (0, "")
    assert "passed   6/12\n" in ended.out
    assert "[x] US-007  Implement Anthropic provider\n" in ended.out
    assert "waits for US-005, US-008\n" in ended.out
    assert "\x1b" not in ended.out
    assert (program.project / "prd.json").read_bytes() == before


async def test_a_model_looks_drafts_and_repairs_what_is_not_sound(program: Program) -> None:
    (program.project / "go.mod").write_text("module api\n")
    gates = {"test": "go test ./...", "build": "go build ./..."}
    unsound = {"user_stories": [story("US-001", "US-002"), story("US-002", "US-001")]}
    sound = {"user_stories": [story("US-001"), story("US-002", "US-001")], "quality_checks": gates}
    script = script_of(
        call("read_file", path="go.mod"), say(json.dumps(unsound)), say(json.dumps(sound))
    )
    async with ModelServer(script) as server:
        ended = await draft(program, server, "--describe", "-", "-o", "prd.json", stdin="429s\n")
    assert (ended.code, ended.out) == (0, ""), ended.err
    written = json.loads((program.project / "prd.json").read_text())
    assert [s["depends_on"] for s in written["user_stories"]] == [[], ["US-001"]]
    assert (written["branch_name"], written["quality_checks"]) == ("feature/rate-limits", gates)
    assert not any(s["passes"] for s in written["user_stories"])
    first, *_, last = server.requests
    assert "429s" in first.first_user_text
    assert "test: `go test ./...`" in first.first_user_text
    assert "the dependencies form a cycle: US-001 -> US-002 -> US-001" in last.last_user_text
    tools = set(first.tools)
    assert tools
    assert not tools & {"write_file", "edit", "bash", "apply_patch", "task", "prd", "ralph"}
    assert "US-002 Story US-002 (after US-001)" in ended.err
    assert "out · " in ended.err  # tokens and cost


async def test_a_prd_that_stays_unsound_is_refused_and_nothing_is_written(
    program: Program,
) -> None:
    unsound = say(json.dumps({"user_stories": [story("US-001", "US-009")]}))
    async with ModelServer(script_of(unsound, unsound, unsound)) as server:
        ended = await draft(program, server, "--describe", "x", "-o", "prd.json")
    assert ended.code == 2
    assert "the model's PRD, repaired 2 times: $.user_stories[0].depends_on[0]: " in ended.err
    assert not (program.project / "prd.json").exists()


async def test_a_model_that_fails_ends_the_command_as_it_ends_a_run(program: Program) -> None:
    async with ModelServer(script_of(fail(401, "no such key"))) as server:
        ended = await draft(program, server, "--describe", "x")
    assert (ended.code, ended.out) == (4, "")
    assert "local" in ended.err


async def test_a_file_that_is_there_is_left_alone_before_a_model_is_paid(program: Program) -> None:
    (program.project / "prd.json").write_text("mine")
    async with ModelServer(script_of()) as server:
        ended = await draft(program, server, "--describe", "x", "-o", "prd.json")
    assert ended.code == 2
    assert "prd.json is there already" in ended.err
    assert not server.requests
    assert (program.project / "prd.json").read_text() == "mine"
