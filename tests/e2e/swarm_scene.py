"""A small repository, a plan, and a model that carries it out: what the swarm tests share."""

import asyncio
import hashlib
import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codetether_ray.core.events import Record
from codetether_ray.journal.reader import read_records
from codetether_ray.testing.model_server import ModelCall, Reply, call, say
from tests.e2e.program import Program

TASK = "write the four files"
PLAN: tuple[dict[str, Any], ...] = (
    {"name": "alpha", "instruction": "Do the work of alpha."},
    {"name": "beta", "instruction": "Do the work of beta."},
    {"name": "gamma", "instruction": "Do the work of gamma.", "dependencies": ["alpha", "beta"]},
    {"name": "delta", "instruction": "Do the work of delta.", "dependencies": ["alpha"]},
)

Step = Callable[[ModelCall], Reply]


@dataclass(kw_only=True)
class SwarmModel:
    """Answers as planner, sub-agents, resolver and synthesis; `steps` changes what a name does."""

    plan: Sequence[Mapping[str, Any]] = PLAN
    steps: Mapping[str, Sequence[Reply]] = field(default_factory=dict)
    asked: list[tuple[str, int]] = field(default_factory=list)
    """(agent, step) of every request, in order of arrival."""

    def __call__(self, request: ModelCall) -> Reply:
        name = self.who(request)
        self.asked.append((name, request.step))
        if name in self.steps:
            return self.steps[name][request.step]
        if name == "planner":
            return say("```json\n" + json.dumps({"subtasks": list(self.plan)}) + "\n```")
        if name == "synthesis":
            return say("All of it is done.")
        if request.step == 0:
            return call("write_file", path=f"{name}.txt", content=f"by {name}\n")
        return say(f"{name} is done")

    def who(self, request: ModelCall) -> str:
        """Which agent asks."""
        for words, name in (
            ("CodeTether's planner", "planner"),
            ("CodeTether's closing voice", "synthesis"),
            ("CodeTether's merge resolver", "resolver"),
        ):
            if words in request.system:
                return name
        names = [str(s["name"]) for s in self.plan]
        return next(n for n in names if f"work of {n}." in request.first_user_text)


def make_repository(folder: Path) -> None:
    """A git repository with one commit, one changed file and one untracked file."""
    (folder / "readme.md").write_text("# hello\n")
    (folder / "tracked.txt").write_text("first\n")
    (folder / ".gitignore").write_text("ignored/\n")
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=first")
    (folder / "tracked.txt").write_text("first\nnot committed\n")
    (folder / "untracked.txt").write_text("new\n")
    (folder / "ignored").mkdir()
    (folder / "ignored" / "big.bin").write_bytes(b"\0" * 100)


def git(folder: Path, *arguments: str) -> str:
    """Run git as a user with an identity."""
    identity = ["-c", "user.name=you", "-c", "user.email=you@example.com"]
    done = subprocess.run(
        ["git", *identity, "-c", "commit.gpgsign=false", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def checkout(folder: Path) -> dict[str, str]:
    """Every file of the work tree with its content's hash, the index and HEAD with theirs."""
    files = [p for p in folder.rglob("*") if p.is_file() and ".git" not in p.parts]
    files += [folder / ".git" / "index", folder / ".git" / "HEAD"]
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def main_tree(folder: Path) -> str:
    """The tree hash of the newest swarm's merged branch."""
    refs = git(
        folder,
        "for-each-ref",
        "--sort=-committerdate",
        "--format=%(refname)",
        "refs/heads/codetether/*/main",
    )
    return git(folder, "rev-parse", f"{refs.splitlines()[0]}^{{tree}}")


def records(program: Program, run_id: str) -> list[Record]:
    """A run's journal."""
    return list(read_records(program.data, run_id))


async def until_answered(program: Program, agent: str, step: int) -> None:
    """Wait until the journal of the only swarm has a model's answer: it is asked for no more."""
    async with asyncio.timeout(180):
        while not any(
            (r.agent, r.event.tag) == (agent, "model.responded") and r.event.step == step
            for run in (program.data / "events").glob("swm_*")
            for r in records(program, run.name)
        ):
            await asyncio.sleep(0.05)


def by_agent(found: Sequence[Record]) -> dict[str, list[str]]:
    """The kinds of each agent's events, in order; the run's own left out."""
    out: dict[str, list[str]] = {}
    for record in found:
        if record.agent != "run":
            out.setdefault(record.agent, []).append(record.event.tag)
    return out
