"""What `top` shows, as lines of text that fit a terminal."""

from typing import TYPE_CHECKING, Any

from codetether_ray.cli import words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codetether_ray.core.codec import JsonObject

_GIB = 1024**3
_LEAST = 60
"""Columns from which an agent's line says where it lives."""
_OVER = ("completed", "failed", "blocked", "cancelled", "interrupted", "timed_out")


def lines(picture: "JsonObject", width: int, height: int | None = None) -> list[str]:
    """The whole picture in `width` columns; with a `height`, what is most worth its lines."""
    out = [_cut(line, width) for line in _all(picture, width)]
    if height is None or len(out) <= height:
        return out
    left_out = len(out) - height + 1
    return [*out[: height - 1], _cut(f"… {left_out} more lines (--json has all)", width)]


def _cut(line: str, width: int) -> str:
    """The line in at most `width` cells; what does not fit is marked with an ellipsis."""
    shown = "".join(c if c.isprintable() else " " for c in line).rstrip()
    if words.cells(shown) <= width:
        return shown
    while words.cells(shown) > width - 1:
        shown = shown[:-1]
    return shown + "…"


def _all(picture: Any, width: int) -> "Iterator[str]":
    yield _headline(picture)
    for node in picture["nodes"]:
        yield _node(node)
    live = [run for run in picture["runs"] if run["state"] == "running"]
    over = [run for run in picture["runs"] if run["state"] != "running"]
    if not live:
        yield "nothing is under way"
    for run in live:
        yield ""
        yield from _run(run, width)
    if over:
        yield ""
        yield "lately"
        for run in over:
            yield _over(run)


def _headline(picture: Any) -> str:
    parts = [
        f"codetether top: {picture['source']}",
        words.plural(picture["runs_live"], "run"),
        words.plural(picture["agents_live"], "agent"),
        f"{words.count(picture['tokens'])} tokens",
        words.dollars(picture["cost_usd"]),
    ]
    return " · ".join(parts)


def _node(node: Any) -> str:
    name = node["host"] or node["node"][:12]
    draining = "  draining" if node["draining"] else ""
    return f"node {words.column(name, 20)} {_memory(node)}, {node['cpus']:g} CPUs{draining}"


def _memory(node: Any) -> str:
    """How full a node is; where Ray may give out only a part of what is free, both of these."""
    most, free = node["memory_bytes"], node["free_memory_bytes"]
    if free > most:
        return f"{free / _GIB:.1f} GiB free, {most / _GIB:.1f} GiB for agents"
    filled = round((most - free) / most * 10) if most else 0
    bar = "#" * filled + "." * (10 - filled)
    return f"[{bar}] {(most - free) / _GIB:.1f} of {most / _GIB:.1f} GiB"


def _run(run: Any, width: int) -> "Iterator[str]":
    states = run["agents_by_state"]
    counted = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in states.items())
    subtasks = f"{run['subtasks_done']}/{run['subtasks']} subtasks" if run["subtasks"] else ""
    silent = "SILENT" if run["silent"] else ""
    parts = [run["id"], run["phase"], subtasks, counted, silent, words.seconds(run["age_s"])]
    yield " · ".join(part for part in parts if part)
    spent = f"{words.count(run['tokens'])} tokens, {words.dollars(run['cost_usd'])}"
    yield f"  {spent} · {words.one_line(run['title'], width)}"
    if run["problem"]:
        yield f"  {run['problem']}"
    for agent in run["agents"]:
        yield _agent(agent, width)
    left = run["agents_count"] - len(run["agents"])
    if left > 0:
        yield f"  … and {words.plural(left, 'more agent')}"


def _agent(agent: Any, width: int) -> str:
    name = words.column(agent["name"], max(min(24, width // 4), 8))
    state = words.column(agent["state"].replace("_", " "), 11)
    right = f"{_sign(agent):>16} {words.count(agent['tokens']):>7}"
    if width >= _LEAST:
        cost = agent["cost_usd"]
        right += f" {'?' if cost is None else f'${cost:.3f}':>8}"
    room = width - 4 - words.cells(name) - words.cells(state) - len(right) - 2
    return f"  {name} {state} {words.column(_doing(agent), max(room, 0))} {right}"


def _doing(agent: Any) -> str:
    where = f" @{agent['host']}" if agent["host"] else ""
    return f"{agent['doing']}{where}"


def _sign(agent: Any) -> str:
    if agent["stuck"]:
        return "STUCK"
    if agent["silent"]:
        return f"silent {_short(agent['age_s'])}"
    return "" if agent["state"] in _OVER else f"{_short(agent['age_s'])} ago"


def _short(span_s: float) -> str:
    minutes = span_s / 60
    return f"{span_s:.0f} s" if span_s < 100 else f"{minutes:.0f} min"


def _over(run: Any) -> str:
    outcome = run["outcome"] or run["state"]
    ago = f"{_short(run['age_s'])} ago"
    used = f"{words.count(run['tokens'])} tokens"
    return f"  {run['id']}  {words.column(outcome, 12)} {ago:>9}  {used:>13}  {run['title']}"
