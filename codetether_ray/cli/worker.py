"""`codetether worker`: take tasks from a platform and do them."""

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codetether_ray.cli import exit_codes, options
from codetether_ray.cli.examples import examples

if TYPE_CHECKING:
    from codetether_ray.worker.run import WorkerRun

SERVER, TOKEN, NAME = "CODETETHER_SERVER", "CODETETHER_TOKEN", "CODETETHER_WORKER_NAME"
HOST, PORT = "CODETETHER_WORKER_HOST", "CODETETHER_WORKER_PORT"
NO_HTTP = "CODETETHER_WORKER_HTTP_DISABLED"


@click.command(
    "worker",
    epilog=examples(
        "CODETETHER_TOKEN=… codetether worker --server https://agents.example.com",
        "codetether worker --server http://127.0.0.1:4096 --token-file ~/worker.token",
        "codetether worker -s $URL --codebases ~/src/api,~/src/web --concurrency 2",
        "codetether worker -s $URL --auto-approve none --name reviewer",
    ),
)
@click.option(
    "-s",
    "--server",
    envvar=SERVER,
    show_envvar=True,
    metavar="URL",
    default="http://127.0.0.1:4096",
    show_default=True,
    help="The platform.",
)
@click.option(
    "-t", "--token", metavar="TOKEN", help="Its token. Who lists processes sees it: better below."
)
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help=f"A file with the token that only you can read.  [default: {TOKEN}]",
)
@click.option("-n", "--name", envvar=NAME, show_envvar=True, help="How tasks may name this worker.")
@click.option(
    "-c",
    "--codebases",
    metavar="DIR,DIR…",
    default=".",
    show_default=True,
    help="Directories that tasks may be about; nothing is worked on elsewhere.",
)
@click.option(
    "--auto-approve",
    "level",
    type=click.Choice(["all", "safe", "none"]),
    default="safe",
    show_default=True,
    help="all: every tool; safe: reads, and edits on a branch of their own; none: reads alone.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(min=1, max=1000),
    default=1,
    show_default=True,
    metavar="N",
    help="Tasks at once.",
)
@click.option("-m", "--model", metavar="PROVIDER/MODEL", help="Where a task names none.")
@click.option(
    "--grace",
    "grace_s",
    type=options.SPAN_OR_ZERO,
    default="20",
    show_default=True,
    metavar="TIME",
    help="For tasks to end on SIGTERM, before they are handed back.",
)
@click.option(
    "--hostname",
    envvar=HOST,
    show_envvar=True,
    default="0.0.0.0",
    show_default=True,
    help="Where the probes listen.",
)
@click.option(
    "--port",
    envvar=PORT,
    show_envvar=True,
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="The probes' port.",
)
@click.option(
    "--no-http-server", envvar=NO_HTTP, show_envvar=True, is_flag=True, help="No probes at all."
)
@options.address
def command(**given: Any) -> int:
    """Take tasks from a platform (`codetether serve`) and do them as sessions or swarms.

    A task is one worker's alone while it lives; what it began and cannot end is offered again.
    Ctrl-C or SIGTERM: nothing new is taken, and what is under way may end within --grace, then it
    is handed back; the second time ends at once.
    """
    from codetether_ray.bootstrap.worker.opening import WorkerOptions

    token = _token(given["token"], given["token_file"])
    wanted = WorkerOptions(
        server=given["server"],
        name=given["name"] or f"codetether-{os.getpid()}",
        codebases=tuple(Path(one.strip()) for one in given["codebases"].split(",") if one.strip()),
        level=given["level"],
        concurrency=given["concurrency"],
        model=given["model"],
        grace_s=given["grace_s"],
        address=given["address"],
    )
    if not wanted.codebases:
        raise click.UsageError("--codebases names no directory")
    probes = None if given["no_http_server"] else (given["hostname"], given["port"])
    return asyncio.run(_work(wanted, token, probes))


async def _work(wanted: Any, token: str, probes_at: tuple[str, int] | None) -> int:
    from codetether_ray.bootstrap.worker.opening import opened_worker
    from codetether_ray.cli.style import say
    from codetether_ray.worker.probes import Probes

    async with opened_worker(wanted, token, say) as worker:
        me = worker.me
        probes = Probes(worker, me.id, me.name, token)
        if probes_at is not None:
            port = await probes.start(*probes_at)
            say(f"probes: http://{probes_at[0]}:{port}/health and /ready")
        try:
            say(f"worker {me.name} ({me.id}) takes tasks from {wanted.server}")
            say(f"codebases: {', '.join(me.codebases)} · auto-approve: {wanted.level}")
            _heed_signals(worker)
            await worker.work()
        finally:
            await probes.close()
    say("left; nothing is under way")
    return exit_codes.SUCCESS


def _heed_signals(worker: "WorkerRun") -> None:
    import signal

    from codetether_ray.cli.style import say

    is_stopping = False

    def signalled() -> None:
        nonlocal is_stopping
        if is_stopping:
            say("ended at once; what was under way is offered again when its lease runs out")
            os._exit(exit_codes.INTERRUPTED)
        is_stopping = True
        say("stopping: nothing new is taken; once more ends at once")
        worker.stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signalled)


def _token(given: str | None, file: Path | None) -> str:
    """The token: of the flag, else of the file, else of the environment.

    Raises:
        UsageError: others can read the file, or it is empty.
    """
    from codetether_ray.core.errors import UsageError

    if given:
        click.echo(
            "codetether: --token shows in the list of processes; use "
            f"{TOKEN} or --token-file instead",
            err=True,
        )
        return given
    if file is None:
        return os.environ.get(TOKEN, "")
    if file.stat().st_mode & 0o077:
        raise UsageError(f"{file} can be read by others; make it yours alone: chmod 600 {file}")
    token = file.read_text("utf-8").strip()
    if not token:
        raise UsageError(f"{file} is empty; it should hold the token")
    return token
