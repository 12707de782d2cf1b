"""The command line reads a cluster's truth through its ingress, from a machine without Ray."""

import asyncio
import json
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from codetether_ray.testing.model_server import ModelServer
from tests.adapters.control.conftest import bundled
from tests.adapters.control.scene import Plane, events, opened
from tests.e2e.program import Ended, Program
from tests.e2e.relay_scene import OKR
from tests.e2e.swarm_scene import TASK, SwarmModel, make_repository

_UNSEEN = """
import sys
from codetether_ray.cli.main import run
for words in {words!r}:
    assert run([*words, "--address", {url!r}]) == 0, words
heavy = {{"ray", "a2a", "grpc", "fastapi", "pydantic"}}
print(sorted({{name.partition(".")[0] for name in sys.modules}} & heavy))
"""


@pytest.fixture
async def plane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Plane]:
    """The ingress of another machine, as its data directory tells."""
    data = tmp_path / "far" / "data"
    monkeypatch.setenv("CODETETHER_DATA_DIR", str(data))
    async with ModelServer(SwarmModel()) as model, opened(data) as found:
        monkeypatch.setenv("CODETETHER_LOCAL_BASE_URL", model.url)
        yield found


async def _swarm(plane: Plane, token: str, tmp_path: Path) -> str:
    project = tmp_path / "far" / "project"
    project.mkdir(parents=True)
    make_repository(project)
    _, came = await plane.ask("POST", "/v1/bundles", token, data=bundled(project))
    order = {"task": TASK, "repository": {"bundle": came["id"]}, "model": "local/m"}
    status, started = await plane.ask("POST", "/v1/swarms", token, json=order)
    assert status == 202, started
    async with asyncio.timeout(180):
        await events(plane, started["links"]["events"], token)
    return str(started["run_id"])


class Client:
    """The command on a machine that knows the ingress' address and a token, and nothing else."""

    def __init__(self, program: Program, plane: Plane, token: str) -> None:
        self._program, self._plane, self._token = program, plane, token

    async def __call__(self, *words: str, stdin: str = "") -> Ended:
        at = ("--address", self._plane.url)
        return await self._program.run(*words, *at, stdin=stdin, CODETETHER_TOKEN=self._token)

    async def json(self, *words: str, stdin: str = "") -> Any:
        ended = await self(*words, "--json", stdin=stdin)
        assert ended.code == 0, ended.err
        return ended.json


async def test_runs_are_listed_shown_verified_and_ended_through_the_ingress(
    program: Program, plane: Plane, tmp_path: Path
) -> None:
    alice = await plane.token_of("alice", "admin")
    run_id = await _swarm(plane, alice, tmp_path)
    cli = Client(program, plane, alice)
    (row,) = await cli.json("runs")
    assert (row["id"], row["outcome"]) == (run_id, "success")
    listed = await cli("runs")
    assert f"from the ingress at {plane.url}" in listed.err
    assert await cli.json("sessions", "--all") == []
    shown = await cli("replay", run_id[4:])
    assert (shown.code, "swarm.plan" in shown.out or "plan" in shown.out) == (0, True), shown.err
    lines = await cli("replay", run_id, "--json")
    assert lines.lines[0]["kind"] == "run.started"
    verified = await cli("replay", "--verify", run_id)
    assert (verified.code, "verified" in verified.out) == (0, True), verified.out + verified.err
    seen = await cli.json("top", "--once")
    assert (seen["runs_total"], seen["source"]) == (1, f"the ingress at {plane.url}")
    ended = await cli("cancel", run_id)
    assert (ended.code, "is not running" in ended.out) == (0, True), ended.err
    audit = await cli.json("audit", "list", "--action", "http:POST*")
    assert audit
    checked = await cli("audit", "verify")
    assert checked.code == 0, checked.out + checked.err


async def test_somebody_else_finds_nothing_and_may_not_what_the_role_does_not_give(
    program: Program, plane: Plane, tmp_path: Path
) -> None:
    run_id = await _swarm(plane, await plane.token_of("alice", "admin"), tmp_path)
    viewer = Client(program, plane, await plane.token_of("victor", "viewer"))
    assert await viewer.json("runs") == []
    shown = await viewer("replay", run_id)
    assert (shown.code, f"no run '{run_id}'" in shown.err) == (2, True), shown.err
    for words in (("cancel", run_id), ("audit", "list")):
        refused = await viewer(*words)
        assert (refused.code, "permission" in refused.err) == (4, True), refused.err
    wrong = await Client(program, plane, "not-a-token")("runs")
    assert (wrong.code, "wants a token" in wrong.err, "not-a-token" in wrong.err) == (
        4,
        True,
        False,
    )


async def test_okrs_are_written_decided_on_and_given_up_through_the_ingress(
    program: Program, plane: Plane
) -> None:
    cli = Client(program, plane, await plane.token_of("alice", "admin"))
    text = json.dumps(OKR)
    first = await cli.json("okr", "create", "--from", "-", stdin=text)
    second = await cli.json("okr", "create", "--from", "-", stdin=text)
    assert first["owner"] == "alice"
    approved = await cli.json("okr", "approve", "--id", first["id"], "--yes", "--reason", "good")
    assert approved["run"]["approval"]["approver"] == "alice", "whose token it is, not who types"
    denied = await cli("okr", "deny", "--id", second["id"], "--json")
    assert (denied.code, denied.json["outcome"]) == (1, "denied")
    late = await cli("okr", "approve", "--id", second["id"], "--yes")
    assert (late.code, "cannot be approved: it is denied" in late.err) == (1, True), late.err
    runs = await cli.json("okr", "runs")
    assert sorted(run["status"] for run in runs["runs"]) == ["approved", "denied"]
    started = await cli("okr", "resume", "--id", first["id"])
    assert (started.code, "name what to work on" in started.err) == (2, True), started.err
    over = await cli.json("okr", "cancel", "--id", first["id"])
    assert over["run"]["status"] == "cancelled"
    report = await cli("okr", "report", "--id", first["id"])
    assert (report.code, "Words are counted" in report.out) == (0, True), report.err


async def test_what_starts_a_run_is_told_that_it_is_no_place_for_a_driver(
    program: Program, plane: Plane
) -> None:
    ended = await Client(program, plane, plane.admin)("run", "do it")
    assert (ended.code, "is an ingress" in ended.err) == (2, True), ended.err


async def test_where_nothing_answers_that_is_said(program: Program) -> None:
    for words in (("runs",), ("top", "--once")):
        ended = await program.run(*words, "--address", "http://nowhere.invalid:4096")
        assert (ended.code, "nothing answers at http://nowhere.invalid:4096" in ended.err) == (
            1,
            True,
        )


async def test_a_token_is_kept_for_its_owner_alone_and_forgotten_with_the_address(
    program: Program, plane: Plane
) -> None:
    wrong = await program.run("context", "use", plane.url, "--token-stdin", stdin="nonsense\n")
    assert (wrong.code, "wants a token" in wrong.err) == (4, True), wrong.err
    used = await program.run("context", "use", plane.url, "--token-stdin", stdin=plane.admin)
    assert (used.code, plane.admin in used.out + used.err) == (0, False), used.err
    (path,) = program.home.rglob("credentials.json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert all(plane.admin not in p.read_text() for p in program.home.rglob("config.toml"))
    listed = await program.run("runs", "--json")
    assert (listed.code, listed.json) == (0, []), listed.err
    path.chmod(0o644)
    loose = await program.run("runs")
    assert (loose.code, "chmod 600" in loose.err) == (2, True), loose.err
    path.chmod(0o600)
    assert (await program.run("context", "clear")).code == 0
    assert plane.admin not in path.read_text()


async def test_nothing_heavy_is_imported_to_read_by_http(program: Program, plane: Plane) -> None:
    words = [
        ("runs",),
        ("sessions", "--all"),
        ("okr", "list"),
        ("okr", "runs"),
        ("audit", "list"),
        ("stats",),
        ("top", "--once"),
    ]
    script = _UNSEEN.format(words=words, url=plane.url)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script,
        env={**program.env, "CODETETHER_TOKEN": plane.admin},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert out.decode().splitlines()[-1] == "[]"
