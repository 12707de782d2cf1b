"""Rows of runs as a table for people."""

from typing import TYPE_CHECKING

import click

from codetether_ray.cli import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from codetether_ray.core.codec import JsonObject

_TITLE = 60


def print_table(rows: "Sequence[JsonObject]") -> None:
    """Two lines a run: what it is, and how to go on with it."""
    for item in rows:
        age = _age(float(str(item["age_s"]))) if item["updated_at"] else "?"
        state = str(item["state"])
        if item["outcome"]:
            state = f"{state} ({item['outcome']})"
        elif item["is_silent"]:
            state = f"{state} (silent)"
        title = words.one_line(str(item["title"] or "(no title)"), _TITLE)
        click.echo(f"{item['id']}  {item['kind'] or '?':8} {state:22} {age:>8}  {_cost(item)}")
        click.echo(f"    {title}")
        if item["detail"]:
            click.echo(f"    {item['detail']}")
        if item["continue"]:
            click.echo(f"    {item['continue']}")
        elif item["pid"]:
            click.echo(f"    process {item['pid']} on {item['host']}")


def _cost(item: "JsonObject") -> str:
    if item["archived"]:
        return "in the archive"
    if item["total_tokens"] is None:
        return ""
    cost = item["cost_usd"]
    tokens = f"{words.count(int(str(item['total_tokens'])))} tokens"
    return f"{tokens}, {words.dollars(None if cost is None else float(str(cost)))}"


def _age(span_s: float) -> str:
    for limit, size, unit in ((60, 1, "s"), (3600, 60, "min"), (86400, 3600, "h")):
        if span_s < limit:
            return f"{span_s / size:.0f} {unit}"
    return f"{span_s / 86400:.0f} d"
