"""`/resume`: goes on with what was cut off, or with what is named."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from codetether_ray.cli.repl import conversation, ralph, relays, runs
from codetether_ray.cli.repl.lines import Line
from codetether_ray.core.errors import UsageError

if TYPE_CHECKING:
    from codetether_ray.cli.repl.app import Repl

_LOOKED_AT = 50
"""How many of the newest runs it chooses from."""


async def resume(repl: "Repl", line: Line) -> None:
    """`/resume [ID]`: go on with a session or with another run."""
    row = await asyncio.to_thread(_to_resume, repl, line.text)
    if row["kind"] == "session":
        _resume_session(repl, row)
        return
    starter = STARTERS.get(str(row["kind"]))
    if starter is None:
        raise UsageError(f"{row['id']} is a {row['kind']}; it goes on with: {row['continue']}")
    again = Line(command="", text=f"--resume {row['id']}", in_background=line.in_background)
    await starter(repl, again)


def _resume_session(repl: "Repl", row: dict[str, Any]) -> None:
    session_id = str(row["id"])
    repl.talk.session_id, repl.talk.answered_by = session_id, str(row["model"])
    if row["resume"] is None:
        repl.say(f'the next message goes on with {session_id} ("{row["title"]}")')
        return
    wish = repl.talk.again(session_id)
    repl.begin_turn(lambda job: conversation.turn(repl, job, wish), str(row["title"]))


def _to_resume(repl: "Repl", named: str) -> dict[str, Any]:
    """The row of the run that is meant. It blocks.

    Raises:
        UsageError: there is none.
    """
    from codetether_ray.bootstrap.truth.reading import reading
    from codetether_ray.bootstrap.truth.runs import ROWS

    with reading(None, repl.say_from_thread) as source:
        limit = None if named else _LOOKED_AT
        rows: list[dict[str, Any]] = source.ask(ROWS, limit, "", None, time.time())
    if named:
        found = next((row for row in rows if row["id"] == named), None)
        if found is None:
            raise UsageError(f"there is no run {named} (/runs lists them)")
        return found
    here = [row for row in rows if row["directory"] == str(repl.talk.directory)]
    cut = [row for row in here if row["state"] == "interrupted"]
    newest = [row for row in here if row["kind"] == "session" or row["resume"]]
    if not cut and not newest:
        raise UsageError("there is nothing to go on with in this directory yet")
    return (cut or newest)[0]


STARTERS: Mapping[str, Callable[["Repl", Line], Awaitable[None]]] = MappingProxyType(
    {"swarm": runs.swarm, "ralph": ralph.ralph, "relay": relays.autochat}
)
"""What goes on with a run of a kind, given `--resume ID`."""
