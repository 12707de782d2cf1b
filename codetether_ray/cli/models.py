"""`codetether models`: what is known of models, and what a local server offers."""

import json
import os
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import click

from codetether_ray.cli import exit_codes
from codetether_ray.cli.examples import examples

if TYPE_CHECKING:
    from codetether_ray.core.codec import JsonObject
    from codetether_ray.core.models import ModelInfo

_LOCAL = "local"
_WAIT_S = 2.0


@click.command(
    "models",
    epilog=examples(
        "codetether models",
        "codetether models --provider anthropic",
        "codetether models --provider local --json",
    ),
)
@click.option("-p", "--provider", metavar="P", help="Only models of this provider.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def models(provider: str | None, as_json: bool) -> int:
    """List models with their context window and prices in dollars per million tokens.

    Models of `local` are asked of the server. A model that is not listed can be used all the
    same, as PROVIDER/MODEL; its price is then unknown.
    """
    from codetether_ray.core.errors import UnknownProviderError
    from codetether_ray.providers.catalog import MODELS
    from codetether_ray.providers.profiles import PROFILES

    if provider is not None and provider not in PROFILES:
        raise UnknownProviderError(provider, tuple(sorted(PROFILES)))
    rows = [_row(info) for info in MODELS.values() if provider is None or info.provider == provider]
    trouble = ""
    if provider in (None, _LOCAL):
        known = {row["id"] for row in rows if row["provider"] == _LOCAL}
        local, trouble = _ask_local()
        rows += [row for row in local if row["id"] not in known]
    if trouble and provider == _LOCAL:
        click.echo(trouble, err=True)
    rows.sort(key=lambda row: (str(row["provider"]), str(row["id"])))
    click.echo(json.dumps(rows, indent=2) if as_json else _table(rows))
    return exit_codes.FAILED if trouble and provider == _LOCAL else exit_codes.SUCCESS


command = models


def _row(info: "ModelInfo") -> "JsonObject":
    return {
        "id": info.id,
        "name": info.id,
        "provider": info.provider,
        "context_window": info.context_window,
        "max_output_tokens": info.max_output_tokens,
        "supports_vision": info.supports_vision,
        "supports_tools": True,
        "supports_streaming": True,
        "input_cost_per_million": info.price.input if info.price else None,
        "output_cost_per_million": info.price.output if info.price else None,
    }


def _ask_local() -> tuple[list["JsonObject"], str]:
    """The models that the local server offers, or why it could not be asked."""
    from codetether_ray.bootstrap.auditing.opening import acting
    from codetether_ray.config.settings import load_settings
    from codetether_ray.core.errors import AuditError
    from codetether_ray.ports.audit import Action
    from codetether_ray.providers.profiles import PROFILES

    settings = load_settings(Path.cwd(), os.environ)
    address = settings.base_url(_LOCAL) or PROFILES[_LOCAL].base_url
    window = settings.context_windows.get(_LOCAL)
    url = f"{address.rstrip('/')}/models"
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    action = Action(category="api", action="models.list", resource=_LOCAL)
    try:
        with acting(settings.paths.data, action), direct.open(url, timeout=_WAIT_S) as answer:
            found = json.load(answer)["data"]
        return [_offered(str(model["id"]), window) for model in found], ""
    except AuditError as error:
        return [], f"the local model server was not asked: {error}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(getattr(error, "reason", error)) or type(error).__name__
        hint = "start it, or set CODETETHER_LOCAL_BASE_URL"
        return [], f"the local model server does not answer at {url} ({reason}); {hint}"


def _offered(model: str, window: int | None) -> "JsonObject":
    """A model of which only the name is known, and what the settings say of its window."""
    return {
        "id": model,
        "name": model,
        "provider": _LOCAL,
        "context_window": window,
        "max_output_tokens": None,
        "supports_vision": None,
        "supports_tools": None,
        "supports_streaming": True,
        "input_cost_per_million": None,
        "output_cost_per_million": None,
    }


def _table(rows: list["JsonObject"]) -> str:
    head = ("MODEL", "CONTEXT", "OUTPUT", "IN $/M", "OUT $/M", "SEES")
    cells = [head] + [
        (
            f"{row['provider']}/{row['id']}",
            _count(row["context_window"]),
            _count(row["max_output_tokens"]),
            _price(row["input_cost_per_million"]),
            _price(row["output_cost_per_million"]),
            "yes" if row["supports_vision"] else "",
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            text.ljust(width) if column == 0 else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    )


def _count(number: object) -> str:
    from codetether_ray.cli.words import count

    return count(number) if isinstance(number, int) else "?"


def _price(price: object) -> str:
    return f"{price:g}" if isinstance(price, (int, float)) else "?"
