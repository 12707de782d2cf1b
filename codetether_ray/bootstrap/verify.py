"""Verifies a run at all its levels in one pass over its journal, without any model."""

import contextlib
import re
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from codetether_ray.audit.witness import JournalHead
from codetether_ray.bootstrap.agent_checks import AgentChecks
from codetether_ray.core.departure import Departure
from codetether_ray.core.errors import (
    CodetetherError,
    JournalCorruptError,
    UnknownRunError,
)
from codetether_ray.core.events import Record
from codetether_ray.journal.blobs import BlobError
from codetether_ray.journal.check import check_run
from codetether_ray.journal.encode import restore
from codetether_ray.journal.files import Fetch, RunFiles
from codetether_ray.journal.scan import Line, RunScan
from codetether_ray.journal.segments import run_directory
from codetether_ray.ralph.verify import RalphCheck
from codetether_ray.relay.verify import RelayCheck
from codetether_ray.replay.protocol import ProtocolCheck
from codetether_ray.replay.verdict import LEVELS, Verdict
from codetether_ray.swarm.verify import SwarmCheck
from codetether_ray.workspace.hub import cleared_mark, hub_path

RUN_AGENT = "run"

Witness = Callable[[Path, str], Iterable[JournalHead]]
"""Heads of a run's journal as somebody else saw them (`audit.witness.journal_heads`)."""


@dataclass(slots=True)
class RunCheck:
    """Follows a run through its records; keeps the first departure of each level."""

    agents: AgentChecks
    is_read: bool = True
    protocol: ProtocolCheck = field(default_factory=ProtocolCheck)
    swarm: SwarmCheck = field(default_factory=SwarmCheck)
    ralph: RalphCheck = field(default_factory=RalphCheck)
    relay: RelayCheck = field(default_factory=RelayCheck)
    found: dict[str, Departure] = field(default_factory=dict)
    _generations: dict[str, int] = field(default_factory=dict)

    def take(self, record: Record, *, generation: int = 1, offset: int = -1) -> None:
        """Check one more record; `generation` is that of its writer, `offset` its first byte."""
        for departure in self._departures(record, generation):
            self.note(replace(departure, agent=record.agent, seq=record.seq, offset=offset))

    def note(self, departure: Departure) -> None:
        """Keep a departure, unless its level has one."""
        self.found.setdefault(departure.level, departure)

    def _departures(self, record: Record, generation: int) -> Iterable[Departure]:
        is_new = self._generations.setdefault(record.agent, generation) != generation
        self._generations[record.agent] = generation
        if "protocol" not in self.found and (odd := self.protocol.take(record)):
            yield odd
        if "decisions" in self.found:
            return
        if record.agent == RUN_AGENT:
            odd = self.swarm.take(record.agent, record.event, is_reborn=is_new)
            odd = odd or self.ralph.take(record.event)
            odd = odd or self.relay.take(record.agent, record.event)
        else:
            agent = self.agents.take_out(record.agent)
            odd = agent.take(record.event, is_reborn=is_new)
            self.agents.put_back(record.agent, agent)
            odd = odd or self.swarm.take(record.agent, record.event)
            odd = odd or self.relay.take(record.agent, record.event)
        if odd is not None:
            yield odd
            if odd.level == "protocol":  # nothing can be decided from what contradicts itself
                self.found.setdefault("decisions", replace(odd, level="decisions"))

    def verdict(self, run_id: str, notes: Iterable[str] = ()) -> Verdict:
        """What was found."""
        found = [self.found[level] for level in LEVELS if level in self.found]
        protocol = self.found.get("protocol")
        if protocol is not None and len(found) > 1:  # say it once
            found = [d for d in found if d.level != "decisions" or d.what != protocol.what]
        said = [*notes, *(_BLIND.format(path) for path in self.agents.blind)]
        return Verdict(
            run_id=run_id,
            records=self.protocol.records,
            agents=len(self.agents),
            decisions=sum(
                each.decisions for each in (self.swarm, self.ralph, self.relay, self.agents)
            ),
            is_finished=self.protocol.is_finished,
            is_read=self.is_read,
            departures=tuple(found),
            notes=tuple(said),
        )


_BLIND = "agent {} was recorded before terms of decisions were; only its prompts were checked"


def verify_run(
    data_dir: Path,
    run_id: str,
    *,
    witness: Witness | None = None,
    fetch: Fetch | None = None,
    progress: Callable[[int], None] | None = None,
) -> Verdict:
    """Verify one run, also against what a `witness` saw of it; `progress` is told the bytes read.

    Raises:
        UnknownRunError: there is no such run.
    """
    directory = run_directory(data_dir, run_id)
    if not directory.is_dir():
        raise UnknownRunError(run_id)
    notes: list[str] = []
    with contextlib.closing(AgentChecks()) as agents:
        check = RunCheck(agents=agents)
        heads = _heads(witness, data_dir, run_id, notes)
        _check_bytes(check, data_dir, run_id, notes, fetch)
        scan = RunScan(run_id, directory, fetch=fetch)
        _check_lines(check, scan, RunFiles(directory, fetch), heads, notes, progress)
        if check.is_read:
            _lost(check, scan.position.off, heads)
        _check_commits(check, data_dir, run_id, notes)
        return check.verdict(run_id, notes)


def _check_lines(
    check: RunCheck,
    scan: RunScan,
    files: RunFiles,
    heads: dict[int, str],
    notes: list[str],
    progress: Callable[[int], None] | None,
) -> None:
    """Every record, and every line that a witness saw, up to the first that is damaged."""
    try:
        for line in scan:
            _compare(check, line.place.off, line.place.prev, heads)
            if not line.is_control:
                _take(check, line, files)
            if progress is not None:
                progress(line.place.off + line.length)
    except JournalCorruptError as error:
        check.note(_damage(error, scan))
    except CodetetherError as error:  # the archive holds the rest, and cannot be had
        check.is_read = False
        notes.append(f"it was checked up to byte {scan.position.off} only: {error}")
    _compare(check, scan.position.off, scan.position.prev, heads)


def _heads(
    witness: Witness | None, data_dir: Path, run_id: str, notes: list[str]
) -> dict[int, str]:
    """What the witness saw; that it saw nothing is noted."""
    if witness is None:
        return {}
    try:
        heads = {head.off: head.prev for head in witness(data_dir, run_id)}
    except (OSError, ValueError, CodetetherError) as error:
        notes.append(f"the audit log cannot be read, so it is no witness: {error}")
        return {}
    if not heads:
        notes.append("the audit log has seen nothing of it, so that a rewritten run may pass")
    return heads


def _check_bytes(
    check: RunCheck, data_dir: Path, run_id: str, notes: list[str], fetch: Fetch | None
) -> None:
    """Checksums, the chain, seals and blobs; what nobody was promised is only noted."""
    try:
        problems = check_run(data_dir, run_id, fetch=fetch).problems
    except CodetetherError:  # the archive; whoever reads the lines meets it again, and notes it
        check.is_read = False
        return
    for problem in problems:
        if problem.kind == "away":  # likewise
            check.is_read = False
            continue
        if not problem.is_damage:
            notes.append(str(problem))
            continue
        offset = problem.offset + _start_of(problem.segment)
        check.note(Departure(level="integrity", cause="damaged", what=str(problem), offset=offset))


def _start_of(segment: str) -> int:
    """Where a segment begins in the run's stream, by its name."""
    found = re.search(r"-(\d{20})-", segment)
    return int(found[1]) if found else 0


def _take(check: RunCheck, line: Line, files: RunFiles) -> None:
    offset = line.place.off
    try:
        record = restore(line.data, files)
    except BlobError as error:
        check.note(
            Departure(
                level="integrity",
                cause="damaged",
                what=str(error),
                seq=line.place.seq,
                offset=offset,
            )
        )
        return
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"the record cannot be read ({error})"
        check.note(Departure(level="protocol", what=what, seq=line.place.seq, offset=offset))
        return
    check.take(record, generation=line.head.gen, offset=offset)


def _damage(error: JournalCorruptError, scan: RunScan) -> Departure:
    where = f"{error.detail} (byte {error.offset} of {error.segment})"
    place = scan.position
    return Departure(
        level="integrity", cause="damaged", what=where, seq=place.seq, offset=place.off
    )


def _compare(check: RunCheck, off: int, head: str, heads: dict[int, str]) -> None:
    """Whether the line before `off` is the one that others saw there."""
    seen = heads.pop(off, None)
    if seen is None or seen == head:
        return
    what = "the journal was rewritten: its line is not the one that the audit log saw"
    check.note(
        Departure(
            level="integrity",
            what=what,
            cause="tampered",
            offset=off,
            recorded=head,
            expected=seen,
        )
    )


def _lost(check: RunCheck, end: int, heads: Mapping[int, str]) -> None:
    if not heads:
        return
    first = min(heads)
    if first > end:
        what = f"the journal ends at byte {end}; the audit log saw it reach byte {max(heads)}"
    else:
        what = f"no line of the journal ends at byte {first}, where the audit log saw one"
    check.note(Departure(level="integrity", cause="tampered", what=what, offset=min(first, end)))


def _check_commits(check: RunCheck, data_dir: Path, run_id: str, notes: list[str]) -> None:
    """Whether the snapshots that are named are in the run's hub, where it is still there."""
    commits = check.protocol.commits
    hub = hub_path(data_dir, run_id)
    if not commits:
        return
    if not hub.is_dir():
        notes.append("its hub is gone, so nobody can say whether its snapshots exist")
        return
    asked = "".join(f"{commit}^{{commit}}\n" for commit in commits)
    git = ["git", "--git-dir", str(hub), "cat-file", "--batch-check"]
    done = subprocess.run(git, input=asked, capture_output=True, text=True, check=False)
    answers = done.stdout.splitlines()
    if done.returncode or len(answers) != len(commits):
        notes.append(f"its hub could not be read: {done.stderr.strip() or 'git failed'}")
        return
    for (commit, seq), answer in zip(commits.items(), answers, strict=True):
        if answer.endswith("missing"):
            if cleared_mark(data_dir, run_id).exists():
                notes.append("`cleanup` took its hub away in between, so some snapshots are gone")
                return
            what = f"snapshot {commit} is not in the run's hub"
            check.note(Departure(level="protocol", cause="damaged", what=what, seq=seq))
            return
