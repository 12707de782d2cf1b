"""This project works on itself: `examples/dogfood`, against its conversation, then on its tape."""

import json
import runpy
import shutil
from dataclasses import replace
from pathlib import Path

from codetether_ray.testing.model_server import ModelServer
from tests.e2e.program import Ended, Program
from tests.e2e.swarm_scene import git

_ROOT = Path(__file__).parents[2]
_PRD = "examples/dogfood/prd.json"
_BRANCH = "ralph/a-prd-as-a-checklist"
_PARTS = (
    "codetether_ray",
    "examples/dogfood",
    "tests/conftest.py",
    "tests/verifying.py",
    "pyproject.toml",
    "AGENTS.md",
    ".gitignore",
)
"""What of the project the feature and its gates need."""


def project_of(folder: Path) -> None:
    """This project as a repository of its own."""
    for part in _PARTS:
        source, target = _ROOT / part, folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, target)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=as it is")


async def worked_off(program: Program, model: str, *more: str, **env: str) -> Ended:
    words = (
        "ralph",
        "run",
        "--local",
        "-p",
        _PRD,
        "--model",
        model,
        "--json",
        "--max-iterations",
        "3",
    )
    return await program.run(*words, *more, timeout_s=300, **env)


async def test_this_project_gets_a_feature_from_a_prd_and_once_more_from_the_tape(
    program: Program, tmp_path: Path
) -> None:
    tape = tmp_path / "dogfood.tape"
    script = runpy.run_path(str(_ROOT / "examples" / "dogfood" / "conversation.py"))["reply"]
    trees = []
    for number in range(2):
        here = replace(program, project=tmp_path / f"clone-{number}")
        project_of(here.project)
        if number == 0:
            async with ModelServer(script) as server:
                url = {"CODETETHER_LOCAL_BASE_URL": server.url}
                ended = await worked_off(here, "local/m", "--record", str(tape), **url)
        else:
            ended = await worked_off(here, f"tape/{tape}")
        assert ended.code == 0, ended.err
        assert [s["attempts"] for s in ended.json["stories"]] == [2, 1]
        trees.append(git(here.project, "rev-parse", f"{_BRANCH}:codetether_ray"))
    assert trees[0] == trees[1]
    log = git(here.project, "log", "--format=%s", f"main..{_BRANCH}").splitlines()
    assert log == [
        "feat(df-002): ralph status --markdown",
        "feat(df-001): A PRD as a Markdown checklist",
    ]
    prd = json.loads(git(here.project, "show", f"{_BRANCH}:{_PRD}"))
    assert [s["passes"] for s in prd["user_stories"]] == [True, True]
    learned = [words for row in ended.json["progress_log"] for words in row["learnings"]]
    assert learned[0] == "planning.waiting leaves out what has passed."
