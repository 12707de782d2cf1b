"""What a Ralph run on a far head has made, in the asker's checkout: its branch, its PRD's state."""

import asyncio
from pathlib import Path

from codetether_ray.bootstrap.prd_file import PrdFile
from codetether_ray.bootstrap.ralph_book import write
from codetether_ray.bootstrap.ralph_request import PROGRESS, RalphRequest
from codetether_ray.core.codec import JsonObject, JsonValue
from codetether_ray.core.errors import CodetetherError
from codetether_ray.workspace.commits import is_ancestor, move_ref, resolve
from codetether_ray.workspace.git_command import Git


async def set_down(
    request: RalphRequest, result: JsonObject, data_dir: Path
) -> tuple[JsonObject, tuple[str, ...]]:
    """The result without the texts that came with it, and sentences on what is where.

    Its commits are here already. A branch that is checked out, or went on by itself, stays.
    """
    out = {name: value for name, value in result.items() if name != "files"}
    said = [await _branch(request, result)]
    files = result.get("files")
    if isinstance(files, dict):
        said += await asyncio.to_thread(_files, request, result, files, data_dir)
    return out, tuple(sentence for sentence in said if sentence)


async def _branch(request: RalphRequest, result: JsonObject) -> str:
    name, commit = str(result.get("branch") or ""), str(result.get("commit") or "")
    git = Git(work_tree=Path(request.directory))
    if not name or not commit or name.startswith("codetether/"):
        return ""
    ref = f"refs/heads/{name}"
    old = await resolve(git, ref)
    if old == commit:
        return f"{name} is at {commit[:10]}"
    worktrees = await git.run("worktree", "list", "--porcelain", "-z")
    by_hand = f"; the run's commits: `git merge {commit[:10]}`"
    if f"branch {ref}" in worktrees.parts:
        return f"{name} is checked out, so it stays where it is{by_hand}"
    if old and not await is_ancestor(git, old, commit):
        return f"{name} went on by itself, so it stays where it is{by_hand}"
    if not await move_ref(git, ref, commit, old):
        return f"{name} moved at this very moment, so it stays where it is{by_hand}"
    return f"{name} is at {commit[:10]}"


def _files(
    request: RalphRequest, result: JsonObject, texts: dict[str, JsonValue], data_dir: Path
) -> list[str]:
    """The PRD's stories that passed are marked in the file as it is now; progress.txt is new."""
    path, said = Path(request.prd), list[str]()
    stories = result.get("stories")
    rows = stories if isinstance(stories, list) else []
    passed = [str(row["id"]) for row in rows if isinstance(row, dict) and row["status"] == "passed"]
    try:
        with PrdFile(path, data_dir, holder=request.run_id) as file:
            file.save(lambda text: text.passed(passed))
        said.append(f"{path.name}: {len(passed)} of {len(rows)} stories pass")
    except CodetetherError as error:
        said.append(f"the PRD was not saved: {error}")
    progress, text = path.with_name(PROGRESS), texts.get("progress")
    if not isinstance(text, str):
        return said
    try:
        now = progress.read_text("utf-8") if progress.exists() else ""
        if now in (request.progress_text, ""):
            write(progress, text.encode())
        elif now != text:
            said.append(f"{progress.name} changed since, so it stays as it is")
    except (OSError, UnicodeDecodeError, CodetetherError) as error:
        said.append(f"{progress.name} was not saved: {error}")
    return said
