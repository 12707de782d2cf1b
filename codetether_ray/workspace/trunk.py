"""A run's main branch as a line of single commits, with a branch of the user's that follows it.

See `ports.trunk` for what is promised. A branch that somebody has checked out stays where it is:
its files would not be those of its commit any more.
"""

import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from codetether_ray.core import failpoints
from codetether_ray.core.errors import WorkspaceError
from codetether_ray.ports.trunk import Opened
from codetether_ray.ports.workspace import Tree, Workspace
from codetether_ray.workspace.commits import (
    changed_paths,
    commit_tree,
    is_ancestor,
    move_ref,
    resolve,
    tree_of,
)
from codetether_ray.workspace.git import Ground
from codetether_ray.workspace.git_command import Git
from codetether_ray.workspace.materialize import top_of
from codetether_ray.workspace.merging import merge_commits
from codetether_ray.workspace.names import branch_of, ref_of, run_slug
from codetether_ray.workspace.records import ROOM, TreeRecord, read_record, tree_record_path
from codetether_ray.workspace.repository import Repository
from codetether_ray.workspace.worktrees import admin_directories

_CLEAN_TREE = "gates"
_MODE = "100644"


class GitTrunk:
    """Implements `Trunk` over a run's workspace.

    `ground` is what that stands on. `branch` follows the line (empty: none does); `own` are paths
    from the root that no story changes: they are what `squash` is given. `story_of` reads the
    story in a commit's message.
    """

    def __init__(
        self,
        workspace: Workspace,
        ground: Callable[[], Awaitable[Ground]],
        run_id: str,
        branch: str,
        *,
        own: tuple[str, ...] = (),
        story_of: Callable[[str], str] = lambda message: "",
    ) -> None:
        self._workspace = workspace
        self._ground = ground
        self._run = run_slug(run_id)
        self._branch = branch
        self._own = own
        self._story_of = story_of
        self._start = ""
        self._left = ""
        """Why the branch does not follow any more."""
        self._is_told = False
        """Whether `open` has said so."""
        self._tree: Tree | None = None

    async def open(self) -> Opened:
        """Find where the line begins; a run that goes on has begun there."""
        ground = await self._ground()
        if not self._branch:
            self._start = ground.record.base
            return Opened(start=self._start)
        notes: tuple[str, ...] = ()
        ref = ref_of(self._run, "line")
        self._start = await resolve(ground.git, ref)
        if not self._start:
            self._start = await self._begin(ground)
            await move_ref(ground.git, ref, self._start, "")
        if await _is_checked_out(ground.git, self._branch):
            self._left = f"{self._branch} is checked out"
            is_here = ground.record.branch == self._branch
            stays = "moves only with --merge" if is_here else "stays where it is"
            notes = (f"{self._left}: it {stays}; the work is on a branch of the run's own",)
            self._is_told = True
        head = await self._workspace.head()
        if head == ground.record.base != self._start:
            await self._workspace.advance(self._start)
            head = self._start
        await self._follow(ground, head)
        return Opened(start=self._start, branch="" if self._left else self._branch, notes=notes)

    async def _begin(self, ground: Ground) -> str:
        """The base, or where the branch goes on from it.

        Raises:
            WorkspaceError: it does not.
        """
        git, record = ground.git, ground.record
        tip = await resolve(git, f"refs/heads/{self._branch}")
        if not tip or await is_ancestor(git, tip, record.base):
            return record.base
        if not record.head or not await is_ancestor(git, record.head, tip):
            raise WorkspaceError(
                f"the branch {self._branch} is there and does not come from the commit that you "
                f"are on ({record.head[:10]}); bring it up to it (`git checkout {self._branch} && "
                "git rebase -`), check it out to go on from it, or name another `branch_name`"
            )
        if not record.is_snapshot:
            return tip
        message = "Merge what was not committed when the run began\n"
        merged = await merge_commits(git, tip, record.base, message)
        if merged.status == "conflict":
            raise WorkspaceError(
                f"your uncommitted changes conflict with {self._branch} in "
                f"{', '.join(merged.conflicts)}; commit or stash them"
            )
        return merged.commit

    async def head(self) -> str:
        """The line's last commit."""
        return await self._workspace.head()

    async def squash(
        self, merged: str, onto: str, message: str, files: Mapping[str, bytes]
    ) -> str | None:
        """One commit on `onto` with the tree of `merged`; see the port."""
        ground = await self._ground()
        git = ground.git
        tree = await tree_of(git, merged)
        changed = set(await changed_paths(git, onto, tree))
        if not changed - set(self._own):
            return None
        touched = changed & set(self._own)
        if files or touched:
            tree = await _edited(git, ground.repository, tree, files, touched - files.keys(), onto)
        return await commit_tree(git, tree, (onto,), message)

    async def changes(self, old: str, new: str) -> str:
        """What lies between two commits."""
        ground = await self._ground()
        out = await ground.git.run(
            "diff", "--no-ext-diff", "--no-textconv", "-U0", "-M", old, new
        )  # fmt: skip
        return out.stdout.decode("utf-8", "replace")

    async def checkout(self, commit: str) -> Tree:
        """The clean tree at a commit."""
        ground = await self._ground()
        tree = await self._workspace.start(_CLEAN_TREE, (commit,))
        self._tree = tree
        git, record = self._inside(ground, tree)
        await _cleaned(git, record, commit)
        return tree

    def _inside(self, ground: Ground, tree: Tree) -> tuple[Git, TreeRecord | None]:
        """Git in a tree, and what is known of it."""
        top = top_of(tree, ground.repository.prefix).resolve()
        for git_dir, root in admin_directories(ground.repository.common_dir):
            if root.resolve() == top:
                record = read_record(TreeRecord, tree_record_path(git_dir))
                return ground.git.at(top, git_dir), record
        raise WorkspaceError(f"{top} is no worktree any more")

    async def advance(self, new: str, old: str) -> None:
        """Land `new` on `old`."""
        head = await self._workspace.head()
        if head not in (old, new):
            raise WorkspaceError(f"the run's branch is at {head[:10]}, not at {old[:10]}")
        await self._workspace.advance(new)
        failpoints.hit("trunk.advanced")
        await self._follow(await self._ground(), new)

    async def _follow(self, ground: Ground, new: str) -> None:
        """Have the branch be where the line is, if it may; no landing fails for it."""
        if not self._branch or self._left or new == ground.record.base:
            return
        try:
            self._left = await follow(ground.git, self._branch, new)
        except WorkspaceError as error:
            self._left = str(error)

    async def landed(self) -> Mapping[str, str]:
        """Commits of this run in the line, by story."""
        ground = await self._ground()
        span = f"{self._start}..{await self._workspace.head()}"
        out = await ground.git.run("log", "--first-parent", "-z", "--format=%H%n%B", span)
        found: dict[str, str] = {}
        for part in out.parts:
            commit, _, message = part.partition("\n")
            story = self._story_of(message)
            if story:
                found[story] = commit
        return found

    async def close(self, *, is_awaited: bool = False) -> str:
        """Let go of the clean tree and its branch; see the port."""
        ground = await self._ground()
        branch = branch_of(self._run, _CLEAN_TREE)
        tree, self._tree = self._tree, None
        if tree is None and await resolve(ground.git, f"refs/heads/{branch}"):
            tree = await self._workspace.start(_CLEAN_TREE)  # of a try that was cut off
        if tree is not None:
            git, record = self._inside(ground, tree)
            await _cleaned(git, record, "HEAD" if is_awaited else await self.head())
            is_gone = await self._workspace.release(tree, keep=False) is None
            if is_gone and not is_awaited:
                await self._drop(ground.git, f"refs/heads/{branch}")
        if not self._left or self._is_told:
            return ""
        return f"{self._branch} did not follow: {self._left}"

    async def _drop(self, git: Git, branch: str) -> None:
        """Delete the clean tree's branch, which stands on the line by now, and where it began."""
        for ref in (branch, ref_of(self._run, "start", _CLEAN_TREE)):
            tip = await resolve(git, ref)
            if tip:
                await git.run("update-ref", "-d", ref, tip, allow=(0, 128))


async def follow(git: Git, branch: str, new: str) -> str:
    """Have a branch be at `new`, which comes from it; why it may not, else nothing.

    Raises:
        WorkspaceError: git refuses.
    """
    ref = f"refs/heads/{branch}"
    tip = await resolve(git, ref)
    if tip == new:
        return ""
    if await _is_checked_out(git, branch):
        return f"{branch} is checked out"
    if tip and not await is_ancestor(git, tip, new):
        return f"{branch} was moved to {tip[:10]} by somebody else"
    return "" if await move_ref(git, ref, new, tip) else f"{branch} was moved by somebody else"


async def _cleaned(git: Git, record: TreeRecord | None, commit: str) -> None:
    """Make a tree what a commit says; ignored files stay, and what the setup brought."""
    if git.git_dir is not None:
        (git.git_dir / "index.lock").unlink(missing_ok=True)  # of a git that was killed
    if record is not None:  # a gate may have gone to a branch of the user's
        await git.run("symbolic-ref", "HEAD", f"refs/heads/{record.branch}")
    await git.run("reset", "--hard", "--quiet", commit)
    kept = (*record.copied, *record.residue) if record is not None else ()
    but = [word for path in kept for word in ("-e", f"/{path}")]
    await git.run("clean", "-ffdq", *but)


async def _edited(
    git: Git,
    repository: Repository,
    tree: str,
    files: Mapping[str, bytes],
    back: set[str],
    onto: str,
) -> str:
    """A tree with `files` as given, and those in `back` as `onto` has them (or not at all)."""
    room = repository.common_dir / ROOM
    with tempfile.TemporaryDirectory(dir=room, prefix="squash-") as scratch:
        index = Path(scratch) / "index"
        await git.run("read-tree", tree, index=index)
        lines = [await _entry(git, path, data, onto) for path, data in sorted(files.items())]
        for path in sorted(back):
            known = await _known(git, path, onto)
            zero = f"0 {'0' * len(onto)}\t{path}"
            lines.append(f"{known[0]} {known[1]}\t{path}" if known else zero)
        data = "".join(f"{line}\0" for line in lines).encode("utf-8", "surrogateescape")
        await git.run("update-index", "-z", "--index-info", stdin=data, index=index)
        return (await git.run("write-tree", index=index, durable=True)).text


async def _entry(git: Git, path: str, data: bytes, onto: str) -> str:
    out = await git.run("hash-object", "-w", "--stdin", stdin=data, durable=True)
    known = await _known(git, path, onto)
    return f"{known[0] if known else _MODE} {out.text}\t{path}"


async def _known(git: Git, path: str, commit: str) -> tuple[str, str] | None:
    """Mode and object of a path in a commit."""
    out = await git.run("ls-tree", "-z", "--full-tree", commit, path)
    if not out.parts:
        return None
    mode, _, rest = out.parts[0].partition(" ")
    return mode, rest.partition(" ")[2].partition("\t")[0]


async def content_at(git: Git, commit: str, path: str) -> bytes | None:
    """What a file holds in a commit; None where the commit has no such file."""
    known = await _known(git, path, commit)
    if known is None:
        return None
    return (await git.run("cat-file", "blob", known[1])).stdout


async def _is_checked_out(git: Git, branch: str) -> bool:
    """Whether some worktree stands on a branch."""
    out = await git.run("worktree", "list", "--porcelain", "-z")
    return f"branch refs/heads/{branch}" in out.parts
