"""A command on another node than the head: nothing but the cluster connects it with its run."""

import asyncio
from pathlib import Path

import pytest

from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply, call, say
from tests.cluster.nodes import HEAD, Nodes
from tests.e2e.program import Program
from tests.e2e.swarm_scene import TASK, SwarmModel, git, make_repository

KEY = "sk-ant-api03-" + "k" * 40


def a_worker(nodes: Nodes) -> str:
    return next(name for name in nodes.nodes if name != HEAD)


async def test_a_swarm_lives_on_the_head_and_its_result_comes_back(nodes: Nodes) -> None:
    worker = a_worker(nodes)
    program = nodes.program("swarm", on=worker)
    make_repository(program.project)
    async with ModelServer(SwarmModel(), host=nodes.gateway) as server:
        ended = await program.run(
            *("swarm", TASK, "--json", "--model", "local/m"),
            CODETETHER_LOCAL_BASE_URL=server.url,
            timeout_s=300,
        )
    assert ended.code == 0, ended.err
    result = ended.json
    assert result["outcome"] == "success"
    run_id, data = result["swarm_id"], nodes.nodes[worker].data
    assert (nodes.head.data / "events" / run_id).is_dir()
    assert not (data / "events").exists()
    names = git(program.project, "ls-tree", "--name-only", result["branch"]).split()
    assert {"alpha.txt", "beta.txt", "gamma.txt", "delta.txt", "untracked.txt"} <= set(names)
    await reading_commands_tell_what_the_head_knows(program, run_id, nodes)


async def reading_commands_tell_what_the_head_knows(
    program: Program, run_id: str, nodes: Nodes
) -> None:
    listed = await program.run("runs", "--json")
    assert listed.json[0]["id"] == run_id  # other tests have had runs on this head
    assert nodes.address in listed.json[0]["source"]
    assert f"from the head at {nodes.address}" in listed.err
    shown = await program.run("replay", run_id[-6:], "--json")
    assert {line["kind"] for line in shown.lines} >= {"run.started", "run.finished"}
    mirror = next((program.home / ".cache").rglob(run_id))
    mirrored = sum(path.stat().st_size for path in mirror.rglob("*") if path.is_file())
    there = nodes.head.data / "events" / run_id
    assert mirrored >= sum(p.stat().st_size for p in there.glob("*.jsonl*"))
    verified = await program.run("replay", "--verify", run_id)
    assert (verified.code, "verified" in verified.out) == (0, True), verified.out + verified.err
    audited = await program.run("audit", "verify")
    assert audited.code == 0, audited.out + audited.err
    assert not list((program.home / ".cache").rglob("*.key"))
    counted = await program.run("stats", "--json")
    assert counted.json["runs"] == len(listed.json)
    at_home = await program.run("runs", "--json", "--address", "local")
    assert at_home.json == []


@pytest.mark.matrix
async def test_a_run_that_its_driver_left_is_cancelled_from_there(nodes: Nodes) -> None:
    program = nodes.program("left", on=a_worker(nodes))
    make_repository(program.project)
    slow = SwarmModel(steps={"beta": [say("late", delay_s=600)]})
    async with ModelServer(slow, host=nodes.gateway) as server:
        driver = await program.start(
            *("swarm", TASK, "--json", "--model", "local/m"),
            CODETETHER_LOCAL_BASE_URL=server.url,
        )
        async with asyncio.timeout(180):
            while ("beta", 0) not in slow.asked:
                await asyncio.sleep(0.05)
        driver.kill()
        await driver.communicate()
        run_id = next(iter((nodes.head.data / "supervisors").iterdir())).name
        cancelled = await program.run("cancel", run_id)
        assert (cancelled.code, "was stopped" in cancelled.out) == (0, True), cancelled.err
    listed = await program.run("runs", "--json")
    found = next(row for row in listed.json if row["id"] == run_id)
    assert found["outcome"] == "cancelled"


@pytest.mark.matrix
async def test_a_sessions_agent_works_where_the_user_is_with_the_users_key(nodes: Nodes) -> None:
    worker = a_worker(nodes)
    program = nodes.program("session", on=worker)

    keys = set()

    def script(asked: ModelCall) -> Reply:
        keys.add({name.lower(): value for name, value in asked.headers.items()}["x-api-key"])
        if asked.step == 0:
            return call("write_file", path="here.txt", content="made")
        return say("done")

    async with ModelServer(script, host=nodes.gateway) as server:
        stored = await program.run("auth", "set", "anthropic", stdin=KEY)
        assert stored.code == 0, stored.err
        await program.run(
            "config", "set", "providers.anthropic.base_url", server.url.removesuffix("/v1")
        )
        ended = await program.run(
            *("run", "make it", "--format", "json", "--model", "anthropic/claude-haiku-5-5"),
            timeout_s=300,
        )
    assert ended.code == 0, ended.err + ended.out
    assert keys == {KEY}
    assert (program.project / "here.txt").read_text() == "made"
    assert (nodes.head.data / "events" / ended.json["session_id"]).is_dir()
    for node in nodes.nodes.values():
        assert holders(node.folder, KEY) == []
        assert holders(node.temp, KEY) == []


def holders(folder: Path, text: str) -> list[str]:
    """Files that hold a text in clear."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and text.encode() in path.read_bytes():
            found.append(str(path))
    return found
