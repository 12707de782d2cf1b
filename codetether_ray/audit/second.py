"""Verifies a second file against itself, and compares it with the chains of the directory.

Both get the same lines, so an action that reads differently in one of them was altered there. An
action that only one has is no proof: either disk may have been full, and a second file may be
rotated; it is counted.
"""

import re
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from codetether_ray.audit.lines import Head, after, is_whole, opening, parse
from codetether_ray.audit.places import chain_path, chains, nodes
from codetether_ray.audit.report import Finding, Report

_ACTION = re.compile(rb'"id":"act_([0-9a-f]{12})([0-9a-f]{6,8})",(.*),"crc":"[0-9a-f]{8}"}\n')
_INTENT = b'"outcome":"intent"'
_MOST = 50_000_000
"""Actions of one process, beyond which a number was made up."""


def verify_file(path: Path, data_dir: Path | None = None) -> Report:
    """Verify the chains in a second file, which nobody registers or signs.

    With `data_dir` they are compared with the chains there, if those can be read.

    Raises:
        OSError: it cannot be read.
    """
    report = Report()
    heads: dict[str, Head] = {}
    with path.open("rb") as file:
        for line in file:
            _take(report, heads, line, path.name)
    report.chains, report.unsigned_lines = len(heads), report.lines
    if data_dir is not None:
        try:
            _compare(report, path, data_dir)
        except OSError as error:
            report.notes.append(f"it is compared with nothing: {error.filename}: {error.strerror}")
    return report


def _take(report: Report, heads: dict[str, Head], line: bytes, name: str) -> None:
    if line == b"\n":
        return
    report.lines += 1
    data = parse(line[:-1])
    if data is None or not is_whole(line[:-1]):
        report.notes.append(f"a line of {name} is torn or altered ({report.lines} from the top)")
        return
    chain = str(data.get("chain")).encode("utf-8", "replace").decode()
    head = heads.get(chain, Head())
    if not line.startswith(opening(chain, head)):
        text = f"line {head.count} is missing, or a line before it was altered"
        report.findings.append(Finding(node=name, chain=chain, text=text, line=head.count))
    heads[chain] = after(Head(int(data["n"])), line)


@dataclass(slots=True)
class _Process:
    """What one process wrote in the first file: a checksum for each line, by its number."""

    sums: "array[int]" = field(default_factory=lambda: array("I"))

    def put(self, at: int, value: int) -> None:
        if at >= len(self.sums):
            self.sums.extend([0] * (at + 256 - len(self.sums)))
        self.sums[at] = value

    def pop(self, at: int) -> int:
        """The checksum, once; 0 if there is none."""
        if at >= len(self.sums):
            return 0
        value, self.sums[at] = self.sums[at], 0
        return value


def _compare(report: Report, second: Path, data_dir: Path) -> None:
    processes: dict[bytes, _Process] = {}
    for path in (chain_path(data_dir, n, c) for n in nodes(data_dir) for c in chains(data_dir, n)):
        for tag, at, value in _actions(path):
            processes.setdefault(tag, _Process()).put(at, value)
    alone = 0
    for tag, at, value in _actions(second):
        first = processes[tag].pop(at) if tag in processes else 0
        if first == 0:
            alone += 1
        elif first != value:
            what = "outcome" if at % 2 else "intent"
            id = f"act_{tag.decode()}{at // 2:06x}"
            text = f"the {what} of {id} reads otherwise than in the data directory"
            report.findings.append(Finding(node=second.name, chain="", text=text))
    lacking = sum(value != 0 for process in processes.values() for value in process.sums)
    if alone:
        report.notes.append(
            f"{alone} lines stand in {second.name} alone: the data directory could not be written "
            "then, or they were taken away there"
        )
    if lacking:
        report.notes.append(
            f"{lacking} lines stand in the data directory alone: {second.name} was not set or "
            "could not be written then, or they were taken away from it"
        )


def _actions(path: Path) -> Iterator[tuple[bytes, int, int]]:
    """Each line's process, its place (twice the action's number, one more for an outcome), sum."""
    with path.open("rb") as file:
        for line in file:
            found = _ACTION.search(line)
            number = int(found[2], 16) if found else _MOST
            if found is None or number >= _MOST:
                continue
            is_outcome = _INTENT not in found[3]
            yield found[1], 2 * number + is_outcome, zlib.crc32(found[3]) or 1
