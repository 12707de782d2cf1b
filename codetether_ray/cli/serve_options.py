"""The options of whoever serves, and the values that an ingress is opened with."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from codetether_ray.cli import options

if TYPE_CHECKING:
    from codetether_ray.ingress.options import IngressOptions

F = TypeVar("F", bound=Callable[..., Any])
_PORT = click.IntRange(min=0, max=65535)
_PATH = click.Path(resolve_path=True)  # on the head, which looks whether it is there
_COUNT = click.IntRange(min=1)

_PLACES = (
    click.option(
        "--hostname",
        default="127.0.0.1",
        show_default=True,
        metavar="HOST",
        help="Listen at this address, or at those of this name; 0.0.0.0 for all.",
    ),
    click.option(
        "-p", "--port", type=_PORT, default=4096, show_default=True, metavar="N",
        help="For HTTP; 0 for any free one.",
    ),
    click.option(
        "--grpc-port", type=_PORT, default=50051, show_default=True, metavar="N",
        envvar="CODETETHER_GRPC_PORT", show_envvar=True,
        help="For gRPC; 0 for any free one.",
    ),
    click.option(
        "--replicas", type=click.IntRange(min=1, max=256), default=1, show_default=True,
        metavar="N", help="How many processes answer, on the same ports.",
    ),
    click.option(
        "--spread", "is_spread", is_flag=True,
        help="One replica a node; without it all are on the head's node.",
    ),
    click.option(
        "--tls-cert", "tls_certificate", type=_PATH, metavar="FILE",
        help="Certificate with its chain, PEM; both transports show it.",
    ),
    click.option("--tls-key", type=_PATH, metavar="FILE", help="Its key, PEM."),
)  # fmt: skip
"""Where it listens, and with how many processes."""

_WORDS = (
    click.option("--name", metavar="NAME", help="What the agent card calls this server."),
    click.option("--description", metavar="TEXT", help="What the card says."),
    click.option(
        "--public-url", metavar="URL",
        help="What the card declares, where a proxy stands in front.",
    ),
)  # fmt: skip
"""What its agent card says."""

_WORK = (
    click.option(
        "--directory", "--repo", "directory", type=_PATH, metavar="DIR",
        help="The git repository that agents work on, each on a branch of its own.  "
        "[default: an empty workspace for each conversation]",
    ),
    click.option(
        "-m", "--model", metavar="PROVIDER/MODEL", help="The model to ask."
    ),
    click.option(
        "--max-steps", type=_COUNT, metavar="N", help="Model calls of one message's turn."
    ),
    click.option(
        "--max-time", "timeout_s", type=options.SPAN, metavar="TIME",
        help="How long one message's turn may take.  [default: no limit]",
    ),
    click.option(
        "--max-tokens", type=_COUNT, metavar="N",
        help="What one message's turn may take.  [default: no limit]",
    ),
    click.option(
        "--budget", "budget_usd", type=click.FloatRange(min=0, min_open=True),
        metavar="USD", help="The same in dollars.  [default: no limit]",
    ),
    click.option("--agents", hidden=True, metavar="MODULE:FUNCTION"),
)  # fmt: skip
"""What its agents work with, and how much they may take."""

_GUARDS = (
    click.option(
        "--private-card", "is_card_private", is_flag=True,
        help="The agent card needs the token too.",
    ),
    click.option(
        "--sign-card", "is_card_signed", is_flag=True,
        help="Sign the public card with a key of the data directory.",
    ),
    click.option(
        "--cors-origin", "cors_origins", multiple=True, metavar="ORIGIN",
        help="Let pages of this origin ask (may be given several times).",
    ),
    click.option(
        "--trusted-proxy", "trusted_proxies", multiple=True, metavar="ADDRESS",
        help="Believe its X-Forwarded-For: an address or a network (several times).",
    ),
    click.option(
        "--allow-private-pushes", "allows_private_pushes", is_flag=True,
        help="Send push notifications to private and loopback addresses too.",
    ),
)  # fmt: skip
"""Whom it believes, and whom it lets in or is sent to."""

_TASKS = (
    click.option(
        "--tasks-url", metavar="postgresql://…",
        help="Keep tasks in PostgreSQL; its password is in PGPASSWORD or PGPASSFILE.  "
        "[default: SQLite on the head]",
    ),
    click.option(
        "--keep-tasks", "keep_tasks_days", type=click.FloatRange(min=0, min_open=True),
        metavar="DAYS", help="How long A2A tasks are kept that have ended.  [default: 30]",
    ),
)  # fmt: skip
"""Where tasks are kept, and how long."""


def of_an_ingress(function: F) -> F:
    """Where it listens, what it says of itself, what its agents work with."""
    for option in reversed((*_PLACES, *_WORDS, *_WORK, *_GUARDS, *_TASKS)):
        function = option(function)
    return function


def ingress_options(wanted: dict[str, Any]) -> "IngressOptions":
    """The values of a command line as options; what was not given has its default there."""
    from codetether_ray.ingress.options import IngressOptions

    return IngressOptions(**{name: value for name, value in wanted.items() if value is not None})
