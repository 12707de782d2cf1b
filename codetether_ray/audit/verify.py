"""Verifies everything that a data directory's audit log says, and says what it could not see.

Four witnesses are held against each other: the lines of a chain, the node's index, the signed
checkpoints (in the chain, beside it, and those kept elsewhere), and what each chain's first line
says of the chain before it.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codetether_ray.audit import index
from codetether_ray.audit.checkpoint import Checkpoint, kept, read_checkpoint
from codetether_ray.audit.keys import key_id, public_keys
from codetether_ray.audit.lines import Head, after, is_whole, opening, parse
from codetether_ray.audit.places import INDEX, chain_path, chains, node_dir, node_name, nodes
from codetether_ray.audit.proof import Claim, Proof, first_line, prove
from codetether_ray.core.codec import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as it was written."""

    node: str
    chain: str
    text: str
    line: int | None = None

    def to_json(self) -> JsonObject:
        """As `audit verify --json` prints it."""
        return {"node": self.node, "chain": self.chain, "line": self.line, "text": self.text}


@dataclass(slots=True)
class Report:
    """What was verified, what is wrong, and what nobody could have seen."""

    chains: int = 0
    lines: int = 0
    checkpoints: int = 0
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What is worth knowing and no fault: a process that was killed, say."""
    unsigned_lines: int = 0
    """Lines behind the last checkpoint of their chain."""
    unclosed: int = 0
    """Chains whose process ended without closing them."""
    open: int = 0
    """Chains that are being written."""
    is_pinned: bool = False

    @property
    def is_sound(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def unseen(self) -> list[str]:
        """What this verification cannot see, in sentences."""
        words = []
        if self.unsigned_lines:
            words.append(
                f"{self.unsigned_lines} lines stand behind the last checkpoint of their chain: "
                "whether more stood there, nobody can tell"
            )
        if self.unclosed:
            words.append(
                f"{self.unclosed} chains were not closed (their processes were killed): a tail cut "
                "off behind the last checkpoint looks the same"
            )
        if not self.is_pinned:
            words.append(
                "the public keys came from the same directory: whoever may write there can have "
                "signed everything anew; give a copy kept elsewhere with --key"
            )
        words.append(
            "a newest chain taken away together with its line in the index and its checkpoints "
            "leaves no trace here: compare with checkpoints kept elsewhere (--checkpoints)"
        )
        return words

    def to_json(self) -> JsonObject:
        """As `audit verify --json` prints it."""
        return {
            "success": self.is_sound,
            "chains": self.chains,
            "lines": self.lines,
            "checkpoints": self.checkpoints,
            "open": self.open,
            "findings": [finding.to_json() for finding in self.findings],
            "notes": list(self.notes),
            "unseen": list(self.unseen),
        }


def verify(
    data_dir: Path,
    *,
    pinned: Sequence[bytes] = (),
    elsewhere: Iterable[Path] = (),
) -> Report:
    """Verify all nodes. It blocks, and takes some seconds for a million lines.

    `pinned` are public keys to trust instead of those in the directory; `elsewhere` are files with
    checkpoints that were kept outside of it.

    Raises:
        AuditError: a public key is damaged.
        OSError: a file cannot be read.
    """
    keys = {key_id(key): key for key in pinned} or public_keys(data_dir)
    report = Report(is_pinned=bool(pinned))
    judge = _Judge(keys, report)
    extra: dict[str, list[Path]] = {}
    names = set(nodes(data_dir))
    for path in elsewhere:
        extra.setdefault(path.stem.rpartition("-")[0], []).append(path)
        with suppress(ValueError):
            names.add(read_checkpoint(path).origin)
    for node in sorted(names):
        _Node(data_dir, node, judge, extra).verify()
    return report


class _Judge:
    """Trusts checkpoints that a known key signed, and keeps the report."""

    def __init__(self, keys: Mapping[str, bytes], report: Report) -> None:
        self._keys = keys
        self.report = report
        self._seen: set[str] = set()

    def find(self, node: str, chain: str, text: str, line: int | None = None) -> None:
        """Report something that is wrong."""
        self.report.findings.append(Finding(node=node, chain=chain, text=text, line=line))

    def trusts(self, node: str, point: Checkpoint) -> bool:
        """Whether a checkpoint is signed by a known key; if not, that is reported."""
        if point.signature + point.message().hex() in self._seen:
            return True
        public = self._keys.get(point.key)
        if public is None:
            what = f"the checkpoint of {point.time} is signed by an unknown key, {point.key}"
        elif not point.is_of(public):
            what = f"the checkpoint of {point.time} has a wrong signature"
        else:
            self._seen.add(point.signature + point.message().hex())
            self.report.checkpoints += 1
            return True
        self.find(node, point.chain, what)
        return False


class _Node:
    """The chains of one node."""

    def __init__(
        self, data_dir: Path, node: str, judge: _Judge, extra: Mapping[str, list[Path]]
    ) -> None:
        self._data_dir = data_dir
        self._node = node
        self._judge = judge
        self._report = judge.report
        self._extra = extra
        self._claims: dict[str, list[Claim]] = {}
        self._first: dict[str, dict[str, Any] | None] = {}

    def verify(self) -> None:
        """Everything of this node."""
        found = chains(self._data_dir, self._node)  # before the index: registering comes first
        registered = self._registered()
        self._collect(found)
        self._check_index(found, registered)
        for chain in found:
            self._check_chain(chain)

    # -- witnesses --------------------------------------------------------------------------------

    def _registered(self) -> list[str]:
        try:
            with (node_dir(self._data_dir, self._node) / INDEX).open("rb") as file:
                lines = [parse(line[:-1]) for line in file if line.endswith(b"\n")]
        except OSError:
            return []
        return [str(data["id"]) for data in lines if data is not None and "id" in data]

    def _collect(self, found: Sequence[str]) -> None:
        """Gather what chains say of each other and of the index, and the checkpoints' files."""
        for chain in found:
            data = self._first[chain] = first_line(self._path(chain))
            detail = data.get("detail") if data else None
            if isinstance(detail, dict):
                self._claim(detail.get("predecessor"), f"chain {chain}, which came after it")
                place = detail.get("index")
                if isinstance(place, dict):
                    self._claim({**place, "chain": index.NAME}, f"chain {chain}")
        for paths in kept(self._data_dir, self._node).values():
            self._collect_points(paths)
        for paths in self._extra.values():
            self._collect_points(paths)

    def _collect_points(self, paths: Iterable[Path]) -> None:
        for path in paths:
            try:
                point = read_checkpoint(path)
            except ValueError as error:
                chain = path.stem.rpartition("-")[0]
                self._judge.find(self._node, chain, f"the checkpoint {path} is damaged: {error}")
                continue
            if point.origin == self._node and self._judge.trusts(self._node, point):
                words = f"the checkpoint of {point.time}"
                self._claim({"chain": point.chain, "count": point.count, "head": point.head}, words)

    def _claim(self, said: object, source: str) -> None:
        if isinstance(said, dict) and {"chain", "count", "head"} <= said.keys():
            claim = Claim(int(said["count"]), str(said["head"]), source)
            self._claims.setdefault(str(said["chain"]), []).append(claim)

    # -- the index --------------------------------------------------------------------------------

    def _check_index(self, found: Sequence[str], registered: Sequence[str]) -> None:
        path = node_dir(self._data_dir, self._node) / INDEX
        if path.exists():
            proof = prove(path, index.NAME, self._claims.get(index.NAME, ()))
            self._blame("index", proof)
            if proof.is_torn:
                self._note("the last line of the index is torn: a process died while it registered")
        elif found:
            self._judge.find(self._node, "index", "the index is missing")
        there, known = set(found), set(registered)
        spoken = {chain for chain in self._claims if chain != index.NAME}
        for chain in [*registered, *sorted(spoken - known)]:
            if chain not in there and not self._path(chain).exists():
                self._judge.find(self._node, chain, "the chain is missing: its file is gone")
        for chain in found:
            if chain not in known and path.exists():
                self._check_unregistered(chain)

    def _check_unregistered(self, chain: str) -> None:
        if self._path(chain).stat().st_size == 0:
            self._note(f"{chain} is empty: its process died before it was registered")
        else:
            self._judge.find(self._node, chain, "the chain is not in the index")

    # -- a chain ----------------------------------------------------------------------------------

    def _check_chain(self, chain: str) -> None:
        proof = prove(self._path(chain), chain, self._claims.get(chain, ()))
        self._report.chains += 1
        self._report.lines += proof.lines
        self._blame(chain, proof)
        trusted = [p for p in proof.checkpoints if self._judge.trusts(self._node, p)]
        if any(point.chain != chain or point.origin != self._node for point in trusted):
            self._judge.find(self._node, chain, "it holds a checkpoint of another chain")
        self._check_end(chain, proof, trusted)

    def _blame(self, chain: str, proof: Proof) -> None:
        if proof.line is not None:
            self._judge.find(self._node, chain, proof.fault, proof.line)
        elif proof.broken_claims:
            claim = proof.broken_claims[0]
            text = f"its first {claim.count} lines are not those of {claim.source}: rewritten"
            self._judge.find(self._node, chain, text, claim.count - 1)
        if proof.cut is not None:
            text = f"it is cut: it had {proof.cut.count} lines or more, says {proof.cut.source}"
            self._judge.find(self._node, chain, f"{text}; {proof.lines} are left", proof.lines)

    def _check_end(self, chain: str, proof: Proof, trusted: Sequence[Checkpoint]) -> None:
        signed = max((p.count for p in trusted), default=0)
        behind = proof.lines - signed - (1 if trusted else 0)  # the checkpoint's own line
        if proof.is_closed and behind > 0:
            text = f"{behind} lines stand behind its end"
            self._judge.find(self._node, chain, text, signed + 1)
        if proof.is_closed:
            return
        if self._is_written(chain):
            self._report.open += 1
        elif proof.lines:
            self._report.unclosed += 1
        self._report.unsigned_lines += max(behind, 0)
        if proof.is_torn:
            self._note(f"the last line of {chain} is torn: its process died while it wrote")

    def _is_written(self, chain: str) -> bool:
        """Whether the chain's process is alive, on this machine."""
        data = self._first.get(chain)
        detail = data.get("detail") if data else None
        if not isinstance(detail, dict) or detail.get("node") != node_name():
            return False
        try:
            stat = Path(f"/proc/{int(detail['pid'])}/stat").read_text("ascii", "replace")
            started = stat.rpartition(")")[2].split()[19]
        except (OSError, ValueError, KeyError):
            return False
        return started == detail.get("started")

    def _note(self, text: str) -> None:
        self._report.notes.append(text)

    def _path(self, chain: str) -> Path:
        return chain_path(self._data_dir, self._node, chain)


def verify_file(path: Path) -> Report:
    """Verify the chains in a second file, which nobody registers or signs.

    Raises:
        OSError: it cannot be read.
    """
    report = Report()
    heads: dict[str, Head] = {}
    with path.open("rb") as file:
        for line in file:
            _take(report, heads, line, path.name)
    report.chains, report.unsigned_lines = len(heads), report.lines
    report.unclosed = 0
    return report


def _take(report: Report, heads: dict[str, Head], line: bytes, name: str) -> None:
    if line == b"\n":
        return
    report.lines += 1
    data = parse(line[:-1])
    if data is None or not is_whole(line[:-1]):
        report.notes.append(f"a line of {name} is torn or altered ({report.lines} from the top)")
        return
    chain = str(data.get("chain"))
    head = heads.get(chain, Head())
    if not line.startswith(opening(chain, head)):
        text = f"line {head.count} is missing, or a line before it was altered"
        report.findings.append(Finding(node=name, chain=chain, text=text, line=head.count))
    heads[chain] = after(Head(int(data["n"])), line)


def checkpoint_files(directory: Path) -> list[Path]:
    """The checkpoints below a directory that was kept elsewhere."""
    return sorted(directory.rglob("*.json"))
