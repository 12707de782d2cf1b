"""What differs between two trees, path by path."""

from dataclasses import dataclass

from codetether_ray.workspace.git_command import Git

_SUBMODULE, _DIRECTORY = "160000", "040000"


@dataclass(frozen=True, slots=True)
class Entry:
    """What a path is in the newer tree. Both are zeros where it is gone."""

    mode: str
    oid: str

    @property
    def is_tree(self) -> bool:
        """Whether it is a directory."""
        return self.mode == _DIRECTORY

    @property
    def is_there(self) -> bool:
        """Whether it is anything at all."""
        return self.mode.strip("0") != ""

    @property
    def is_kept(self) -> bool:
        """Whether its object belongs to the repository: it is there, and no submodule's commit."""
        return self.is_there and self.mode != _SUBMODULE


async def differing(git: Git, old: str, new: str, *, trees: bool = False) -> dict[str, Entry]:
    """Paths that differ, with what they are in `new`; `trees`: directories there as well.

    A path may change from a file to a directory or back: what it is now counts.
    """
    deep = ("-r", "-t") if trees else ("-r",)
    out = await git.run("diff-tree", *deep, "--no-renames", "--raw", "-z", old, new)
    found, parts = {}, iter(out.parts)
    for facts in parts:
        before, mode, _, oid, _ = facts.split(" ")
        path, entry = next(parts), Entry(mode, oid)
        if entry.is_there or (path not in found and before != f":{_DIRECTORY}"):
            found[path] = entry
    return found


async def entries(git: Git, tree: str) -> dict[str, Entry]:
    """All that a tree holds."""
    out = await git.run("ls-tree", "-r", "-t", "-z", "--full-tree", tree)
    found = {}
    for part in out.parts:
        facts, path = part.split("\t", 1)
        mode, _, oid = facts.split(" ")
        found[path] = Entry(mode, oid)
    return found
