"""Checks one chain's file: does each line follow from the one before, and do others' claims hold?

A claim is what somebody said of a chain from outside of its file: a signed checkpoint, the chain
that came after it. Lines are compared as bytes; only a line that does not fit is parsed.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codetether_ray.audit import members
from codetether_ray.audit.checkpoint import Checkpoint
from codetether_ray.audit.lines import NO_LINE, Head, after, is_whole, opening, parse

_CHECKPOINT = f'"action":"{members.CHECKPOINT}"'.encode()


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody says that a chain had `count` lines, the last of which hashed to `head`."""

    count: int
    head: str
    source: str
    """Who says so, in words."""


@dataclass(slots=True)
class Proof:
    """What was found in a file."""

    lines: int = 0
    fault: str = ""
    """What is wrong with the first altered or missing line; empty if nothing is."""
    line: int | None = None
    """The number of that line, from 0."""
    head: Head = field(default_factory=Head)
    """The last line's number and hash."""
    is_torn: bool = False
    """Whether half a line stands at the end."""
    is_closed: bool = False
    checkpoints: list[Checkpoint] = field(default_factory=list)
    """Those that stand in the file; whether they are signed is not looked at here."""
    broken_claims: list[Claim] = field(default_factory=list)
    cut: Claim | None = None
    """The claim of the longest chain, where the file is shorter."""

    def blame(self, line: int, fault: str) -> None:
        """Note a fault; the first one counts."""
        if self.line is None:
            self.line, self.fault = line, fault


def prove(path: Path, chain: str, claims: Iterable[Claim] = ()) -> Proof:
    """Check a chain's file against itself and against claims.

    Raises:
        OSError: it cannot be read.
    """
    return _Walk(chain, claims).over(path)


class _Walk:
    """Goes through a file line by line."""

    def __init__(self, chain: str, claims: Iterable[Claim]) -> None:
        self._chain = chain
        self._proof = Proof()
        self._head = Head()
        self._is_trusted = True  # whether the hash of the last line is one that we worked out
        self._claims: dict[int, list[Claim]] = {}
        self._longest: Claim | None = None
        for claim in claims:
            self._claims.setdefault(claim.count, []).append(claim)
            if self._longest is None or claim.count > self._longest.count:
                self._longest = claim

    def over(self, path: Path) -> Proof:
        proof = self._proof
        for line in _lines(path):
            if not line.endswith(b"\n"):
                proof.is_torn = True
                break
            proof.lines += 1
            self._step(line)
            self._hear()
        proof.head = self._head
        if self._longest is not None and self._longest.count > self._head.count:
            proof.cut = self._longest
        return proof

    def _step(self, line: bytes) -> None:
        body = line[:-1]
        fits = self._is_trusted and line.startswith(opening(self._chain, self._head))
        if fits and is_whole(body):
            if _CHECKPOINT in line:
                self._see_checkpoint(body)
            self._head = after(self._head, line)
            return
        data = parse(body)
        if data is None or not is_whole(body):
            self._damaged(line)
        else:
            self._misplaced(data, line)

    def _damaged(self, line: bytes) -> None:
        """Damage is named, and the chain goes on from what the next line says of this one."""
        number = self._head.count
        self._proof.blame(number, f"line {number} was altered: it does not match its checksum")
        self._head = Head(number + 1, after(self._head, line).hash)
        self._is_trusted = False

    def _misplaced(self, data: dict[str, Any], line: bytes) -> None:
        number, wanted = int(data["n"]), self._head.count
        if data.get("chain") != self._chain:
            self._proof.blame(wanted, f"line {wanted} is of another chain")
            number = wanted
        elif number > wanted:
            gone = (
                f"line {wanted} is"
                if number == wanted + 1
                else f"lines {wanted} to {number - 1} are"
            )
            self._proof.blame(wanted, f"{gone} missing")
        elif number < wanted:
            self._proof.blame(wanted, f"line {number} stands where line {wanted} belongs")
        elif data.get("prev") != self._head.hash and self._is_trusted:
            self._proof.blame(*_rewritten(wanted))
        if _CHECKPOINT in line:
            self._see_checkpoint(line[:-1])
        self._head = after(Head(number), line)
        self._is_trusted = True

    def _see_checkpoint(self, body: bytes) -> None:
        data = parse(body) or {}
        try:
            point = Checkpoint.from_json(data["detail"])
        except (ValueError, KeyError, TypeError) as error:
            self._proof.blame(self._head.count, f"line {data.get('n')} is no checkpoint: {error}")
            return
        self._proof.checkpoints.append(point)
        self._proof.is_closed = point.is_closing
        if (point.count, point.head) != (data["n"], data["prev"]):
            self._proof.blame(data["n"], f"the checkpoint in line {data['n']} is of other lines")

    def _hear(self) -> None:
        """Compare with what was claimed for this length."""
        for claim in self._claims.get(self._head.count, ()):
            if claim.head != self._head.hash:
                self._proof.broken_claims.append(claim)


def _rewritten(number: int) -> tuple[int, str]:
    """The line before `number` is whole, but another one than `number` followed."""
    if number == 0:
        return 0, "line 0 was altered: it does not begin a chain"
    return number - 1, f"line {number - 1} was altered: line {number} followed another one"


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from file


def first_line(path: Path) -> dict[str, Any] | None:
    """A chain's first line as an object; None if it cannot be read."""
    try:
        with path.open("rb") as file:
            line = file.readline()
    except OSError:
        return None
    data = parse(line[:-1]) if line.endswith(b"\n") else None
    return data if data is not None and data["prev"] == NO_LINE else None
