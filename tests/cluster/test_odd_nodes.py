"""One node is not as it should be: one clear sentence, and the rest goes on."""

import re
import shutil
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from codetether_ray.core.events import AgentPlaced
from codetether_ray.journal.reader import read_records
from codetether_ray.testing.model_server import ModelServer, call, say
from tests.cluster.nodes import Node, Nodes
from tests.e2e.program import Ended, Program
from tests.e2e.swarm_scene import SwarmModel, git, make_repository

_AGENTS = 12
_LASTS_S = 5.0
_PLAN = tuple(
    {"name": f"part{n:02}", "instruction": f"Do the work of part{n:02}."} for n in range(_AGENTS)
)

pytestmark = pytest.mark.matrix  # tens of seconds each: some of them in each run of the suite


@contextmanager
def added(nodes: Nodes, **how: Any) -> Iterator[Node]:
    """A node for one test."""
    node = nodes.add(**how)
    try:
        yield node
    finally:
        nodes.lose(node.host.name)


async def swarm(nodes: Nodes, name: str, last_s: float = 0.0, **env: str) -> tuple[Program, Ended]:
    """A swarm that needs every node; its closing words take `last_s`.

    Three agents fit a node and each lasts some seconds, so a node that is ready late has its turn.
    """
    program = nodes.program(name)
    make_repository(program.project)
    work = {
        str(part["name"]): [
            call("write_file", path=f"{part['name']}.txt", content=f"by {part['name']}\n"),
            say("done", delay_s=_LASTS_S),
        ]
        for part in _PLAN
    }
    closing = [say("All is done.", delay_s=last_s)]
    model = SwarmModel(plan=_PLAN, steps={**work, "synthesis": closing})
    async with ModelServer(model, host=nodes.gateway) as server:
        ended = await program.run(
            *("swarm", "write twelve files", "--json", "--model", "local/m"),
            *("--memory-per-agent", "1.2GB"),
            CODETETHER_LOCAL_BASE_URL=server.url,
            timeout_s=300,
            **env,
        )
        assert not server.refused
    return program, ended


def all_done(program: Program, ended: Ended) -> None:
    """Every part was done and merged, and nobody was told of Python or Ray's insides."""
    assert ended.code == 0, ended.err + ended.out[-3000:]
    result = ended.json
    assert result["outcome"] == "success"
    names = git(program.project, "ls-tree", "--name-only", result["branch"]).split()
    assert {f"part{n:02}.txt" for n in range(_AGENTS)} <= set(names)
    assert "Traceback" not in ended.err


def places(program: Program, ended: Ended) -> Counter[str]:
    """How many agents lived on each node, by Ray's ids."""
    found = read_records(program.data, ended.json["swarm_id"])
    return Counter(
        r.event.node
        for r in found
        if isinstance(r.event, AgentPlaced) and r.agent.startswith("sub/")
    )


async def examined(program: Program) -> dict[tuple[str, str], dict[str, Any]]:
    """What the doctor says is not well, by node and name."""
    found = await program.run("doctor", "--json", timeout_s=300)
    assert found.code == 1, found.out
    return {(c["node"], c["name"]): c for c in found.json["checks"] if c["state"] != "ok"}


def warnings(ended: Ended, words: str) -> list[str]:
    """What the run warned of in some words."""
    return [line for line in ended.err.splitlines() if re.search(f"warning: .*({words})", line)]


def without_git(node: Node) -> None:
    """All that there is on this machine but git is in this node's PATH."""
    folder = node.folder / "bin"
    folder.mkdir()
    for place in ("/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin"):
        for path in Path(place).iterdir():
            if not path.name.startswith("git") and not (folder / path.name).is_symlink():
                (folder / path.name).symlink_to(path)
    node.env["PATH"] = f"{Path(sys.executable).parent}:{folder}"


def full(node: Node) -> None:
    """The disk of this host has no room for anything."""
    data = str(node.data)
    node.host.run("mount", "-t", "tmpfs", "-o", "size=256k,mode=0700", "none", data)
    node.host.run("sh", "-c", f"cat /dev/zero > {data}/filler || true")


async def test_a_node_without_git_is_told_and_the_others_do_the_work(nodes: Nodes) -> None:
    with added(nodes, prepare=without_git) as odd:
        program, ended = await swarm(nodes, "no-git")
        all_done(program, ended)
        (said,) = warnings(ended, "git is")
        assert f"on {odd.host.name}: git is not installed; install git 2.38 or newer" in said
        check = (await examined(program))[odd.host.name, "git"]
        assert (check["detail"], check["fix"]) == ("not found", "install git 2.38 or newer")


async def test_a_node_with_a_full_disk_is_told_and_the_others_do_the_work(nodes: Nodes) -> None:
    with added(nodes, prepare=full) as odd:
        program, ended = await swarm(nodes, "full")
        all_done(program, ended)
        (said,) = warnings(ended, "space|room")
        assert f"on {odd.host.name}: " in said
        found = await examined(program)
        assert "No space left" in found[odd.host.name, "disk"]["detail"] or (
            found[odd.host.name, "free space"]["state"] == "fail"
        )


@pytest.mark.skipif(shutil.which("cc") is None, reason="another clock has to be compiled")
async def test_a_node_whose_clock_is_an_hour_off_works_and_is_told(
    nodes: Nodes, tmp_path: Path
) -> None:
    library, source = tmp_path / "clock.so", Path(__file__).with_name("clock.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    with added(nodes, LD_PRELOAD=str(library), CLOCK_AHEAD="3600") as odd:
        program, ended = await swarm(nodes, "clock")
        all_done(program, ended)
        assert places(program, ended)[nodes.alive()[odd.host.name]], "nobody worked there"
        (said,) = warnings(ended, "clock")
        assert re.search(rf"the clock of {odd.host.name} is 36\d\d s ahead of the head's", said)
        check = (await examined(program))[odd.host.name, "clock"]
        assert re.fullmatch(r"36\d\d s ahead of the head's", check["detail"])
        verified = await program.run("replay", "--verify", ended.json["swarm_id"])
        assert verified.code == 0, verified.out


async def test_an_archive_out_of_reach_is_told_once_and_the_swarm_goes_on(nodes: Nodes) -> None:
    program = nodes.program("s3-setup")
    for key, value in (
        ("archive.bucket", "runs"),
        ("archive.endpoint", f"http://{nodes.gateway}:9"),
    ):
        done = await program.run("config", "set", key, value)
        assert done.code == 0, done.err
    kept = await program.run("auth", "set", "s3", "--access-key", "nobody", stdin="a-secret-key")
    assert kept.code == 0, kept.err
    try:
        other, ended = await swarm(nodes, "s3", last_s=20)
        all_done(other, ended)
        (said,) = warnings(ended, "archive")
        assert f"{nodes.gateway}:9" in said
        assert "sent later" in said
        found = await examined(other)
        assert "cannot be reached" in found["", "archive"]["detail"]
    finally:
        for key in ("archive.bucket", "archive.endpoint"):
            await program.run("config", "unset", key)
        await program.run("auth", "remove", "s3")


async def test_a_driver_with_another_python_is_refused_with_the_command_that_mends_it(
    nodes: Nodes, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        textwrap.dedent("""
            import collections, sys
            now = sys.version_info
            kind = collections.namedtuple("version_info", "major minor micro releaselevel serial")
            sys.version = sys.version.replace(f"{now[0]}.{now[1]}.{now[2]}", "3.11.99")
            sys.version_info = kind(3, 11, 99, "final", 0)
        """)
    )
    program, ended = await swarm(nodes, "versions", PYTHONPATH=str(tmp_path))
    assert ended.code == 1
    ours = subprocess.run(
        ["python3", "-c", "import platform; print(platform.python_version())"],
        env=program.env,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    (said,) = [line for line in ended.err.splitlines() if "3.11.99" in line]
    assert f"runs Python {ours} (here 3.11.99)" in said
    assert f"--python {ours}" in said
