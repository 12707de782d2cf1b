"""A run's hub as git bundles, each holding what the ones before do not.

The first leaves out what a remote of the user's repository has: that is safe there, and a clone of
it is needed to go on anyway. Where there is no remote, everything is in it. Refs travel in the
manifest: a bundle brings objects alone.
"""

import hashlib
import json
import os
import subprocess
from pathlib import Path

from codetether_ray.archive.ledger import Ledger
from codetether_ray.core.errors import ArchiveError
from codetether_ray.workspace.hub import hub_path

_MARK = "hub"
_SETTINGS = (("gc.auto", "0"), ("maintenance.auto", "false"), ("core.fsync", "all"))
_EMPTY = "empty bundle"
_STDERR = 400


def staged(ledger: Ledger) -> tuple[Path, ...]:
    """Bundles that wait to be sent."""
    return tuple(sorted(_stage(ledger).glob("*.bundle")))


def hub_facts(data_dir: Path, run_id: str) -> dict[str, object]:
    """What a manifest says of the hub: its refs, and whose objects it borrows."""
    hub = hub_path(data_dir, run_id)
    if not hub.is_dir():
        return {}
    return {
        "refs": _refs(hub),
        "alternates": [str(p) for p in _alternates(hub)],
        "object_format": _must(hub, "rev-parse", "--show-object-format").strip(),
    }


def stage(data_dir: Path, run_id: str, ledger: Ledger) -> None:
    """Make a bundle of what the archive lacks, if it lacks something.

    Raises:
        ArchiveError: git refuses.
    """
    hub = hub_path(data_dir, run_id)
    if not hub.is_dir() or staged(ledger):
        return
    refs = _refs(hub)
    tips = json.dumps(sorted(set(refs.values())))
    if ledger.marks.get(_MARK, "[]") == tips:
        return
    sent = json.loads(ledger.marks.get(_MARK, "[]"))
    folder = _stage(ledger)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = folder / "draft"
    wanted = [*refs, *(f"^{tip}" for tip in (*sent, *_remote_tips(hub)))]
    done = _git(hub, "bundle", "create", str(draft), "--stdin", stdin="\n".join(wanted) + "\n")
    if done.returncode and _EMPTY not in done.stderr:
        raise ArchiveError(f"git cannot bundle {hub}: {done.stderr.strip()[:_STDERR]}")
    (folder / "tips").write_text(tips, encoding="utf-8")
    if done.returncode:
        settle(ledger)  # only refs moved
        return
    with draft.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
    number = sum(name.startswith("hub/") for name in ledger.kept) + 1
    draft.replace(folder / f"{number:06}-{digest[:16]}.bundle")


def settle(ledger: Ledger) -> None:
    """Note that what was staged is in the archive, and take it away here."""
    folder = _stage(ledger)
    waiting = staged(ledger)
    if not (folder / "tips").exists() or any(f"hub/{p.name}" not in ledger.kept for p in waiting):
        return
    ledger.mark(_MARK, (folder / "tips").read_text("utf-8"))
    for path in (*waiting, folder / "tips"):
        path.unlink()
    folder.rmdir()


def restore(hub: Path, bundles: list[Path], facts: dict[str, object]) -> None:
    """Make a hub from its bundles and the manifest's facts.

    Raises:
        ArchiveError: git refuses; as a rule a clone of the user's repository is missing.
    """
    if not hub.exists():
        kind = str(facts.get("object_format", "sha1"))
        _must(None, "init", "--bare", "--quiet", "--template=", f"--object-format={kind}", str(hub))
        for name, value in _SETTINGS:
            _must(hub, "config", name, value)
    listed = facts.get("alternates", [])
    known = [p for p in (listed if isinstance(listed, list) else []) if Path(str(p)).is_dir()]
    if known:
        info = hub / "objects" / "info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "alternates").write_text("".join(f"{p}\n" for p in known), encoding="utf-8")
    for bundle in sorted(bundles, key=lambda p: p.name):
        _must(hub, "bundle", "unbundle", str(bundle))
    refs = facts.get("refs", {})
    lines = [
        f"update {name} {oid}" for name, oid in (refs if isinstance(refs, dict) else {}).items()
    ]
    if lines:
        done = _git(hub, "update-ref", "--stdin", stdin="\n".join(lines) + "\n")
        if done.returncode:
            raise ArchiveError(f"git cannot restore {hub}: {done.stderr.strip()[:_STDERR]}")


def _refs(hub: Path) -> dict[str, str]:
    out = _must(hub, "for-each-ref", "--format=%(refname) %(objectname)")
    pairs = (line.partition(" ") for line in out.splitlines())
    return {name: oid for name, _, oid in pairs}


def _alternates(hub: Path) -> list[Path]:
    try:
        text = (hub / "objects" / "info" / "alternates").read_text("utf-8")
    except FileNotFoundError:
        return []
    return [Path(line) for line in text.splitlines() if line]


def _remote_tips(hub: Path) -> list[str]:
    tips: list[str] = []
    for objects in _alternates(hub):
        done = _git(objects.parent, "for-each-ref", "--format=%(objectname)", "refs/remotes")
        tips += done.stdout.split() if done.returncode == 0 else []
    return tips


def _stage(ledger: Ledger) -> Path:
    return ledger.path.with_suffix(".hub")


def _must(hub: Path | None, *arguments: str) -> str:
    done = _git(hub, *arguments)
    if done.returncode:
        raise ArchiveError(f"`git {arguments[0]}` failed: {done.stderr.strip()[:_STDERR]}")
    return done.stdout


def _git(hub: Path | None, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    where = [] if hub is None else ["--git-dir", str(hub)]
    clean = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    return subprocess.run(
        ["git", *where, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env={**clean, "LC_ALL": "C"},
    )
