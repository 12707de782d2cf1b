"""The closing summary of a swarm, from the same object that `--json` prints."""

from typing import Any

from codetether_ray.cli import words
from codetether_ray.core.usage import Usage

_COLUMNS = ("agent", "outcome", "steps", "tools", "tokens", "cost", "time", "merge")
_LEFT = {"agent", "outcome", "merge"}


def summary(result: dict[str, Any]) -> list[str]:
    """What was done, by whom, what it took, and what to type next."""
    out = [f"swarm {result['swarm_id']}: {result['outcome']}"]
    if result["error"] and not any(each["error"] for each in result["subtask_results"]):
        out.append(f"  {words.one_line(result['error'], 1000)}")
    out += [f"  note: {note}" for note in result["notes"]]
    if result["subtask_results"]:
        out += ["", *_table([_row(each) for each in result["subtask_results"]])]
        out += [line for each in result["subtask_results"] for line in _trouble(each)]
    if result["diffstat"]:
        out += ["", result["diffstat"].rstrip("\n")]
    return [*out, "", _totals(result), *next_steps(result)]


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    return (
        words.one_line(one["name"], 32),
        one["status"].replace("_", " "),
        str(one["steps"]),
        str(one["tool_calls"]),
        words.count(one["usage"]["total_tokens"]),
        words.dollars(one["cost_usd"]).replace("cost unknown", "?"),
        words.seconds(one["execution_time_ms"] / 1000),
        one["merge"] or "-",
    )


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    lines = [_COLUMNS, *rows]
    widths = [max(words.cells(line[i]) for line in lines) for i in range(len(_COLUMNS))]
    return [
        "  "
        + "  ".join(
            words.column(cell, width) if name in _LEFT else cell.rjust(width)
            for name, cell, width in zip(_COLUMNS, line, widths, strict=True)
        ).rstrip()
        for line in lines
    ]


def _trouble(one: dict[str, Any]) -> list[str]:
    out = []
    if one["error"]:
        out.append(f"  {one['name']}: {words.one_line(one['error'], 400)}")
    elif one["merge"] == "unmerged":
        files = ", ".join(one["conflicts"])
        out.append(f"  {one['name']}: not merged ({files}); its work is on {one['branch']}")
    return out + [f"  {one['name']}: note: {words.one_line(note, 400)}" for note in one["notes"]]


def _totals(result: dict[str, Any]) -> str:
    counts = {k: v for k, v in result["usage"].items() if k in Usage.__dataclass_fields__}
    spent = f"{words.tokens(Usage(**counts))} · {words.dollars(result['cost_usd'])}"
    stats = result["stats"]
    took = words.seconds(stats["execution_time_ms"] / 1000)
    agents = words.plural(stats["subagents_spawned"], "sub-agent")
    return f"total: {agents} · {spent} · {took}"


def next_steps(result: dict[str, Any]) -> list[str]:
    """What to type next: to go on, to look, to merge."""
    out = []
    if result.get("delivered"):
        out.append(result["delivered"])
    if result.get("resume"):
        higher = " with a higher --max-tokens or --budget" if result["outcome"] == "budget" else ""
        out.append(f"go on: {result['resume']}{higher}")
    branch = result["branch"]
    if branch and result["diffstat"]:
        out += [f"branch: {branch}", f"  look:     git diff {result['base'][:12]} {branch}"]
        if not result.get("delivered"):
            out.append(f"  merge:    git merge {branch}")
        out.append("  clean up: codetether cleanup")
    if result.get("patch"):
        out += [f"patch: {result['patch']}", f"  apply: git apply {result['patch']}"]
    return out
