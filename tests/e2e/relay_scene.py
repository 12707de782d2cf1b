"""A small repository, a team, and a model that works by turns: what the relay tests share."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply, call, say
from tests.e2e.program import Ended, Program

TASK = "count the words"
TEAM = ("auto-ann", "auto-bob")
COUNT = "ls *.out 2>/dev/null | wc -l"
OKR: Mapping[str, Any] = {
    "objective": "Words are counted",
    "key_results": [
        {
            "title": "three files are there",
            "target": 3,
            "direction": "higher",
            "unit": "files",
            "measure": {"type": "command", "command": COUNT, "parse": "number"},
        },
        {
            "title": "the result is written down",
            "target": 1,
            "direction": "higher",
            "measure": {"type": "file", "path": "turn-1.out"},
        },
    ],
}  # fmt: skip


@dataclass(kw_only=True)
class RelayModel:
    """Forms the team, drafts objectives, and gives each member its turns.

    A turn writes `turn-N.out` and says so, unless `is_idle`; `says` are other answers by member
    and turn (from 0).
    """

    team: Sequence[str] = TEAM
    okrs: Sequence[Mapping[str, Any]] = (OKR,)
    is_idle: bool = False
    says: Mapping[tuple[str, int], Sequence[Reply]] = field(default_factory=dict)
    asked: list[tuple[str, int, int]] = field(default_factory=list)
    """(agent, turn, step in it) of every request, in order of arrival."""

    def __call__(self, request: ModelCall) -> Reply:
        name, turn, step = self.who(request)
        self.asked.append((name, turn, step))
        if (name, turn) in self.says:
            return self.says[name, turn][step]
        if name == "planner":
            profiles = [{"name": n, "specialty": "all", "mission": "work"} for n in self.team]
            return say(json.dumps({"profiles": profiles}))
        if name == "drafter":
            drafts = sum(1 for who, _, _ in self.asked if who == "drafter")
            return say(json.dumps(self.okrs[min(drafts, len(self.okrs)) - 1]))
        if self.is_idle:
            return say(f"{name} talks of turn {turn}\nSTATUS: open")
        if step == 0:
            number = turn * len(self.team) + self.team.index(name) + 1
            return call("write_file", path=f"turn-{number}.out", content=f"{name}\n")
        return say(f"{name} wrote a file in turn {turn}\nSTATUS: open")

    def who(self, request: ModelCall) -> tuple[str, int, int]:
        """Which agent asks, in which of its turns, at which step of that."""
        turn, step = -1, 0
        for message in request.body["messages"]:
            if message["role"] == "user":
                turn, step = turn + 1, 0
            elif message["role"] == "assistant":
                step += 1
        for words, name in (
            ("You form small teams", "planner"),
            ("You turn an intent into an objective", "drafter"),
        ):
            if words in request.system:
                return name, turn, step
        found = next(n for n in self.team if f"CodeTether agent {n}," in request.system)
        return found, turn, step

    @property
    def twice(self) -> list[tuple[str, int, int]]:
        """Requests that were made more than once."""
        return [key for key, times in Counter(self.asked).items() if times > 1]


async def run(program: Program, server: ModelServer, *arguments: str, **env: str) -> Ended:
    """`codetether run` against the scripted model."""
    env = {"CODETETHER_LOCAL_BASE_URL": server.url, **env}
    return await program.run("run", *arguments, "--model", "local/m", **env)
