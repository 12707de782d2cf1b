"""The table of slash commands: name, arguments, one line of help, and the function."""

import difflib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from codetether_ray.cli.repl import listing, manage, okrs, ralph, relays, resuming, runs
from codetether_ray.cli.repl.lines import Line

if TYPE_CHECKING:
    from codetether_ray.cli.repl.app import Repl

Completes = Literal["", "models", "runs", "jobs", "files", "directories"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One slash command."""

    run: Callable[["Repl", Line], Awaitable[None]]
    help: str
    arguments: str = ""
    completes: Completes = ""
    """What its arguments are."""
    like: str = ""
    """The CLI's command whose options it takes: `module:attribute`."""
    words: tuple[str, ...] = ()
    """First words that it knows."""
    in_front: bool = False
    """It takes the prompt's foreground; while something is there, it waits."""
    aliases: tuple[str, ...] = ()


COMMANDS: Mapping[str, Command] = MappingProxyType(
    {
        "go": Command(
            run=relays.go,
            arguments="[OPTIONS] [COUNT] TASK [&]",
            help="Draft an objective with key results, ask, and let a team pursue it.",
            like=relays.RUN,
            in_front=True,
            aliases=("team",),
        ),
        "autochat": Command(
            run=relays.autochat,
            arguments="[OPTIONS] [COUNT] TASK [&]",
            help="Let a team of agents take turns at a task, at once.",
            like=relays.RUN,
            in_front=True,
        ),
        "swarm": Command(
            run=runs.swarm,
            arguments="[OPTIONS] TASK [&]",
            help="Split a task among agents and merge their work.",
            like="codetether_ray.cli.swarm:command",
            in_front=True,
        ),
        "ralph": Command(
            run=ralph.ralph,
            arguments="[OPTIONS] [PRD] [&]",
            help="Work a PRD off, story by story; also status, create-prd.",
            like=ralph.RUN,
            completes="files",
            words=("run", *ralph.PRINTING),
            in_front=True,
        ),
        "okr": Command(
            run=okrs.okr,
            arguments="[COMMAND]",
            help="Objectives: list, status, create, approve, deny, report, resume, …",
            like=okrs.GROUP,
            words=(*okrs.PRINTING, *okrs.ASKING, "resume"),
        ),
        "resume": Command(
            run=resuming.resume,
            arguments="[ID] [&]",
            help="Go on with a run or session; without ID, with what was cut off here.",
            completes="runs",
            in_front=True,
        ),
        "new": Command(run=manage.new, help="Begin a new session with the next message."),
        "model": Command(
            run=manage.model,
            arguments="[PROVIDER/MODEL]",
            help="Show the model, or use another one from now on.",
            completes="models",
        ),
        "sessions": Command(
            run=listing.sessions,
            arguments="[--all]",
            help="List sessions of this directory.",
            like="codetether_ray.cli.sessions:command",
        ),
        "runs": Command(
            run=listing.runs,
            arguments="[--limit N]",
            help="List runs, newest first.",
            like="codetether_ray.cli.runs:command",
        ),
        "cost": Command(run=manage.cost, help="What was used since this prompt opened."),
        "jobs": Command(run=manage.jobs, help="What is under way here."),
        "bg": Command(run=manage.behind, help="Let the run in front go on in the background."),
        "cancel": Command(
            run=manage.cancel,
            arguments="[JOB|ID]",
            help="Stop a job or a run; it can be resumed.",
            completes="jobs",
        ),
        "answer": Command(run=manage.answer, help="Show the question that was set aside."),
        "help": Command(run=manage.help_, help="This list.", aliases=("h",)),
        "quit": Command(run=manage.quit_, help="Leave.", aliases=("exit", "q")),
    }
)


def find(name: str) -> Command | None:
    """The command of a name or alias."""
    if name in COMMANDS:
        return COMMANDS[name]
    return next((c for c in COMMANDS.values() if name in c.aliases), None)


def unknown(name: str) -> str:
    """The sentence on a name that is no command's."""
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    meant = f"; is /{near[0]} meant?" if near else ""
    return f"there is no command /{name}{meant} (/help lists them)"
