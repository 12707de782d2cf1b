"""`codetether top`: what is under way, live."""

import asyncio
import json
import os
import shutil
import signal
import sys
from typing import TYPE_CHECKING, Protocol

import click

from codetether_ray.cli import exit_codes, options
from codetether_ray.cli.examples import examples

if TYPE_CHECKING:
    from rich.live import Live

    from codetether_ray.core.codec import JsonObject

_WIDTH = 100
"""Columns where there is no terminal."""


@click.command(
    "top",
    epilog=examples(
        "codetether top",
        "codetether top --once",
        "codetether top --address 10.0.0.5:6379",
        "codetether top --json --once | jq '.runs[] | {id, phase, tokens}'",
    ),
)
@options.address
@click.option("--once", is_flag=True, help="Print the picture once, as text, and end.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON objects, one a line.")
@click.option(
    "--every",
    "every_s",
    type=options.SPAN,
    default="2s",
    show_default=True,
    metavar="TIME",
    help="How often to look.",
)
def top(address: str | None, once: bool, as_json: bool, every_s: float) -> int:
    """Show runs under way, their agents, tokens and cost, and the nodes' memory; Ctrl-C ends it.

    The picture is of this machine, or of the cluster that --address, RAY_ADDRESS or `codetether
    context` names. It is drawn on a screen of its own, and leaves nothing behind. Where the
    output is no terminal it is printed once.
    """
    is_terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    once = once or not (is_terminal or as_json)
    view: View = _Json() if as_json else _Text() if once else _Screen()
    return asyncio.run(_shown(address, view, None if once else every_s))


class View(Protocol):
    """Shows pictures."""

    def show(self, picture: "JsonObject") -> None:
        """One picture."""
        ...

    def close(self) -> None:
        """No more come."""
        ...


async def _shown(address: str | None, view: View, every_s: float | None) -> int:
    from codetether_ray.bootstrap.top_source import open_source
    from codetether_ray.cli.style import say
    from codetether_ray.config.paths import data_dir

    loop, enough = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, enough.set)
    async with open_source(address, data_dir(os.environ), say) as source:
        try:
            while not enough.is_set():
                view.show(await source.look())
                if every_s is None:
                    break
                await _either(enough, every_s)
        finally:
            view.close()
    return exit_codes.SUCCESS


async def _either(enough: asyncio.Event, span_s: float) -> None:
    try:
        async with asyncio.timeout(span_s):
            await enough.wait()
    except TimeoutError:
        return


class _Json:
    """One object a line."""

    def show(self, picture: "JsonObject") -> None:
        """Print it."""
        click.echo(json.dumps(picture, ensure_ascii=False))

    def close(self) -> None:
        """Nothing is left to do."""


class _Text:
    """Plain lines."""

    def show(self, picture: "JsonObject") -> None:
        """Print them."""
        from codetether_ray.cli.top_screen import lines

        width = shutil.get_terminal_size((_WIDTH, 24)).columns
        click.echo("\n".join(lines(picture, width)))

    def close(self) -> None:
        """Nothing is left to do."""


class _Screen:
    """A terminal's other screen, which is left as it was found."""

    def __init__(self) -> None:
        self._live: Live | None = None

    def show(self, picture: "JsonObject") -> None:
        """Draw it."""
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        from codetether_ray.cli.top_screen import lines

        if self._live is None:
            self._live = Live(console=Console(), screen=True, auto_refresh=False)
            self._live.start()
        size = shutil.get_terminal_size()
        drawn = Text("\n".join(lines(picture, size.columns, size.lines)), no_wrap=True)
        drawn.highlight_words(("STUCK", "SILENT"), "bold red")
        drawn.highlight_regex(r"^codetether top.*", "bold")
        self._live.update(drawn, refresh=True)

    def close(self) -> None:
        """Give the screen back."""
        if self._live is not None:
            self._live.stop()
            self._live = None


command = top
