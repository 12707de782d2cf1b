"""The demo and its tape: all that `scripts/demo` does, in one process and without setting up."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from tests.e2e.program import Program
from tests.e2e.swarm_scene import git

ROOT = Path(__file__).parents[2]
TASK = (ROOT / "examples" / "wordkit-task.txt").read_text().strip()


async def test_the_tape_still_makes_fifteen_failing_tests_pass(program: Program) -> None:
    project = program.home / "wordkit"
    subprocess.run([ROOT / "scripts" / "demo_workspace", project], check=True)
    assert pytest_says(project) == "15 failed"
    tape = f"tape/{ROOT / 'examples' / 'demo.tape'}"
    ended = await replace(program, project=project).run(
        *("swarm", TASK, "--model", tape, "--local", "--json")
    )
    assert (ended.code, ended.json["outcome"]) == (0, "success"), ended.err
    merged = {
        each["name"]: (each["stage"], each["merge"]) for each in ended.json["subtask_results"]
    }
    assert merged == {
        "slug": (0, "merged"),
        "wrap": (0, "resolved"),
        "count": (0, "merged"),
        "report": (1, "merged"),
        "cli": (1, "merged"),
    }
    assert pytest_says(project) == "15 failed", "the user's files stay"
    git(project, "checkout", "--quiet", ended.json["branch"])
    assert pytest_says(project) == "15 passed"


def pytest_says(project: Path) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    return done.stdout.strip().splitlines()[-1].partition(" in ")[0]
