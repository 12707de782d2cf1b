"""A PRD of eight stories, a small repository with real gates, and a model that does them."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codetether_ray.testing.model_server import ModelCall, Reply, call, say
from tests.e2e.swarm_scene import git

GATES = {
    "typecheck": "sh gates/typecheck.sh",
    "lint": None,
    "test": "sh gates/test.sh",
    "build": "true",
}
TYPECHECK = "! grep -rn 'wrong' src\n"
TEST = 'for t in tests/*.sh; do sh "$t" || { echo "$t failed"; exit 1; }; done; echo all fine\n'

STORIES: tuple[dict[str, Any], ...] = (
    {"id": "US-001", "title": "The core", "priority": 1},
    {"id": "US-002", "title": "Greets", "priority": 2, "depends_on": ["US-001"]},
    {"id": "US-003", "title": "Counts", "priority": 2, "depends_on": ["US-001"]},
    {"id": "US-004", "title": "One side", "priority": 3, "depends_on": ["US-001"]},
    {"id": "US-005", "title": "Other side", "priority": 3, "depends_on": ["US-001"]},
    {"id": "US-006", "title": "Needs a key", "priority": 4},
    {"id": "US-007", "title": "Behind the key", "priority": 4, "depends_on": ["US-006"]},
    {"id": "US-008", "title": "The end", "priority": 5, "depends_on": ["US-002", "US-003"]},
)
"""US-003 fails its gate twice, US-005 conflicts with US-004, US-006 is blocked."""


def prd(stories: Sequence[dict[str, Any]] = STORIES, **changes: Any) -> dict[str, Any]:
    """The PRD as JSON, with a key that nobody knows."""
    return {
        "project": "sample",
        "feature": "Eight Things",
        "branch_name": "",
        "x-owner": "somebody",
        "user_stories": [
            {"description": f"Do the work of {s['id']}.", "acceptance_criteria": [], **s}
            for s in stories
        ],
        "quality_checks": GATES,
        **changes,
    }


def make_project(folder: Path, *, tracked: bool = True, **changes: Any) -> None:
    """A repository on branch `dev`, with gates, a test, and the PRD."""
    files = {
        "readme.md": "# sample\n",
        "src/shared.txt": "first\n",
        "gates/typecheck.sh": TYPECHECK,
        "gates/test.sh": TEST,
        "tests/base.sh": "grep -q first src/shared.txt || grep -q both src/shared.txt\n",
        ".gitignore": "" if tracked else "prd.json\nprogress.txt\n",
    }
    for name, text in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    text = json.dumps(prd(**changes), indent=4) + "\n"
    (folder / "prd.json").write_text(text)
    if tracked:
        (folder / "progress.txt").write_text("# What we know\n")
    git(folder, "init", "--quiet", "--initial-branch=dev")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=first")


@dataclass(kw_only=True)
class RalphModel:
    """Answers as the agents of the stories, the resolver, the diagnosis."""

    asked: list[tuple[str, int]] = field(default_factory=list)
    """(agent, step) of every request, in order of arrival."""
    requests: list[ModelCall] = field(default_factory=list)
    meets: bool = False
    """US-004 does not end before US-005 has begun, so that they must conflict."""
    _begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, request: ModelCall) -> Reply:
        name = self.who(request)
        self.asked.append((name, request.step))
        self.requests.append(request)
        if name == "US-005":
            self._begun.set()
        if name == "US-004" and request.step and self.meets:
            await self._begun.wait()
        return self.answer(name, request)

    def answer(self, name: str, request: ModelCall) -> Reply:
        """What an agent is told to do."""
        if name == "resolver":
            if request.step == 0:
                return call("write_file", path="src/shared.txt", content="both\n")
            return say("Both are kept.")
        if name == "US-006":
            return say("There is no key here.\nSTORY_BLOCKED: somebody has to buy a key")
        if request.step == 0:
            return self.writes(name, request)
        return say(f"{name} is done.\nLearned: {name} was easy.\nSTORY_COMPLETE: {name}")

    def writes(self, name: str, request: ModelCall) -> Reply:
        """The file of a story."""
        if name in ("US-004", "US-005"):
            mine = f"if grep -q by src/shared.txt; then echo both; else echo first by {name}; fi"
            return call("bash", command=f"said=$({mine}); echo $said > src/shared.txt")
        right = name != "US-003" or "A diagnosis of it says" in request.first_user_text
        text = "right" if right else "wrong"
        return call("write_file", path=f"src/{name}.txt", content=f"{text} {name}\n")

    def who(self, request: ModelCall) -> str:
        """Which agent asks."""
        if "CodeTether's merge resolver" in request.system:
            return "resolver"
        if "CodeTether's aide" in request.system:
            return "diagnosis"
        found = [s["id"] for s in STORIES if f"Your story, {s['id']}:" in request.first_user_text]
        return str(found[0])
