"""What `codetether serve` prints: where it answers, where the token is, what is not safe."""

import ipaddress
import json
from typing import TYPE_CHECKING, Any

import click

from codetether_ray.cli.style import say

if TYPE_CHECKING:
    from codetether_ray.ingress.options import IngressOptions
    from codetether_ray.ingress.serve_announced import Announced
    from codetether_ray.ingress.serve_holding import Told
    from codetether_ray.ingress.serve_starting import Serving


def warn(options: "IngressOptions") -> None:
    """Say that a token crosses the network in the clear, or that replicas are out of reach."""
    if not options.tls_certificate and not _is_loopback(options.hostname):
        say(
            "warning: without TLS (--tls-cert, --tls-key) tokens and code cross the network in the "
            f"clear, where others can reach {options.hostname}"
        )
    if options.is_spread and _is_loopback(options.hostname):
        say(
            "warning: with --spread each replica answers on its own node alone, at "
            f"{options.hostname}; --hostname 0.0.0.0 lets others reach them"
        )


def as_json_of(serving: "Serving") -> dict[str, Any]:
    """What runs, as JSON."""
    from codetether_ray.ingress.cards import grpc_address, public_url

    options = serving.options
    return {
        "status": serving.status.lower(),
        "is_well": serving.is_well,
        "name": options.name,
        "url": public_url(options),
        "grpc": grpc_address(options),
        "hostname": options.hostname,
        "port": options.port,
        "grpc_port": options.grpc_port,
        "replicas": {"wanted": options.replicas, "answering": serving.replicas},
        "since": serving.since_words,
    }


def print_told(told: "Told", *, as_json: bool) -> None:
    """Where it answers, and where the token is."""
    found = as_json_of(told.serving)
    if as_json:
        click.echo(json.dumps(found | {"token": told.token, "is_new": told.serving.is_new}))
        return
    if not told.serving.is_new:
        say("it runs already, with these settings; `codetether serve stop` ends it")
    click.echo(f"{found['name']} answers at {found['url']} (A2A, REST; {found['url']}/docs)")
    click.echo(f"and by gRPC at {found['grpc']}")
    say(told.token)


def print_status(found: "Serving | Announced | None", *, as_json: bool) -> None:
    """What runs, and how well."""
    from codetether_ray.ingress.serve_announced import Announced

    if isinstance(found, Announced):
        _print_announced(found, as_json=as_json)
        return
    if as_json:
        click.echo(json.dumps({"status": "none"} if found is None else as_json_of(found), indent=2))
        return
    if found is None:
        click.echo("nothing serves here; `codetether serve --detach` has it stay on your head")
        return
    told = as_json_of(found)
    click.echo(f"{told['name']}: {told['status']} since {told['since']}")
    click.echo(f"  HTTP  {told['url']}")
    click.echo(f"  gRPC  {told['grpc']}")
    click.echo(f"  {found.replicas} of {found.options.replicas} replicas answer")
    if found.message and not found.is_well:
        say(found.message.strip().splitlines()[-1])


def _print_announced(found: "Announced", *, as_json: bool) -> None:
    status = "running" if found.is_well else "starting"
    if as_json:
        told = {"status": status, "is_well": found.is_well, "url": found.url, "grpc": found.grpc}
        click.echo(json.dumps(told | {"since": found.since, "process": found.pid}, indent=2))
        return
    click.echo(f"{status} in process {found.pid}, at {found.where}")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
