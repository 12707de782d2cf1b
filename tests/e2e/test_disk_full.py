"""A disk that takes no more ends a run cleanly, and the run goes on once there is room."""

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply, call, say
from tests.e2e.program import Ended, Program
from tests.e2e.swarm_scene import TASK, SwarmModel, make_repository

MODEL = ("--model", "local/test-model")
_STEPS = 40


def _talker(asked: ModelCall) -> Reply:
    """Fills the journal step by step, and ends."""
    if asked.step < _STEPS:
        return call("bash", command=f"echo {asked.step}; seq 1 1500")
    return say("done")


async def _limited(program: Program, kib: int, *arguments: str, **env: str) -> Ended:
    """The command, where no file may grow beyond so many KiB."""
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", f'ulimit -f {kib}; exec codetether "$@"', "bash", *arguments),
        cwd=program.project,
        env={**program.env, "PYTHONDONTWRITEBYTECODE": "1", **env},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(180):
        out, err = await process.communicate()
    return Ended(code=process.returncode or 0, out=out.decode(), err=err.decode())


async def test_a_journal_that_cannot_grow_ends_the_run_with_the_command_to_go_on(
    program: Program,
) -> None:
    async with ModelServer(_talker) as server:
        env = {"CODETETHER_LOCAL_BASE_URL": server.url}
        limits = (*MODEL, "--format", "json")
        ended = await _limited(program, 120, "run", "talk", *limits, **env)
        assert ended.code == 1, ended.err
        session = ended.json["session_id"]
        assert (ended.json["outcome"], ended.json["resume"]) == (
            "failed",
            f"codetether run --resume {session}",
        )
        assert "could not be written" in ended.json["error"]
        assert f"go on: codetether run --resume {session}" in ended.err
        assert "Traceback" not in ended.err
        before = server.count
        assert before < _STEPS
        again = await program.run("run", "--resume", **env)
        assert (again.code, again.out) == (0, "done\n"), again.err
    assert server.count <= _STEPS + 2  # at most the call that was in flight is repeated
    assert not server.refused


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB; skips where none can be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a file system needs root")
    words = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(place)]
    if subprocess.run(words, check=False, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


async def test_a_full_disk_ends_a_run_and_a_swarm_with_a_plain_sentence(
    program: Program, small_disk: Path
) -> None:
    make_repository(program.project)
    program = replace(program, env={**program.env, "CODETETHER_DATA_DIR": str(small_disk)})
    filler = small_disk / "filler"
    fill = f"head -c 100000000 /dev/zero > {filler} || true"

    def model(asked: ModelCall) -> Reply:
        if asked.step == 0:
            return call("bash", command=fill)
        return _talker(asked) if asked.step < 4 else say("done")

    async with ModelServer(model) as server:
        env = {"CODETETHER_LOCAL_BASE_URL": server.url}
        ended = await program.run("run", "talk", *MODEL, "--format", "json", **env)
        assert ended.code == 1, ended.err
        # the journal or the audit log, whichever meets it first
        assert re.search("the disk is full|No space left on device", ended.err), ended.err
        assert "Traceback" not in ended.err
        resume = ended.json["resume"]
        listed = await program.run("runs", "--json")
        assert [row["resume"] for row in listed.json] == [resume]
        filler.unlink()
        again = await program.run(*resume.split()[1:], **env)
        assert (again.code, again.out) == (0, "done\n"), again.err

    stuffed = SwarmModel(steps={"beta": [call("bash", command=fill), say("beta is done")]})
    async with ModelServer(stuffed) as server:
        env = {"CODETETHER_LOCAL_BASE_URL": server.url}
        ended = await program.run("swarm", TASK, "--local", *MODEL, "--json", **env)
        assert ended.code == 1, ended.err
        assert "Traceback" not in ended.err
        assert ended.json["resume"] in ended.err
        filler.unlink()
        again = await program.run(*ended.json["resume"].split()[1:], "--local", "--json", **env)
        assert again.code == 0, again.err
