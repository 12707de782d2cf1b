"""Whether the audit log can be written, without which nothing is done, and whether it is sound."""

import os
from pathlib import Path

from codetether_ray.bootstrap.doctor.check import Check

_AUDIT_BYTES = 64 * 1024**2
"""A longer audit log is not read whole here."""
_MANY_CHAINS = 10_000
"""More files than this make everything that reads the log slow."""


def audit(data_dir: Path) -> Check:
    """Whether it can be written, without which nothing is done, and whether it is sound."""
    from codetether_ray.audit.places import audit_dir
    from codetether_ray.audit.verify import verify
    from codetether_ray.bootstrap.run_times import run_times

    root = audit_dir(data_dir)
    trouble = _unwritable(root)
    if trouble:
        fix = "mend the directory: nothing that must be audited is done before"
        return Check(name="audit", state="fail", detail=trouble, fix=fix)
    size = sum(p.stat().st_size for p in root.rglob("*.jsonl")) if root.is_dir() else 0
    if size > _AUDIT_BYTES:
        words = f"{size / 1e6:.0f} MB, too long to be read here"
        return Check(name="audit", state="ok", detail=words, fix="`codetether audit verify`")
    report = verify(data_dir, runs=run_times(data_dir))
    if report.findings:
        fix = "`codetether audit verify` names everything"
        words = f"{len(report.findings)} finding(s): {report.findings[0].text}"
        return Check(name="audit", state="fail", detail=words, fix=fix)
    words = f"{report.chains} chains, {report.lines} lines"
    if report.chains > _MANY_CHAINS:
        return Check(name="audit", state="warn", detail=words, fix="`codetether audit retire`")
    return Check(name="audit", state="ok", detail=words)


def _unwritable(root: Path) -> str:
    """Why nobody can write an audit log there; empty if nothing is known to hinder it."""
    from codetether_ray.audit.places import key_dir, node_dir, node_name

    data_dir, node = root.parent, node_name()
    for place in (root, node_dir(data_dir, node), key_dir(data_dir)):
        if not (place.exists() or place.is_symlink()):
            continue
        if not place.is_dir():
            return f"{place} is no directory"
        if not os.access(place, os.W_OK | os.X_OK):
            return f"{place} cannot be written by this user"
    key = key_dir(data_dir) / f"{node}.key"
    if key.exists() and key.stat().st_mode & 0o077:
        return f"{key} may be read by others, so that nothing can be signed; `chmod 600 {key}`"
    return ""
