"""Real repositories for tests, and what must not change in them."""

import hashlib
import os
import subprocess
from pathlib import Path

RUN = "swm_0mabc12345_deadbeef"
SLUG = "swm-deadbeef"


class Repo:
    """A user's repository with an identity and a branch `trunk`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=trunk")

    @classmethod
    def at(cls, path: Path) -> "Repo":
        """One that is there."""
        found = cls.__new__(cls)
        found.path = path
        return found

    def git(self, *args: str, cwd: Path | None = None) -> str:
        return git(cwd or self.path, *args)

    def write(self, files: dict[str, str]) -> None:
        write(self.path, files)

    def commit(self, files: dict[str, str], message: str = "more") -> str:
        self.write(files)
        self.git("add", "--all")
        self.git("-c", "user.name=U", "-c", "user.email=u@x", "commit", "--quiet", "-m", message)
        return self.git("rev-parse", "HEAD")

    def show(self, spec: str) -> str:
        return self.git("show", spec)

    def files_at(self, commit: str) -> list[str]:
        return self.git("ls-tree", "-r", "--name-only", commit).splitlines()

    def branches(self) -> list[str]:
        return self.git("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads").splitlines()

    def status(self) -> list[str]:
        out = self.git("status", "--porcelain", "--untracked-files=all")
        return [line for line in out.split("\n") if line]

    def fingerprint(self) -> dict[str, str]:
        """All that a run without `deliver` must leave byte-identical, with the index's time."""
        dot_git = self.path / ".git"
        found = {
            str(p.relative_to(self.path)): _digest(p)
            for p in sorted(self.path.rglob("*"))
            if dot_git not in p.parents and p != dot_git
        }
        for name in ("HEAD", "index", "config", "packed-refs", "info/exclude"):
            found[f".git/{name}"] = _digest(dot_git / name)
        index = dot_git / "index"
        found["index time"] = str(index.stat().st_mtime_ns) if index.exists() else ""
        refs = self.git(
            "for-each-ref", "--format=%(refname) %(objectname)", "refs/heads", "refs/tags"
        )
        found["refs"] = "\n".join(r for r in refs.splitlines() if "/codetether/" not in r)
        return found


def git(cwd: Path, *args: str) -> str:
    """Run git as the user would; fail the test if it fails."""
    env = {**os.environ, "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}
    done = subprocess.run(["git", *args], cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"git {' '.join(args)}: {done.stderr}"
    return done.stdout.rstrip("\n")


def commit_as_agent(cwd: Path, message: str = "agent's own") -> str:
    """What an agent does in its worktree with `git commit`."""
    git(cwd, "add", "--all")
    git(cwd, "-c", "user.name=A", "-c", "user.email=a@x", "commit", "--quiet", "-m", message)
    return git(cwd, "rev-parse", "HEAD")


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)


def _digest(path: Path) -> str:
    if path.is_symlink():
        return f"-> {path.readlink()}"
    if path.is_dir():
        return "directory"
    if not path.exists():
        return "absent"
    return f"{path.stat().st_mode:o} {hashlib.sha256(path.read_bytes()).hexdigest()}"
