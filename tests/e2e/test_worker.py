"""`codetether worker` as a process: tasks of a platform, done by sessions and swarms."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from codetether_ray.core.work import WorkTask, WorkWish
from codetether_ray.local.clock import SystemClock
from codetether_ray.stores.work import SqliteWork
from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply, call, say
from codetether_ray.worker.platform import WorkPlatform
from tests.adapters.worker.platform_server import ADMIN, PlatformServer
from tests.e2e.program import Program
from tests.e2e.swarm_scene import TASK, SwarmModel, git, make_repository

TOKEN = {"CODETETHER_TOKEN": "admin-token"}
QUIET = ("--model", "local/m", "--no-http-server")


@dataclass(frozen=True, slots=True)
class Scene:
    """A platform behind HTTP, a model, and the program."""

    program: Program
    platform: WorkPlatform
    url: str
    model: ModelServer

    @asynccontextmanager
    async def worker(
        self, *arguments: str, **env: str
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        process = await self.program.start(
            "worker", "--server", self.url, *arguments,
            CODETETHER_LOCAL_BASE_URL=self.model.url, **{**TOKEN, **env},
        )  # fmt: skip
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def done(self, **more: str) -> WorkTask:
        """A task, when it is over."""
        task = await self.platform.create(ADMIN, WorkWish(**more))  # type: ignore[arg-type]
        return await self.over(task)

    async def over(self, task: WorkTask) -> WorkTask:
        async with asyncio.timeout(180):
            while not (now := await self.platform.task(ADMIN, task.id)).is_over:
                await asyncio.sleep(0.05)
        return now

    async def printed(self, task: WorkTask) -> str:
        found, _ = await self.platform.outputs(ADMIN, task.id)
        return "\n".join(piece.text for piece in found)


@asynccontextmanager
async def scene_of(program: Program, tmp_path: Path, script: object) -> AsyncIterator[Scene]:
    platform = WorkPlatform(SqliteWork(tmp_path / "work.db"), SystemClock())
    async with ModelServer(script) as model, PlatformServer(platform) as server:  # type: ignore[arg-type]
        yield Scene(program, platform, server.url, model)
    await platform.close()


@pytest.fixture
def program(program: Program) -> Program:
    make_repository(program.project)
    return program


def writer(asked: ModelCall) -> Reply:
    """Writes a file, then says whether it could."""
    if asked.step == 0:
        return call("write_file", path="new.txt", content="by an agent\n")
    return say("All done.")


async def test_a_task_is_a_session_in_the_codebase_and_its_words_arrive(
    program: Program, tmp_path: Path
) -> None:
    async with scene_of(program, tmp_path, writer) as scene:
        async with scene.worker("--auto-approve", "all", *QUIET) as process:
            task = await scene.done(title="write new.txt", codebase=program.project.name)
            process.send_signal(signal.SIGTERM)
            _, err = await process.communicate()
        assert (task.status, task.result, task.error) == ("completed", "All done.", "")
        assert (program.project / "new.txt").read_text() == "by an agent\n"
        lines = (await scene.printed(task)).split("\n")
        assert lines[0] == "[tool:start:write_file]"
        assert lines[1].startswith("[tool:write_file:ok] ")
        assert lines[-1] == "All done."
        assert process.returncode == 0
        assert b"left; nothing is under way" in err
        assert b"admin-token" not in err
        listed = await program.run("sessions", "--json")
        assert task.session_id in listed.out


async def test_safe_puts_edits_on_a_branch_and_leaves_the_checkout_alone(
    program: Program, tmp_path: Path
) -> None:
    async with scene_of(program, tmp_path, writer) as scene:
        async with scene.worker(*QUIET):
            task = await scene.done(title="write new.txt")
        assert task.status == "completed", task.error
        (branch,) = re.findall(r"on the branch (\S+)\.", task.result)
        assert git(program.project, "show", f"{branch}:new.txt") == "by an agent"
        assert not (program.project / "new.txt").exists()
        assert git(program.project, "worktree", "list").count("\n") == 0
        tools = scene.model.requests[0].tools
        assert "edit" in tools
        assert not {"bash", "task", "swarm"} & set(tools)


async def test_none_writes_nothing_at_all(program: Program, tmp_path: Path) -> None:
    async with scene_of(program, tmp_path, writer) as scene:
        async with scene.worker("--auto-approve", "none", *QUIET):
            task = await scene.done(title="write new.txt")
        assert task.status == "completed", task.error
        assert not (program.project / "new.txt").exists()
        assert "[tool:write_file:err]" in await scene.printed(task)
        assert set(scene.model.requests[0].tools) == {
            "codesearch", "glob", "grep", "list_dir", "read_file"
        }  # fmt: skip


async def test_a_swarm_is_done_by_who_may_and_its_branch_is_told(
    program: Program, tmp_path: Path
) -> None:
    async with scene_of(program, tmp_path, SwarmModel()) as scene:
        async with scene.worker("--auto-approve", "all", *QUIET):
            task = await scene.done(title=TASK, agent_type="swarm")
        assert task.status == "completed", task.error
        (branch,) = re.findall(r"on the branch (\S+)\.", task.result)
        assert "alpha.txt" in git(program.project, "ls-tree", "--name-only", branch)
        printed = await scene.printed(task)
        assert "[swarm] plan: 4 subtasks" in printed
        assert "[swarm] subtask alpha: completed" in printed


async def test_a_task_goes_on_with_a_session_of_its_codebase_and_with_no_other(
    program: Program, tmp_path: Path
) -> None:
    async with scene_of(program, tmp_path, lambda _: say("Yes.")) as scene:
        other = await program.run(
            "run", "hi", "--model", "local/m", "--format", "json", "--address", "local",
            CODETETHER_LOCAL_BASE_URL=scene.model.url, CODETETHER_DATA_DIR=str(program.data),
        )  # fmt: skip
        (program.project / "inner").mkdir()
        async with scene.worker("--auto-approve", "none", "--codebases", "inner,.", *QUIET):
            first = await scene.done(title="first words", codebase="inner")
            again = await scene.done(
                title="second words", codebase="inner", session_id=first.session_id
            )
            foreign = await scene.done(
                title="third words", codebase="inner", session_id=other.json["session_id"]
            )
    assert again.session_id == first.session_id
    assert (again.status, again.result) == ("completed", "Yes.")
    said = [m["content"] for m in scene.model.requests[-1].body["messages"] if m["role"] == "user"]
    assert any("first words" in str(text) for text in said)
    assert any("second words" in str(text) for text in said)
    assert foreign.status == "failed"
    assert "is not one of this codebase" in foreign.error


async def test_a_task_under_way_is_handed_back_on_sigterm_and_done_by_the_next(
    program: Program, tmp_path: Path
) -> None:
    begun = asyncio.Event()

    async def slow(_: ModelCall) -> Reply:
        if not begun.is_set():
            begun.set()
            await asyncio.sleep(60)
        return say("Done at last.")

    async with scene_of(program, tmp_path, slow) as scene:
        task = await scene.platform.create(ADMIN, WorkWish(title="wait"))
        async with scene.worker("--grace", "0", *QUIET) as process:
            async with asyncio.timeout(180):
                await begun.wait()
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
        left = await scene.platform.task(ADMIN, task.id)
        assert (left.status, left.attempt) == ("pending", 1)
        async with scene.worker(*QUIET):
            assert (await scene.over(task)).result == "Done at last."


async def test_probes_tell_the_truth_and_guard_the_rest(program: Program, tmp_path: Path) -> None:
    async with scene_of(program, tmp_path, writer) as scene:
        arguments = ("--model", "local/m", "--hostname", "127.0.0.1", "--port", "0")
        async with scene.worker(*arguments) as process:
            assert process.stderr is not None
            line = (await process.stderr.readline()).decode()
            (url,) = re.findall(r"(http://127\.0\.0\.1:\d+)/health", line)
            async with aiohttp.ClientSession(url) as http, asyncio.timeout(180):
                while (await http.get("/ready")).status != 200:
                    await asyncio.sleep(0.05)
                assert (await http.get("/worker/status")).status == 401
                headers = {"Authorization": "Bearer admin-token"}
                status = await (await http.get("/worker/status", headers=headers)).json()
        assert status["connected"] is True


async def test_what_cannot_work_is_one_sentence_and_an_exit_code(
    program: Program, tmp_path: Path
) -> None:
    open_file = program.home / "token"
    open_file.write_text("secret-token")
    open_file.chmod(0o644)
    cases = {
        ("--server", "ftp://x"): "must be http",
        ("--token-file", str(open_file)): "chmod 600",
        ("--codebases", "/nowhere/at/all"): "there is no directory",
        ("--model", "nobody/x"): "nobody",
        ("--server", "http://127.0.0.1:1", "--codebases", ","): "names no directory",
    }
    for arguments, sentence in cases.items():
        ended = await program.run("worker", "--no-http-server", "--model", "local/m", *arguments)
        assert ended.code == 2, (arguments, ended.err)
        assert sentence in ended.err
        assert "Traceback" not in ended.err
    async with scene_of(program, tmp_path, writer) as scene:
        ended = await program.run(
            "worker", "--server", scene.url, "--token", "wrong", *QUIET,
            CODETETHER_LOCAL_BASE_URL=scene.model.url,
        )  # fmt: skip
    assert ended.code == 4
    assert "--token shows in the list of processes" in ended.err
    assert "does not accept the token" in ended.err
