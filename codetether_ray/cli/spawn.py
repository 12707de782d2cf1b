"""`codetether spawn`: an agent of one's own that others can find and talk with, without Ray."""

import asyncio
import json
import os
import signal
from typing import TYPE_CHECKING, Any

import click

from codetether_ray.cli import exit_codes, options
from codetether_ray.cli.examples import examples

if TYPE_CHECKING:
    from codetether_ray.ingress.spawning import PeerWish, Spawned

_PORT = click.IntRange(min=0, max=65535)
_PATH = click.Path(resolve_path=True, exists=True, file_okay=False)
_FLOOR_S = 5.0


@click.command(
    "spawn",
    epilog=examples(
        "codetether spawn --name alice",
        "codetether spawn --name bob --port 4098 --peer http://127.0.0.1:4097",
        "CODETETHER_A2A_PEERS=https://a.example.com,https://b.example.com codetether spawn",
        "CODETETHER_PEER_TOKENS=~/peers.json codetether spawn --name carol --repo ~/project",
    ),
)
@click.option("-n", "--name", metavar="NAME", help="Its name.  [default: peer-PORT]")
@click.option(
    "--hostname",
    default="127.0.0.1",
    show_default=True,
    metavar="HOST",
    help="Listen at this address, or at those of this name; 0.0.0.0 for all.",
)
@click.option(
    "-p",
    "--port",
    type=_PORT,
    default=4097,
    show_default=True,
    metavar="N",
    help="For HTTP; 0 for any free one.",
)
@click.option(
    "--grpc-port",
    type=_PORT,
    default=0,
    metavar="N",
    envvar="CODETETHER_GRPC_PORT",
    show_envvar=True,
    help="For gRPC.  [default: any free one]",
)
@click.option(
    "--public-url", metavar="URL", help="What the card declares, where a proxy stands in front."
)
@click.option("-d", "--description", metavar="TEXT", help="What the card says.")
@click.option(
    "--peer",
    "peers",
    multiple=True,
    metavar="URL",
    help="A peer to begin with (repeat, or separate by commas); CODETETHER_A2A_PEERS names more.",
)
@click.option(
    "--discovery-interval-secs",
    "interval_s",
    type=click.FloatRange(min=0),
    default=15.0,
    show_default=True,
    metavar="N",
    help="How often peers are looked at; at least 5.",
)
@click.option(
    "--no-auto-introduce",
    "introduces",
    is_flag=True,
    flag_value=False,
    default=True,
    help="Do not tell new peers of this one.",
)
@click.option("-m", "--model", metavar="PROVIDER/MODEL", help="The model to ask.")
@click.option(
    "--directory",
    "--repo",
    "directory",
    type=_PATH,
    metavar="DIR",
    help="The git repository that its agents work on, each on a branch of its own.  "
    "[default: an empty workspace for each conversation]",
)
@click.option(
    "--max-steps",
    type=click.IntRange(min=1),
    metavar="N",
    help="Model calls of one message's turn.",
)
@click.option(
    "--max-time",
    "timeout_s",
    type=options.SPAN,
    metavar="TIME",
    help="How long one message's turn may take.  [default: no limit]",
)
@click.option(
    "--max-tokens",
    type=click.IntRange(min=1),
    metavar="N",
    help="What one message's turn may take.  [default: no limit]",
)
@click.option(
    "--budget",
    "budget_usd",
    type=click.FloatRange(min=0, min_open=True),
    metavar="USD",
    help="The same in dollars.  [default: no limit]",
)
@click.option(
    "--tls-cert",
    "tls_certificate",
    type=click.Path(resolve_path=True),
    metavar="FILE",
    help="Certificate with its chain, PEM; both transports show it.",
)
@click.option("--tls-key", type=click.Path(resolve_path=True), metavar="FILE", help="Its key, PEM.")
@click.option("--agents", hidden=True, metavar="MODULE:FUNCTION")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object once it answers.")
def command(
    peers: tuple[str, ...], interval_s: float, introduces: bool, as_json: bool, **wanted: Any
) -> int:
    """Be an agent that others find and talk with: A2A over JSON-RPC, HTTP+JSON and gRPC.

    One process, without Ray; Ctrl-C ends it. It looks for peers and for whom they know, and its
    agents have tools to talk with them. Tasks and its token are kept under its name. Tokens for
    peers are in the file that CODETETHER_PEER_TOKENS names: {"URL": "token"}, readable by you
    alone.
    """
    from codetether_ray.cli.serve_output import warn
    from codetether_ray.ingress.loop import new_loop

    wish = _wish(peers, interval_s, introduces, wanted)
    warn(wish.options)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_hold(wish, as_json))
    return exit_codes.SUCCESS


def _wish(
    peers: tuple[str, ...], interval_s: float, introduces: bool, wanted: dict[str, Any]
) -> "PeerWish":
    """What was asked for.

    Raises:
        click.UsageError: a peer's URL is none.
    """
    from codetether_ray.a2a.peers import normal_url
    from codetether_ray.bootstrap.a2a.peer_desk import named_peers
    from codetether_ray.config.paths import data_dir
    from codetether_ray.ingress.options import IngressOptions
    from codetether_ray.ingress.spawning import PeerWish

    given = [url for text in peers for url in text.replace(",", " ").split()]
    seeds = tuple(dict.fromkeys((*given, *named_peers(os.environ))))
    for url in seeds:
        if not normal_url(url):
            raise click.UsageError(f"{url!r} is no URL of a peer; write http://HOST:PORT")
    values = {name: value for name, value in wanted.items() if value is not None}
    values.setdefault("name", f"peer-{values['port']}" if values["port"] else f"peer-{os.getpid()}")
    return PeerWish(
        options=IngressOptions(**values, data_dir=str(data_dir(os.environ))),
        peers=seeds,
        interval_s=max(interval_s, _FLOOR_S),
        introduces=introduces,
    )


async def _hold(wish: "PeerWish", as_json: bool) -> None:
    from codetether_ray.cli.style import say
    from codetether_ray.ingress.spawning import spawned

    enough = asyncio.Event()
    loop = asyncio.get_running_loop()

    def signalled() -> None:
        if enough.is_set():
            os._exit(exit_codes.INTERRUPTED)
        enough.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signalled)
    async with spawned(wish, say) as peer:
        _tell(peer, as_json=as_json)
        await enough.wait()
        say("draining: what is under way has some seconds; once more ends at once")


def _tell(peer: "Spawned", *, as_json: bool) -> None:
    from codetether_ray.cli.style import say
    from codetether_ray.ingress.cards import grpc_address, public_url

    options = peer.parts.options
    url, grpc = public_url(options), grpc_address(options)
    if as_json:
        told = {
            "name": options.name, "url": url, "grpc": grpc, "instance": options.instance,
            "port": options.port, "grpc_port": options.grpc_port,
            "data_dir": str(peer.data_dir), "token_file": peer.token_file or None,
        }  # fmt: skip
        click.echo(json.dumps(told))
        return
    click.echo(f"{options.name} answers at {url} (A2A, REST; {url}/docs)")
    click.echo(f"and by gRPC at {grpc}")
    if peer.token_file:
        say(f"its token is in {peer.token_file}")
    else:
        say("its token is the CODETETHER_AUTH_TOKEN that it was started with")
