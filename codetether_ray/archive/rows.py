"""Journal lines as Parquet: one row a record, partitioned by date and kind.

    <root>/date=2026-11-22/kind=tool.finished/<run>-<start>-<end>.parquet

A copy to query, never the truth: it can be made again from the segments. Files of days that are
over are joined, since many small ones are slow to open; rows of a run can be taken out of them.
"""

import contextlib
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from codetether_ray.core import failpoints

IDS = ("run_id", "session_id", "swarm_id", "task_id", "okr_id", "okr_run_id", "relay_id")
TEXTS = (*IDS, "agent", "tool", "payload")
WHOLE = ("seq", "agent_seq", "off", "prompt_tokens", "completion_tokens")
COLUMNS = (
    *IDS,
    "time",
    "agent",
    "seq",
    "agent_seq",
    "off",
    "tool",
    "prompt_tokens",
    "completion_tokens",
    "cost_usd",
    "payload",
)
"""Columns of a file; `date` and `kind` come from its folder."""
PARTITIONS = ("date", "kind")
JOINED = "joined-"
_CALLS = ("model.responded", "model.failed")  # what others tell of usage are sums of these
_PLAN = "_plan.json"  # readers of Parquet pass over such names
_MANY = 16
"""More files of one day and kind than this are joined."""


def write_rows(root: Path, run_id: str, lines: Iterable[Mapping[str, Any]]) -> list[Path]:
    """Write a run's lines; the files, which are the same for the same lines."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for data in lines:
        day = datetime.fromtimestamp(float(data["time"]), UTC).date().isoformat()
        groups[day, str(data["kind"])].append(row(data))
    out = []
    for (day, kind), rows in sorted(groups.items()):
        name = f"{run_id}-{rows[0]['off']:020}-{rows[-1]['off']:020}.parquet"
        path = root / f"date={day}" / f"kind={kind}" / name
        _write(path, _table(rows))
        out.append(path)
    return out


def row(data: Mapping[str, Any]) -> dict[str, Any]:
    """A line's columns.

    A payload that is kept apart is named by its hash; its numbers come from the member `apart`.
    """
    payload = data.get("payload")
    shown = {"blob": data.get("blob")} if payload is None else payload
    payload = data.get("apart", shown) if payload is None else payload
    is_call = data.get("kind") in _CALLS
    usage = _find(payload, "usage") if is_call else {}
    out: dict[str, Any] = {name: str(data.get(name) or "") for name in IDS}
    return out | {
        "time": float(data["time"]),
        "agent": str(data.get("agent", "")),
        "seq": int(data["seq"]),
        "agent_seq": int(data.get("agent_seq", -1)),
        "off": int(data["off"]),
        "tool": _tool(payload),
        "prompt_tokens": _number(usage.get("prompt_tokens")),
        "completion_tokens": _number(usage.get("completion_tokens")),
        "cost_usd": _find_cost(payload) if is_call else None,
        "payload": json.dumps(shown, ensure_ascii=False, separators=(",", ":")),
    }


def drop_rows(root: Path, run_id: str, start: int) -> None:
    """Take away what was written of a run from an offset on, and never counted as complete."""
    for path in root.glob(f"date=*/kind=*/{run_id}-*.parquet"):
        if int(path.stem.removeprefix(f"{run_id}-").partition("-")[0]) >= start:
            path.unlink()


def finish(root: Path) -> None:
    """Finish a replacement of files that was stopped in the middle, so that no row counts twice."""
    plan = root / _PLAN
    try:
        text = plan.read_bytes()
    except FileNotFoundError:
        return
    steps = json.loads(text)
    for name in steps["old"]:
        (root / name).unlink(missing_ok=True)
    failpoints.hit("rows.removed")
    with contextlib.suppress(FileNotFoundError):  # it has its name already
        (root / steps["draft"]).replace(root / steps["new"])
    plan.unlink()


def join_days(root: Path, before: str) -> tuple[list[Path], list[Path]]:
    """Join the small files of days before `before` (ISO); what was made, and what went."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    made, gone = list[Path](), list[Path]()
    for folder in sorted(root.glob("date=*/kind=*")):
        files = sorted(folder.glob("*.parquet"))
        if folder.parent.name.removeprefix("date=") >= before or len(files) <= _MANY:
            continue
        table = pa.concat_tables([pq.read_table(f, partitioning=None) for f in files])
        mark = sha256("\n".join(f.name for f in files).encode()).hexdigest()[:16]
        whole = folder / f"{JOINED}{mark}.parquet"
        _replace(root, files, table, whole)
        made.append(whole)
        gone += files
    return made, gone


def drop_run(root: Path, run_id: str) -> tuple[list[Path], list[Path]]:
    """Take a run's rows out; the files that were made anew, and those that went."""
    import pyarrow.compute as pc  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    made, gone = list[Path](), list[Path]()
    for path in sorted(root.glob("date=*/kind=*/*.parquet")):
        if path.name.startswith(f"{run_id}-"):
            path.unlink()
            gone.append(path)
        elif path.name.startswith(JOINED):
            table = pq.read_table(path, partitioning=None)
            left = table.filter(pc.not_equal(table["run_id"], run_id))
            if left.num_rows == table.num_rows:
                continue
            gone.append(path)
            if left.num_rows:
                mark = sha256(f"{path.name} without {run_id}".encode()).hexdigest()[:16]
                made.append(path.with_name(f"{JOINED}{mark}.parquet"))
                _replace(root, [path], left, made[-1])
            else:
                path.unlink()
    return made, gone


def _table(rows: list[dict[str, Any]]) -> Any:
    import pyarrow as pa  # noqa: PLC0415 - 100 ms and 60 MB that only a Parquet copy costs

    def kind(name: str) -> Any:
        if name in TEXTS:
            return pa.string()
        return pa.int64() if name in WHOLE else pa.float64()

    return pa.Table.from_pylist(rows, schema=pa.schema([(name, kind(name)) for name in COLUMNS]))


def _replace(root: Path, old: list[Path], table: Any, new: Path) -> None:
    """Put one file in the place of others: after any crash `finish` goes on from the plan."""
    draft = new.with_name(f".{new.name}.draft")
    _write(draft, table)
    names = [p.relative_to(root).as_posix() for p in (draft, new, *old)]
    plan = root / _PLAN
    unfinished = plan.with_name(f"{plan.name}.new")
    steps = {"draft": names[0], "new": names[1], "old": names[2:]}
    unfinished.write_text(json.dumps(steps), encoding="utf-8")
    unfinished.replace(plan)
    failpoints.hit("rows.planned")
    finish(root)


def _write(path: Path, table: Any) -> None:
    import pyarrow.parquet as pq  # noqa: PLC0415

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        pq.write_table(table, draft, compression="zstd")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _find(payload: Any, name: str) -> Mapping[str, Any]:
    """A member of the event, or of the response in it."""
    if not isinstance(payload, Mapping):
        return {}
    inner = payload.get("response")
    found = payload.get(name) or (inner.get(name) if isinstance(inner, Mapping) else None)
    return found if isinstance(found, Mapping) else {}


def _find_cost(payload: Any) -> float | None:
    if not isinstance(payload, Mapping):
        return None
    inner = payload.get("response")
    inner = inner if isinstance(inner, Mapping) else {}
    cost = payload.get("cost_usd", inner.get("cost_usd"))
    return float(cost) if isinstance(cost, (int, float)) else None


def _tool(payload: Any) -> str:
    """The name of the tool that an event is about."""
    if not isinstance(payload, Mapping):
        return ""
    for holder in (payload, payload.get("call"), payload.get("result")):
        if isinstance(holder, Mapping):
            for name in ("tool", "name"):
                if isinstance(holder.get(name), str) and (holder is not payload or name == "tool"):
                    return str(holder[name])
    return ""


def _number(value: Any) -> int | None:
    return int(value) if isinstance(value, (int, float)) else None
