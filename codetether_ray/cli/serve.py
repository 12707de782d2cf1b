"""`codetether serve`: the server for A2A and HTTP; what runs, and its end."""

import asyncio
import os
import signal
from typing import Any

import click

from codetether_ray.cli import exit_codes, options
from codetether_ray.cli.examples import examples
from codetether_ray.cli.serve_options import of_an_ingress


@click.group(
    "serve",
    invoke_without_command=True,
    epilog=examples(
        "codetether serve",
        "codetether serve --repo ~/project --model anthropic/claude-sonnet-4-5",
        "codetether serve --detach   # on your head, until `codetether serve stop`",
        "codetether serve --hostname 0.0.0.0 --tls-cert cert.pem --tls-key key.pem --replicas 4",
        "codetether serve status --json",
    ),
)
@of_an_ingress
@options.address
@click.option("--detach", is_flag=True, help="Leave it on your head, and return.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object once it answers.")
@click.pass_context
def serve(
    ctx: click.Context, /, address: str | None, detach: bool, as_json: bool, **wanted: Any
) -> int | None:
    """Serve A2A (JSON-RPC, HTTP+JSON, gRPC) and the REST API, until Ctrl-C.

    It runs on the cluster that is named, on your head (`codetether up`), else on a Ray of its own.
    Every request needs a bearer token but those for health and the public agent card; where the
    token is, is said at the start. Ctrl-C lets what is under way end; a second one does not wait.
    """
    if ctx.invoked_subcommand is not None:
        return None
    from codetether_ray.cli.serve_options import ingress_options
    from codetether_ray.cli.serve_output import warn

    chosen = ingress_options(wanted)
    warn(chosen)
    if detach:
        return _leave(chosen, address, as_json)
    return asyncio.run(_hold(chosen, address, as_json))


@serve.command(
    "status", epilog=examples("codetether serve status", "codetether serve status --json")
)
@options.address
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(address: str | None, as_json: bool) -> int:
    """Say what serves on the cluster, where and since when; exit code 1 if nothing does, or ill."""
    from codetether_ray.cli.serve_output import print_status
    from codetether_ray.cli.style import say
    from codetether_ray.config.paths import data_dir
    from codetether_ray.ingress.serve_holding import look

    found = asyncio.run(look(address, data_dir(os.environ), say))
    print_status(found, as_json=as_json)
    return exit_codes.SUCCESS if found is not None and found.is_well else exit_codes.FAILED


@serve.command("stop", epilog=examples("codetether serve stop"))
@options.address
def stop(address: str | None) -> int:
    """End what serves on the cluster; what is under way has some seconds."""
    from codetether_ray.bootstrap.auditing.opening import acting
    from codetether_ray.cli.style import say
    from codetether_ray.config.paths import data_dir
    from codetether_ray.ingress.serve_holding import end
    from codetether_ray.ports.audit import Action

    folder = data_dir(os.environ)
    with acting(folder, Action(category="api", action="serve.stop"), notice=say) as done:
        found = asyncio.run(end(address, folder, say))
        done.detail["found"] = found is not None
    if found is None:
        click.echo("nothing of yours serves; nothing was ended")
    else:
        click.echo(f"what served at {found.where} ended")
    return exit_codes.SUCCESS


def _leave(chosen: Any, address: str | None, as_json: bool) -> int:
    from codetether_ray.cli.serve_output import print_told
    from codetether_ray.cli.style import say
    from codetether_ray.config.paths import data_dir
    from codetether_ray.ingress.serve_holding import leave

    told = asyncio.run(leave(chosen, address, data_dir(os.environ), say))
    print_told(told, as_json=as_json)
    return exit_codes.SUCCESS


async def _hold(chosen: Any, address: str | None, as_json: bool) -> int:
    from codetether_ray.cli.serve_output import print_told
    from codetether_ray.cli.style import say
    from codetether_ray.config.paths import data_dir
    from codetether_ray.ingress.serve_holding import Told, hold

    loop, enough = asyncio.get_running_loop(), asyncio.Event()

    def signalled() -> None:
        if enough.is_set():
            os._exit(exit_codes.INTERRUPTED)
        enough.set()

    def watch() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, signalled)

    def tell(told: Told) -> None:
        watch()  # again: a library may have put its own handlers in place
        print_told(told, as_json=as_json)

    watch()
    await hold(chosen, address, data_dir(os.environ), tell, say, enough)
    return exit_codes.SUCCESS


command = serve
