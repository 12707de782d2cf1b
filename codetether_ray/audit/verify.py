"""Verifies everything that a data directory's audit log says, and says what it could not see.

Four witnesses are held against each other: the lines of a chain, the node's index, the signed
checkpoints (in the chain, beside it, and those kept elsewhere), and what each chain's first line
says of the chain before it. Whatever stands in the directory, the answer is a finding, never a
crash: somebody who tampers may write anything.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from codetether_ray.audit.checkpoint import Checkpoint, read_checkpoint
from codetether_ray.audit.keys import key_id, public_key_files, read_public
from codetether_ray.audit.node import NodeCheck
from codetether_ray.audit.places import ROLL_UP, checkpoint_nodes, nodes
from codetether_ray.audit.report import Finding, Report
from codetether_ray.audit.rollup import RollUp
from codetether_ray.core.errors import AuditError

_RUN_BEFORE_LOG_S = 600.0  # a run has its id a little before the chain of its process begins


def verify(
    data_dir: Path,
    *,
    pinned: Sequence[bytes] = (),
    elsewhere: Iterable[Path] = (),
    runs: Iterable[float] = (),
) -> Report:
    """Verify all nodes. It blocks, and takes some seconds for a million lines.

    `pinned` are public keys to trust instead of those in the directory; `elsewhere` are files with
    checkpoints that were kept outside of it; `runs` says when each run was made whose journal is
    here, because none was without an audit log.

    Raises:
        OSError: the directory cannot be read.
    """
    report = Report(is_pinned=bool(pinned))
    judge = Judge({key_id(key): key for key in pinned}, report)
    if not pinned:
        judge.learn_keys(data_dir)
    extra: dict[str, list[Checkpoint]] = {}
    for path in elsewhere:
        if (point := judge.read(path.parent.name, path)) is not None:
            extra.setdefault(point.origin, []).append(point)
    for node in sorted({*nodes(data_dir), *checkpoint_nodes(data_dir), *extra}):
        NodeCheck(data_dir, node, judge, extra.get(node, ())).check()
    _hear_runs(judge, sorted(runs))
    return report


def _hear_runs(judge: "Judge", runs: Sequence[float]) -> None:
    """Hold the runs against the log: one that was taken away whole leaves no other trace."""
    begun = judge.report.begun
    if begun is None:
        if runs and judge.report.is_sound:
            judge.find("", "", f"there is no audit log, and {len(runs)} runs were made here")
        return
    older = sum(made < begun - _RUN_BEFORE_LOG_S for made in runs)
    if older:
        judge.note(
            f"{older} runs are older than this log: it was begun anew, or they came from another "
            "machine"
        )


class Judge:
    """Trusts what a known key signed, and keeps the report."""

    def __init__(self, keys: Mapping[str, bytes], report: Report) -> None:
        """Trust `keys`, by their ids."""
        self._keys = dict(keys)
        self.report = report
        self._seen: set[tuple[str, bytes]] = set()

    def learn_keys(self, data_dir: Path) -> None:
        """Trust the public keys that lie beside the log as well; one that is damaged is found."""
        for path in public_key_files(data_dir):
            try:
                public = read_public(path)
            except AuditError as error:
                self.find("keys", path.name, str(error))
            else:
                self._keys[key_id(public)] = public

    def find(self, node: str, chain: str, text: str, line: int | None = None) -> None:
        """Report something that is wrong."""
        words = {"node": _sayable(node), "chain": _sayable(chain), "text": _sayable(text)}
        self.report.findings.append(Finding(**words, line=line))

    def note(self, text: str) -> None:
        """Report something that is worth knowing and no fault."""
        self.report.notes.append(_sayable(text))

    def read(self, node: str, path: Path) -> Checkpoint | None:
        """A checkpoint's file; None if it is damaged, which is reported."""
        try:
            return read_checkpoint(path)
        except (ValueError, OSError) as error:
            chain = path.stem.rpartition("-")[0]
            self.find(node, chain, f"the checkpoint {path} is damaged: {error}")
            return None

    def trusts(self, node: str, chain: str, said: Checkpoint | RollUp) -> bool:
        """Whether a statement is signed by a known key; if not, that is reported."""
        mark = (said.signature, said.message())
        if mark in self._seen:
            return True
        what = "the checkpoint" if isinstance(said, Checkpoint) else "the roll-up"
        public = self._keys.get(said.key)
        if public is None:
            text = f"{what} of {said.time} is signed by an unknown key, {said.key}"
        elif not said.is_of(public):
            text = f"{what} of {said.time} has a wrong signature"
        else:
            self._seen.add(mark)
            self.report.checkpoints += isinstance(said, Checkpoint)
            return True
        self.find(node, chain, text)
        return False


def _sayable(text: str) -> str:
    """Text that can be printed, whatever the name of a file was."""
    return text.encode("utf-8", "replace").decode()


def checkpoint_files(directory: Path) -> list[Path]:
    """The checkpoints below a directory that was kept elsewhere."""
    return sorted(p for p in directory.rglob("*.json") if not p.name.startswith(ROLL_UP))
