"""Commands of the CLI that print and return: run as they are, their output above the prompt."""

import asyncio
import importlib
import shlex
from typing import TYPE_CHECKING

import click

from codetether_ray.cli.repl.lines import Line
from codetether_ray.core.errors import UsageError

if TYPE_CHECKING:
    from codetether_ray.cli.repl.app import Repl


async def sessions(repl: "Repl", line: Line) -> None:
    """`/sessions`."""
    await printed(repl, "codetether_ray.cli.sessions:command", line.text)


async def runs(repl: "Repl", line: Line) -> None:
    """`/runs`."""
    await printed(repl, "codetether_ray.cli.runs:command", line.text)


async def printed(repl: "Repl", like: str, text: str, *first: str) -> None:
    """Run a command of the CLI in a thread; `first` are words before those of `text`.

    Raises:
        CodetetherError: what it raised.
        click.ClickException: its words are wrong.
    """
    module, _, attribute = like.partition(":")
    command: click.Command = getattr(importlib.import_module(module), attribute)
    words = [*first, *words_of(text)]
    await asyncio.to_thread(
        command.main, words, prog_name=f"/{command.name}", standalone_mode=False
    )
    await repl.screen.settle()


def words_of(text: str) -> list[str]:
    """The words of a command line.

    Raises:
        UsageError: a quote is not closed.
    """
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(f"a quote is not closed: {text[:60]}") from error
