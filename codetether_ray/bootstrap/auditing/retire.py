"""Retiring old audit chains, itself an audited action."""

import os
from collections.abc import Callable
from pathlib import Path

from codetether_ray.archive.ledger import Ledger
from codetether_ray.audit.retire import Retired, retire
from codetether_ray.bootstrap.archiving.opening import must_open
from codetether_ray.bootstrap.archiving.standing import AUDIT, audit_cargo
from codetether_ray.bootstrap.auditing.opening import acting
from codetether_ray.config.settings import Settings, load_settings
from codetether_ray.ports.audit import Action


def retire_audit(directory: Path, before: float, now: float) -> Retired:
    """Retire this node's chains whose last line is older than `before`.

    Raises:
        AuditError: the log is not sound, or the action could not be written down; nothing goes.
    """
    settings = load_settings(directory, os.environ)
    data_dir = settings.paths.data
    action = Action(category="archive", action="audit.retire", detail={"before": int(before)})
    with acting(data_dir, action) as done:
        is_kept = _archived(settings) if settings.archive.bucket is not None else _yes
        found = retire(data_dir, before=before, now=now, is_kept=is_kept)
        done.detail = {"chains": found.chains, "lines": found.lines, "waiting": found.waiting}
        return found


def _yes(_: Path) -> bool:
    return True


def _archived(settings: Settings) -> Callable[[Path], bool]:
    """Whether the archive has all of a chain's file, as its ledger says."""
    data_dir, store = settings.paths.data, must_open(settings)
    kept = Ledger.load(data_dir, AUDIT, store.place).kept.values()
    reached: dict[str, list[tuple[int, int]]] = {}
    for one in kept:
        reached.setdefault(one.name.rpartition("/")[0], []).append((one.start, one.end))
    rooms = {growing.path: growing.room for growing in audit_cargo(data_dir).growing}

    def is_kept(path: Path) -> bool:
        end = 0
        for first, last in sorted(reached.get(rooms.get(path, ""), ())):
            if first <= end:
                end = max(end, last)
        return end >= path.stat().st_size

    return is_kept
