"""Retires old chains: their files go, a signed roll-up of how they ended stays.

Nothing goes that does not verify, and nothing that is still written. The roll-up is durable before
the first file goes, so that a stop in between leaves chains that are verified twice over, and the
next call takes the rest away.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from codetether_ray.audit import members
from codetether_ray.audit.checkpoint import kept
from codetether_ray.audit.index import last_line
from codetether_ray.audit.keys import open_signer
from codetether_ray.audit.lines import parse
from codetether_ray.audit.places import begun_at, chain_path, chains, node_dir, node_name
from codetether_ray.audit.rollup import Ended, keep_roll_up, signed_roll_up
from codetether_ray.audit.verify import verify
from codetether_ray.core import failpoints
from codetether_ray.core.errors import AuditError
from codetether_ray.disk.files import RealDisk


@dataclass(frozen=True, slots=True, kw_only=True)
class Retired:
    """What went."""

    chains: int = 0
    lines: int = 0
    waiting: int = 0
    """Old chains that stay because they are not in the archive yet."""


def retire(
    data_dir: Path,
    *,
    before: float,
    now: float,
    is_kept: Callable[[Path], bool] = lambda _: True,
) -> Retired:
    """Retire this node's chains whose last line is older than `before`. It blocks.

    `is_kept` says of a chain's file whether the archive has all of it, where there is one.

    Raises:
        AuditError: the log is not sound; nothing goes.
    """
    node = node_name()
    old = [chain for chain in chains(data_dir, node) if _is_before(data_dir, node, chain, before)]
    if not old:
        return Retired()
    report = verify(data_dir)
    if report.findings:
        raise AuditError(
            f"the audit log is not sound ({report.findings[0].text}), so nothing is retired; "
            "`codetether audit verify` names everything"
        )
    ended = [(chain, report.ends[node, chain]) for chain in old if (node, chain) in report.ends]
    going = [(chain, end) for chain, end in ended if is_kept(chain_path(data_dir, node, chain))]
    if going:
        made = signed_roll_up(
            open_signer(data_dir, node),
            origin=node,
            time=members.timestamp(now),
            chains=tuple(Ended(chain=c, count=end.count, head=end.hash) for c, end in going),
        )
        keep_roll_up(data_dir, made)
        failpoints.hit("audit.rolled_up")
        _remove(data_dir, node, [chain for chain, _ in going])
    lines = sum(end.count for _, end in going)
    return Retired(chains=len(going), lines=lines, waiting=len(ended) - len(going))


def _is_before(data_dir: Path, node: str, chain: str, before: float) -> bool:
    """Whether a chain's name and its last line are older."""
    begun = begun_at(chain)
    if begun is None or begun >= before:
        return False
    line = last_line(chain_path(data_dir, node, chain))
    if line is None:  # a full disk took no first line
        return True
    try:
        return datetime.fromisoformat(str((parse(line) or {})["timestamp"])).timestamp() < before
    except (KeyError, ValueError):
        return False


def _remove(data_dir: Path, node: str, names: list[str]) -> None:
    """Take the files away; the checkpoints last, which speak of them."""
    points = kept(data_dir, node)
    for chain in names:
        chain_path(data_dir, node, chain).unlink(missing_ok=True)
    RealDisk().sync_directory(node_dir(data_dir, node))
    failpoints.hit("audit.retired")
    for chain in names:
        for path in points.get(chain, ()):
            path.unlink(missing_ok=True)
