"""Verifies the chains of one node against its index, its checkpoints and each other."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codetether_ray.audit import index
from codetether_ray.audit.checkpoint import Checkpoint, kept
from codetether_ray.audit.lines import parse
from codetether_ray.audit.places import (
    INDEX,
    begun_at,
    chain_path,
    chains,
    is_chain,
    node_dir,
    node_name,
)
from codetether_ray.audit.proof import Claim, Proof, first_line, prove
from codetether_ray.audit.rollup import kept_roll_ups, read_roll_up

if TYPE_CHECKING:
    from codetether_ray.audit.verify import Judge


class NodeCheck:
    """Gathers what is said of a node's chains, then looks at each."""

    def __init__(
        self, data_dir: Path, node: str, judge: "Judge", extra: Iterable[Checkpoint]
    ) -> None:
        """Findings go to `judge`; `extra` are this node's checkpoints that were kept elsewhere."""
        self._data_dir = data_dir
        self._node = node
        self._judge = judge
        self._report = judge.report
        self._extra = extra
        self._claims: dict[str, list[Claim]] = {}
        self._first: dict[str, dict[str, Any] | None] = {}
        self._retired: dict[str, Claim] = {}

    def check(self) -> None:
        """Everything of this node."""
        found = chains(self._data_dir, self._node)  # before the index: registering comes first
        registered = self._registered()
        self._note_beginning([*found, *registered])
        self._collect(found)
        self._check_index(found)
        self._check_missing(found, registered)
        self._check_unregistered(found, registered)
        for chain in found:
            self._guarded(chain, self._check_chain)

    def _note_beginning(self, names: Sequence[str]) -> None:
        times = [time for name in names if (time := begun_at(name)) is not None]
        known = () if self._report.begun is None else (self._report.begun,)
        self._report.begun = min([*times, *known], default=None)

    # -- witnesses --------------------------------------------------------------------------------

    def _registered(self) -> list[str]:
        try:
            with self._index.open("rb") as file:
                lines = [parse(line[:-1]) for line in file if line.endswith(b"\n")]
        except OSError:
            return []
        return [str(data["id"]) for data in lines if data is not None and "id" in data]

    def _collect(self, found: Sequence[str]) -> None:
        """Gather what chains say of each other and of the index, and what was signed of them."""
        for chain in found:
            data = self._first[chain] = first_line(self._path(chain))
            detail = data.get("detail") if data else None
            if isinstance(detail, dict):
                self._hear_genesis(chain, detail)
        for path in (p for paths in kept(self._data_dir, self._node).values() for p in paths):
            if (point := self._judge.read(self._node, path)) is not None:
                self._hear_checkpoint(point)
        for point in self._extra:
            self._hear_checkpoint(point)
        for path in kept_roll_ups(self._data_dir, self._node):
            self._hear_roll_up(path)

    def _hear_genesis(self, chain: str, detail: dict[str, Any]) -> None:
        before, place = detail.get("predecessor"), detail.get("index")
        try:
            if isinstance(before, dict) and {"chain", "count", "head"} <= before.keys():
                self._claim(before, f"chain {chain}, which came after it")
            if isinstance(place, dict):
                self._claim({**place, "chain": index.NAME}, f"chain {chain}")
        except (KeyError, ValueError):
            self._find(chain, "line 0 does not say what came before it", 0)

    def _hear_checkpoint(self, point: Checkpoint) -> None:
        if not self._judge.trusts(self._node, point.chain, point):
            return
        if point.origin != self._node:
            self._find(point.chain, f"a checkpoint of {point.origin} lies among those of this node")
            return
        words = f"the checkpoint of {point.time}"
        self._claim({"chain": point.chain, "count": point.count, "head": point.head}, words)

    def _hear_roll_up(self, path: Path) -> None:
        try:
            made = read_roll_up(path)
        except (ValueError, OSError) as error:
            self._find("", f"the roll-up {path} is damaged: {error}")
            return
        if not self._judge.trusts(self._node, "", made):
            return
        if made.origin != self._node:
            self._find("", f"a roll-up of {made.origin} lies among those of this node")
            return
        for ended in made.chains:
            claim = Claim(ended.count, ended.head, f"the roll-up of {made.time}")
            self._claims.setdefault(ended.chain, []).append(claim)
            self._retired[ended.chain] = claim

    def _claim(self, said: dict[str, Any], source: str) -> None:
        chain, count, head = said["chain"], said["count"], said["head"]
        if not isinstance(chain, str) or type(count) is not int or not isinstance(head, str):
            raise ValueError("it claims nothing")
        self._claims.setdefault(chain, []).append(Claim(count, head, source))

    # -- the index --------------------------------------------------------------------------------

    def _check_index(self, found: Sequence[str]) -> None:
        if self._index.exists():
            self._guarded(index.NAME, self._prove_index)
        elif found or self._claims:
            self._find(index.NAME, "the index is missing")

    def _prove_index(self, name: str) -> None:
        proof = prove(self._index, name, self._claims.get(name, ()))
        self._blame(name, proof)
        if proof.is_torn:
            self._note("the last line of the index is torn: a process died while it registered")

    def _check_missing(self, found: Sequence[str], registered: Sequence[str]) -> None:
        """Name chains that others know of and that have no file, nor were retired."""
        there, known = set(found), set(registered)
        spoken = {chain for chain in self._claims if chain != index.NAME}
        for chain in [*registered, *sorted(spoken - known)]:
            if chain in there or (is_chain(chain) and self._path(chain).exists()):
                continue
            if chain in self._retired:
                self._check_retired(chain)
            else:
                self._find(chain, "the chain is missing: its file is gone")

    def _check_retired(self, chain: str) -> None:
        """Hold what others say of a chain against its roll-up, where both speak of one line."""
        self._report.retired += 1
        end = self._retired[chain]
        for claim in self._claims[chain]:
            if claim.count > end.count or (claim.count == end.count and claim.head != end.head):
                self._find(chain, f"{claim.source} knows it otherwise than {end.source}")
                return

    def _check_unregistered(self, found: Sequence[str], registered: Sequence[str]) -> None:
        unknown = set(found) - set(registered)
        if not unknown or not self._index.exists():
            return
        unknown -= set(self._registered())  # those that registered meanwhile
        for chain in sorted(unknown):
            self._guarded(chain, self._blame_unregistered)

    def _blame_unregistered(self, chain: str) -> None:
        if self._path(chain).stat().st_size == 0:
            self._note(f"{chain} is empty: its process died before it was registered")
        else:
            self._find(chain, "the chain is not in the index")

    # -- a chain ----------------------------------------------------------------------------------

    def _check_chain(self, chain: str) -> None:
        self._report.chains += 1
        if not is_chain(chain):
            self._find(chain, "that is no chain's name; no process of this program wrote the file")
            return
        is_written = self._is_written(chain)  # before its lines: it may end meanwhile
        proof = prove(self._path(chain), chain, self._claims.get(chain, ()))
        self._report.lines += proof.lines
        self._blame(chain, proof)
        if proof.is_closed or not is_written:
            self._report.ends[self._node, chain] = proof.head
        trusted = [p for p in proof.checkpoints if self._judge.trusts(self._node, chain, p)]
        if any(point.chain != chain or point.origin != self._node for point in trusted):
            self._find(chain, "it holds a checkpoint of another chain")
        claimed = {claim.count for claim in self._claims.get(chain, ())}
        self._report.alone += sum(p.count not in claimed for p in trusted)
        signed = max((p.count for p in trusted), default=0)
        behind = proof.lines - signed - (1 if trusted else 0)  # the checkpoint's own line
        if proof.is_closed:
            self._check_closed(chain, proof, signed, behind)
            return
        self._report.open += is_written
        self._report.unclosed += not is_written and proof.lines > 0
        self._report.unsigned_lines += max(behind, 0)
        if proof.is_torn and not is_written:
            self._note(f"the last line of {chain} is torn: its process died while it wrote")

    def _check_closed(self, chain: str, proof: Proof, signed: int, behind: int) -> None:
        if behind > 0:
            self._find(chain, f"{behind} lines stand behind its end", signed + 1)
        elif proof.is_torn:
            self._find(chain, "half a line stands behind its end", signed + 1)

    def _blame(self, chain: str, proof: Proof) -> None:
        if proof.line is not None:
            self._find(chain, proof.fault, proof.line)
        elif proof.broken_claims:
            claim = proof.broken_claims[0]
            text = f"its first {claim.count} lines are not those of {claim.source}: rewritten"
            self._find(chain, text, claim.count - 1)
        if proof.cut is not None:
            text = f"it is cut: it had {proof.cut.count} lines or more, says {proof.cut.source}"
            self._find(chain, f"{text}; {proof.lines} are left", proof.lines)

    def _is_written(self, chain: str) -> bool:
        """Whether the chain's process is alive, on this machine."""
        data = self._first.get(chain)
        detail = data.get("detail") if data else None
        return isinstance(detail, dict) and is_alive(detail)

    # -- words ------------------------------------------------------------------------------------

    def _guarded(self, chain: str, look: Any) -> None:
        """What cannot be read is a finding, too."""
        try:
            look(chain)
        except OSError as error:
            self._find(chain, f"it cannot be read: {error.strerror or error}")

    def _find(self, chain: str, text: str, line: int | None = None) -> None:
        self._judge.find(self._node, chain, text, line)

    def _note(self, text: str) -> None:
        self._judge.note(text)

    @property
    def _index(self) -> Path:
        return node_dir(self._data_dir, self._node) / INDEX

    def _path(self, chain: str) -> Path:
        return chain_path(self._data_dir, self._node, chain)


def is_alive(introduction: dict[str, Any]) -> bool:
    """Whether the process that a chain's first line introduces is alive, on this machine."""
    if introduction.get("node") != node_name():
        return False
    try:
        stat = Path(f"/proc/{int(introduction['pid'])}/stat").read_text("ascii", "replace")
        started = stat.rpartition(")")[2].split()[19]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return started == introduction.get("started")
