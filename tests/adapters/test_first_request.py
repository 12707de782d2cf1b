"""What a command has loaded when it asks a model for the first time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = """
import os, sys
from codetether_ray.providers.http import HttpClient

def post(*_, **__):
    import threading
    [thread.join() for thread in threading.enumerate() if thread.name == "load-client"]
    there = {name.partition(".")[0] for name in sys.modules} | set(sys.modules)
    print(sorted(there & HEAVY), "aiohttp" in there, flush=True)
    os._exit(0)

HttpClient.post = post
sys.argv = ["codetether", *WORDS]
from codetether_ray.__main__ import main
main()
"""
_HEAVY = {"ray", "pydantic", "a2a", "boto3", "fastapi", "grpc", "hvac", "requests", "rich", "httpx"}
_HEAVY |= {"tomllib", "sqlite3", "jsonschema", "prompt_toolkit", "codetether_ray.tools.edit"}
_NOT_OF_ONE_AGENT = {
    "codetether_ray.workspace",
    "codetether_ray.bootstrap.children.runs",
    "codetether_ray.bootstrap.trees",
    "codetether_ray.swarm",
}


@pytest.mark.parametrize(
    ("words", "heavy"),
    [(("run",), _HEAVY | _NOT_OF_ONE_AGENT), (("swarm", "--local"), _HEAVY)],
)
def test_a_first_request_waits_for_the_http_client_and_for_nothing_else_that_is_large(
    words: tuple[str, ...], heavy: set[str], tmp_path: Path
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
    given = (*words, "hello", "--model", "local/m")
    program = f"HEAVY = {heavy!r}\nWORDS = {given!r}\n{_PROGRAM}"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=project,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CODETETHER_ADDRESS": "local"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["[] True"], done.stderr
