"""`codetether okr`: objectives, key results, and the runs that pursue them."""

from types import MappingProxyType

import click

from codetether_ray.cli.commands import Entry
from codetether_ray.cli.examples import examples
from codetether_ray.cli.lazy import LazyGroup

_CLI = "codetether_ray.cli"

OKR = MappingProxyType(
    {
        "list": Entry(f"{_CLI}.okr_list", "List OKRs and how far they are."),
        "status": Entry(f"{_CLI}.okr_status", "Show one OKR: key results, measures, runs."),
        "create": Entry(f"{_CLI}.okr_create", "Write an OKR yourself."),
        "runs": Entry(f"{_CLI}.okr_runs", "List runs of OKRs."),
        "export": Entry(f"{_CLI}.okr_export", "Print OKRs, runs and readings as JSON."),
        "stats": Entry(f"{_CLI}.okr_stats", "Count OKRs and runs by status."),
        "report": Entry(f"{_CLI}.okr_report", "Report what was measured, turn by turn."),
        "approve": Entry(f"{_CLI}.okr_approve", "Look at a draft and approve, deny or edit it."),
        "deny": Entry(f"{_CLI}.okr_deny", "Deny a draft."),
        "resume": Entry(f"{_CLI}.okr_resume", "Start an approved run, or go on with one."),
        "cancel": Entry(f"{_CLI}.okr_cancel", "Give a run up for good, and stop its relay."),
    }
)
"""The group's commands; see `commands.COMMANDS`."""


@click.group(
    "okr",
    cls=LazyGroup,
    table=OKR,
    epilog=examples(
        'codetether run "/go make the search twice as fast"',
        "codetether okr list",
        "codetether okr report --id 3f2a --html report.html",
    ),
)
def command() -> None:
    """Objectives with key results that are measured, and the runs that pursue them.

    `codetether run "/go TASK"` drafts them from an intent, asks, and lets a team work on them.
    """
