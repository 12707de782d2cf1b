"""One self-contained page of an OKR: progress per key result over turns, drawn as SVG.

No script and nothing from outside; whatever a model or a command wrote stands in it as text.
"""

import base64
import hashlib
import html
from collections.abc import Sequence
from dataclasses import replace

from codetether_ray.core.measures import KrReading
from codetether_ray.core.okrs import KeyResult, Okr, OkrRun
from codetether_ray.okr.progress import progress, total_progress
from codetether_ray.okr.terms import describe

_WIDE, _HIGH, _LEFT, _TOP, _RIGHT, _BOTTOM = 640, 150, 44, 12, 16, 26
_STYLE = """
:root { --back: #f6f7f9; --card: #fff; --ink: #1b2330; --soft: #5d6878; --line: #e1e5eb;
  --accent: #4457d6; --good: #1d8a4c; --bad: #d92d3f; --warn: #b36b00; color-scheme: light; }
@media (prefers-color-scheme: dark) { :root { --back: #10141b; --card: #181e27; --ink: #e4e9f0;
  --soft: #93a0b2; --line: #29323f; --accent: #8b9bff; --good: #4fcf86; --bad: #ff6675;
  --warn: #f2ad3b; color-scheme: dark; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink);
  font: 14px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
header, main { max-width: 960px; margin: 0 auto; padding: 24px; }
main { padding-top: 0; }
h1 { font-size: 22px; margin: 2px 0; overflow-wrap: anywhere; }
h2 { font-size: 16px; margin: 28px 0 8px; overflow-wrap: anywhere; }
h3 { font-size: 14px; margin: 0; overflow-wrap: anywhere; }
p { margin: 4px 0; overflow-wrap: anywhere; }
.soft { color: var(--soft); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 14px 16px; margin: 10px 0; }
.completed { color: var(--good); } .failed { color: var(--bad); } .at_risk { color: var(--warn); }
svg { width: 100%; height: auto; display: block; margin: 8px 0; }
svg text { fill: var(--soft); font-size: 11px; }
.grid { stroke: var(--line); } .goal { stroke: var(--good); stroke-dasharray: 4 4; }
.path { fill: none; stroke: var(--accent); stroke-width: 2; }
.dot { fill: var(--accent); } .dot.met { fill: var(--good); }
.gap { fill: var(--card); stroke: var(--warn); stroke-width: 1.5; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
td, th { text-align: left; padding: 2px 10px 2px 0; vertical-align: top; }
th { color: var(--soft); font-weight: 500; }
code, pre { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: 12px; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 2px 0; max-height: 16em;
  overflow: auto; }
"""


def page(okr: Okr, runs: Sequence[tuple[OkrRun, Sequence[KrReading]]]) -> str:
    """The page of an OKR and its runs with their readings, oldest first."""
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'"
    body = "".join(_run(okr, run, readings) for run, readings in runs)
    if not runs:
        body = "".join(_card(key_result, ()) for key_result in okr.key_results)
    text = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(okr.title)} · codetether</title><style>{_STYLE}</style></head><body>"
        f'<header><p class="soft">OKR {_text(okr.id)}</p><h1>{_text(okr.title)}</h1>'
        f'<p><span class="{okr.status}">{_words(okr.status)}</span> · '
        f"{total_progress(okr):.0%}</p><p>{_text(okr.description)}</p></header>"
        f"<main>{body}</main></body></html>\n"
    )
    return text.encode("utf-8", "replace").decode()


def chart(key_result: KeyResult, readings: Sequence[KrReading]) -> str:
    """Progress over turns as SVG; what is unknown is a hollow mark at the bottom, and a gap."""
    last = max((reading.turn for reading in readings), default=0)
    known = [r for r in readings if r.value is not None]
    paths = "".join(
        f'<polyline class="path" points="{line}"/>' for line in _lines(key_result, readings, last)
    )
    marks = "".join(_mark(key_result, reading, last) for reading in readings)
    label = f"{key_result.title}: {len(known)} of {len(readings)} measurements have a value"
    return (
        f'<svg viewBox="0 0 {_WIDE} {_HIGH}" role="img" aria-label="{_text(label)}">'
        f"{_grid(last)}{paths}{marks}</svg>"
    )


def _run(okr: Okr, run: OkrRun, readings: Sequence[KrReading]) -> str:
    how = _words(run.outcome or run.status)
    decided = ""
    if run.approval is not None:
        made = run.approval
        decided = f"{made.decision} by {made.approver or '?'} at {made.decided_at}"
    cards = "".join(
        _card(key_result, [one for one in readings if one.kr_id == key_result.id])
        for key_result in okr.key_results
    )
    return (
        f'<h2>{_text(run.name)}</h2><p class="soft">{_text(run.id)} · {how} · '
        f"{run.iterations} turns · {_text(decided)}</p>{cards}"
    )


def _card(key_result: KeyResult, readings: Sequence[KrReading]) -> str:
    newest = replace(key_result, current_value=readings[-1].value) if readings else key_result
    better = "at most" if key_result.direction == "lower" else "at least"
    rows = "".join(_row(reading, key_result) for reading in readings)
    risk = f'<p class="at_risk">{_text(key_result.at_risk_because)}</p>'
    table = (
        f"<table><tr><th>turn</th><th>value</th><th>commit</th><th>evidence</th></tr>{rows}</table>"
        if rows
        else '<p class="soft">not measured</p>'
    )
    return (
        f'<section class="card"><h3>{_text(key_result.title)} · {progress(newest):.0%} · '
        f'<span class="{key_result.status}">{_words(key_result.status)}</span></h3>'
        f'<p class="soft">{better} {key_result.target_value:g} {_text(key_result.unit)} · '
        f"{_text(describe(key_result.measure))}</p>"
        f"{risk if key_result.at_risk_because else ''}"
        f"{chart(key_result, readings) if readings else ''}{table}</section>"
    )


def _row(reading: KrReading, key_result: KeyResult) -> str:
    when = "baseline" if reading.is_baseline else str(reading.turn)
    unit = f" {_text(key_result.unit)}" if key_result.unit else ""
    value = "unknown" if reading.value is None else f"{reading.value:g}{unit}"
    told = (reading.reason, *reading.evidence)
    evidence = "".join(f"<pre>{_text(text)}</pre>" for text in told if text)
    commit = _text(reading.commit[:10])
    return (
        f"<tr><td>{when}</td><td>{value}</td><td><code>{commit}</code></td><td>{evidence}</td></tr>"
    )


def _grid(last: int) -> str:
    right = _WIDE - _RIGHT
    lines = ""
    for share in (0.0, 0.5, 1.0):
        y = _y(share)
        kind = "goal" if share == 1 else "grid"
        lines += (
            f'<line class="{kind}" x1="{_LEFT}" x2="{right}" y1="{y:g}" y2="{y:g}"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:g}" text-anchor="end">{share:.0%}</text>'
        )
    step = max(1, -(-last // 12))
    for turn in range(0, last + 1, step):
        lines += f'<text x="{_x(turn, last):g}" y="{_HIGH - 8}" text-anchor="middle">{turn}</text>'
    return lines


def _lines(key_result: KeyResult, readings: Sequence[KrReading], last: int) -> list[str]:
    """Points of each stretch of known values."""
    found: list[list[str]] = [[]]
    for reading in readings:
        if reading.value is None:
            found.append([])
        else:
            share = _share(key_result, reading)
            found[-1].append(f"{_x(reading.turn, last):g},{_y(share):g}")
    return [" ".join(points) for points in found if len(points) > 1]


def _mark(key_result: KeyResult, reading: KrReading, last: int) -> str:
    x = _x(reading.turn, last)
    if reading.value is None:
        said = f"turn {reading.turn}: unknown ({reading.reason})"
        place = f'cx="{x:g}" cy="{_y(0):g}" r="4"'
        return f'<circle class="gap" {place}><title>{_text(said)}</title></circle>'
    share = _share(key_result, reading)
    kind = "dot met" if share >= 1 else "dot"
    said = f"turn {reading.turn}: {reading.value:g} {key_result.unit} ({share:.0%})"
    return (
        f'<circle class="{kind}" cx="{x:g}" cy="{_y(share):g}" r="4">'
        f"<title>{_text(said)}</title></circle>"
    )


def _share(key_result: KeyResult, reading: KrReading) -> float:
    return progress(replace(key_result, current_value=reading.value))


def _x(turn: int, last: int) -> float:
    return round(_LEFT + (_WIDE - _LEFT - _RIGHT) * (turn / last if last else 0.5), 1)


def _y(share: float) -> float:
    return round(_TOP + (_HIGH - _TOP - _BOTTOM) * (1 - share), 1)


def _words(status: str) -> str:
    return status.replace("_", " ")


def _text(text: str) -> str:
    return html.escape("".join(c if c.isprintable() or c in "\n\t" else " " for c in text))
