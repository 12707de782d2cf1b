"""`codetether up`: a Ray head that this user's commands share."""

import asyncio
import json
import os
import signal
import sys
from typing import Any

import click

from codetether_ray.cli import exit_codes, options
from codetether_ray.cli.examples import examples


@click.command(
    "up",
    epilog=examples(
        "codetether up",
        "codetether up --dashboard --memory 8GB",
        "codetether up --warm 8   # a swarm's first eight agents wait for no process",
        "codetether up --foreground   # in a service or a container",
    ),
)
@click.option("--dashboard", is_flag=True, help="Start Ray's dashboard as well.")
@click.option(
    "--memory",
    "memory_bytes",
    type=options.SIZE,
    metavar="SIZE",
    help="Memory that agents may take there.  [default: 70 % of what is free]",
)
@click.option(
    "--warm",
    type=click.IntRange(min=0, max=1000),
    default=0,
    metavar="N",
    help="Keep N processes of agents ready.  [default: 0]",
)
@click.option("--foreground", is_flag=True, help="Hold the head in this process, until Ctrl-C.")
def command(foreground: bool, **wanted: Any) -> int:
    """Start a Ray head on this machine, for all your commands: they begin sooner on it.

    It runs until `codetether down`. It has a token that only you can read, and agents on it see
    the variables of the command that they work for. Where RAY_ADDRESS is set, that cluster is
    joined instead.
    """
    from codetether_ray.bootstrap.auditing.opening import acting
    from codetether_ray.bootstrap.head import HeadWish, start
    from codetether_ray.cli.output import say
    from codetether_ray.config.paths import data_dir
    from codetether_ray.ports.audit import Action

    wish = HeadWish(data_dir=data_dir(os.environ), **wanted)
    with acting(wish.data_dir, Action(category="sandbox", action="head.up")) as done:
        if foreground:
            return asyncio.run(_hold(wish))
        up = start(wish)
        done.detail |= {"address": up.address, "is_new": up.is_new}
    if up.is_new:
        say("a Ray head runs for your commands; `codetether down` ends it")
    else:
        say("a Ray head runs already, as it was started; `codetether down` ends it")
    click.echo(up.address)
    if up.dashboard_url:
        say(f"Ray's dashboard: {up.dashboard_url}")
    return exit_codes.SUCCESS


async def _hold(wish: Any) -> int:
    from dataclasses import asdict

    from codetether_ray.bootstrap.head import Up, hold
    from codetether_ray.cli.output import say

    loop, enough = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, enough.set)

    def tell(up: Up) -> None:
        sys.stdout.write(json.dumps(asdict(up)) + "\n")
        sys.stdout.flush()

    await hold(wish, tell, say, enough)
    return exit_codes.SUCCESS
