"""Questions to the Parquet copy: filters that only open the folders concerned, rows or sums."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from codetether_ray.archive.rows import COLUMNS, PARTITIONS
from codetether_ray.core.errors import UsageError

ALL = (*PARTITIONS, *COLUMNS)
SHOWN = (
    "time",
    "run_id",
    "agent",
    "kind",
    "tool",
    "prompt_tokens",
    "completion_tokens",
    "cost_usd",
)
_NUMBERS = ("prompt_tokens", "completion_tokens", "cost_usd")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is wanted. Times are Unix seconds; empty tuples and None leave nothing out.

    With `sums`, the answer has a row for each value of `by`, with the sums and a `count`.
    """

    kinds: tuple[str, ...] = ()
    agent: str | None = None
    run_id: str | None = None
    session_id: str | None = None
    since: float | None = None
    until: float | None = None
    limit: int | None = None
    columns: tuple[str, ...] = SHOWN
    sums: tuple[str, ...] = ()
    by: tuple[str, ...] = ()


def ask(root: Path, question: Question) -> list[dict[str, Any]]:
    """The rows, oldest first, or the sums.

    Raises:
        UsageError: a column does not exist, or cannot be summed up.
    """
    _check(question)
    if not any(root.glob("date=*/kind=*/*.parquet")):
        return []
    import pyarrow.dataset as ds  # noqa: PLC0415 - 100 ms that only a query costs

    data = ds.dataset(root, partitioning=_partitioning(ds), exclude_invalid_files=False)
    condition = _condition(ds, question)
    if question.sums or question.by:
        names = sorted({*question.sums, *question.by}) or ["run_id"]
        table = data.to_table(columns=names, filter=condition)
        return _sums(table, question)
    wanted = dict.fromkeys((*question.columns, "time", "seq", "run_id"))
    table = data.to_table(columns=list(wanted), filter=condition)
    table = table.sort_by([("time", "ascending"), ("run_id", "ascending"), ("seq", "ascending")])
    if question.limit is not None:
        table = table.slice(0, question.limit)
    rows: list[dict[str, Any]] = table.select(list(question.columns)).to_pylist()
    return rows


def _sums(table: Any, question: Question) -> list[dict[str, Any]]:
    wanted: list[Any] = [(name, "sum") for name in question.sums] + [([], "count_all")]
    grouped = table.group_by(list(question.by)).aggregate(wanted)
    rows: list[dict[str, Any]] = grouped.to_pylist()
    out = []
    for row in rows:
        sums = {name: row[f"{name}_sum"] or 0 for name in question.sums}
        out.append({**{n: row[n] for n in question.by}, **sums, "count": row["count_all"]})
    out.sort(key=lambda row: [str(row[name]) for name in question.by])
    return out if question.limit is None else out[: question.limit]


def _partitioning(ds: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    return ds.partitioning(pa.schema([(name, pa.string()) for name in PARTITIONS]), flavor="hive")


def _condition(ds: Any, question: Question) -> Any:
    field, parts = ds.field, list[Any]()
    if question.kinds:
        parts.append(field("kind").isin(list(question.kinds)))
    for name in ("agent", "run_id", "session_id"):
        if (value := getattr(question, name)) is not None:
            parts.append(field(name) == value)
    if question.since is not None:
        parts += [field("date") >= _day(question.since), field("time") >= question.since]
    if question.until is not None:
        parts += [field("date") <= _day(question.until), field("time") <= question.until]
    whole = None
    for part in parts:
        whole = part if whole is None else whole & part
    return whole


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).date().isoformat()


def _check(question: Question) -> None:
    _known((*question.columns, *question.by))
    wrong = [name for name in question.sums if name not in _NUMBERS]
    if wrong:
        raise UsageError(f"--sum {wrong[0]}: only {', '.join(_NUMBERS)} can be summed up")


def _known(names: Sequence[str]) -> None:
    wrong = [name for name in names if name not in ALL]
    if wrong:
        raise UsageError(f"there is no column {wrong[0]!r}; there are {', '.join(ALL)}")
