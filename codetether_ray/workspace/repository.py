"""The repository that a run works in: where its parts are, and what is special about it."""

import os
from dataclasses import dataclass
from pathlib import Path

from codetether_ray.core.errors import WorkspaceError
from codetether_ray.workspace.git_command import OLDEST, Git, Output

UNFINISHED = (
    ("MERGE_HEAD", "merge"),
    ("rebase-merge", "rebase"),
    ("rebase-apply", "rebase"),
    ("CHERRY_PICK_HEAD", "cherry-pick"),
    ("REVERT_HEAD", "revert"),
)
"""Files in a git dir that say what was begun there, and the command that ends it."""

_good: set[str] = set()  # values of PATH that lead to a git that serves


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """Where things are.

    `root` is the top of the user's work tree, `git_dir` holds its HEAD and index, `common_dir`
    refs and objects (another directory if `root` is itself a linked worktree). `prefix` is the
    directory under `root` that the run was started in, "" for the root. `is_private`: we made the
    repository, to copy a directory that has none.
    """

    root: Path
    git_dir: Path
    common_dir: Path
    prefix: str = ""
    is_shallow: bool = False
    is_private: bool = False

    def unfinished(self) -> str:
        """What the user has begun and not ended here (`merge`, `rebase` …); empty for nothing."""
        found = (what for name, what in UNFINISHED if (self.git_dir / name).exists())
        return next(found, "")


async def find_repository(directory: Path) -> Repository | None:
    """The repository that holds `directory`; None if there is none, or it ignores the directory.

    Raises:
        WorkspaceError: git is missing or too old, or refuses the repository.
    """
    git = Git(work_tree=directory)
    await require_git(git)
    out = await git.run(
        "rev-parse", "--path-format=absolute", "--show-toplevel", "--absolute-git-dir",
        "--git-common-dir", "--is-shallow-repository", "--show-prefix", allow=(0, 128),
    )  # fmt: skip
    if out.code:
        _refuse_unless_absent(out, directory)
        return None
    root, git_dir, common, shallow, *prefix = out.text.split("\n")
    found = Repository(
        root=Path(root),
        git_dir=Path(git_dir),
        common_dir=Path(common),
        prefix="".join(prefix).rstrip("/"),
        is_shallow=shallow == "true",
    )
    if found.prefix and await _ignores(Git(work_tree=found.root, git_dir=found.git_dir), found):
        return None
    return found


async def require_git(git: Git) -> None:
    """Refuse a git that cannot merge without a checkout; asked once in a process.

    Raises:
        WorkspaceError: git is missing or too old.
    """
    path = os.environ.get("PATH", "")
    if path in _good:
        return
    version = await git.text("version")
    digits = version.removeprefix("git version ").split(".")[:2]
    if all(d.isdigit() for d in digits) and tuple(int(d) for d in digits) < OLDEST:
        raise WorkspaceError(f"{version} is too old; install git 2.38 or newer")
    _good.add(path)


async def notes_on(repository: Repository, git: Git, *, is_unborn: bool) -> tuple[str, ...]:
    """A sentence for each thing about the repository that a person or an agent should know."""
    notes = []
    if is_unborn:
        notes.append("the repository has no commit yet: the run starts from one of its own")
    if repository.is_shallow:
        notes.append("this is a shallow clone: agents see only the history that it has")
    if (repository.root / ".gitmodules").exists():
        notes.append(
            "submodules are empty directories in the worktrees; "
            "`git submodule update --init` as `workspace.setup` fills them"
        )
    if _uses_lfs(repository):
        notes.append("Git LFS: files whose content is not in this clone are pointers for agents")
    if unfinished := repository.unfinished():
        notes.append(
            f"a {unfinished} is in progress here; the run works from the files as they are"
        )
    if not await _has_identity(git):
        notes.append("no git identity is configured: the run's commits carry codetether's own")
    return tuple(notes)


def _refuse_unless_absent(out: Output, directory: Path) -> None:
    """Do nothing where there simply is no repository.

    Raises:
        WorkspaceError: there is one, and git refuses it.
    """
    if "not a git repository" in out.stderr:
        return
    if "must be run in a work tree" in out.stderr:
        raise WorkspaceError(
            f"{directory} is no checkout (a bare repository, or a `.git`); use one"
        )
    lines = [line.strip() for line in out.stderr.splitlines() if line.strip()]
    raise WorkspaceError("git refuses this repository: " + " ".join(lines)[:400])


async def _ignores(git: Git, repository: Repository) -> bool:
    out = await git.run("check-ignore", "--quiet", "--", repository.prefix, allow=(0, 1))
    if out.code:
        return False
    tracked = await git.run("ls-files", "--", repository.prefix)
    return not tracked.stdout


def _uses_lfs(repository: Repository) -> bool:
    places = (repository.root / ".gitattributes", repository.common_dir / "info" / "attributes")
    for place in places:
        try:
            if b"filter=lfs" in place.read_bytes():
                return True
        except OSError:
            continue
    return False


async def _has_identity(git: Git) -> bool:
    out = await git.run("config", "--get", "user.email", allow=(0, 1))
    return bool(out.text)
