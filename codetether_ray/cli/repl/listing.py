"""Commands of the CLI that print and return: run as they are, their output above the prompt."""

import asyncio
import importlib
import shlex
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, TypeVar

import click
from prompt_toolkit.application import run_in_terminal

from codetether_ray.cli.repl.lines import Line
from codetether_ray.core.errors import UsageError

if TYPE_CHECKING:
    from codetether_ray.cli.repl.app import Repl


T = TypeVar("T")


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
    command, words = _command(like), [*first, *words_of(text)]
    await asyncio.to_thread(
        command.main, words, prog_name=f"/{command.name}", standalone_mode=False
    )
    await repl.screen.settle()


async def at_the_terminal(repl: "Repl", like: str, text: str, *first: str) -> None:
    """Run a command of the CLI that asks: it has the terminal until it returns.

    Raises:
        CodetetherError: what it raised.
        click.ClickException: its words are wrong.
    """
    command, words = _command(like), [*first, *words_of(text)]

    await lent(
        repl,
        lambda: command.main(words, prog_name=f"/{command.name}", standalone_mode=False),
    )


async def lent(repl: "Repl", call: Callable[[], T]) -> T:
    """What a function returns that blocks, and has the terminal to itself meanwhile."""

    def alone() -> T:
        with redirect_stdout(sys.__stdout__), redirect_stderr(sys.__stderr__):
            return call()

    with repl.lending():
        return await run_in_terminal(alone, in_executor=True)


def _command(like: str) -> click.Command:
    module, _, attribute = like.partition(":")
    found: click.Command = getattr(importlib.import_module(module), attribute)
    return found


def words_of(text: str) -> list[str]:
    """The words of a command line.

    Raises:
        UsageError: a quote is not closed.
    """
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(f"a quote is not closed: {text[:60]}") from error
