"""What a Ralph run on a far head has made, in the asker's checkout: its branch, its PRD's state."""

import asyncio
from pathlib import Path

from codetether_ray.bootstrap.ralph.book import write
from codetether_ray.bootstrap.ralph.prd_file import PrdFile
from codetether_ray.bootstrap.ralph.request import PROGRESS, RalphRequest
from codetether_ray.core.codec import JsonObject, JsonValue
from codetether_ray.core.errors import CodetetherError, PrdError
from codetether_ray.ralph.prd_text import read_prd
from codetether_ray.workspace.git_command import Git
from codetether_ray.workspace.trunk import follow


async def set_down(
    request: RalphRequest, result: JsonObject, data_dir: Path
) -> tuple[JsonObject, tuple[str, ...]]:
    """The result without the texts that came with it, and sentences on what is where.

    Its commits are here already. A branch that is checked out, or went on by itself, stays.
    """
    out = {name: value for name, value in result.items() if name != "files"}
    said = list[str]()
    commit, branch = str(result.get("commit") or ""), _branch_of(request)
    if commit and branch:
        moved, sentence = await _followed(Path(request.directory), branch, commit)
        out["branch"] = branch if moved else result.get("branch")
        said.append(sentence)
    files = result.get("files")
    if isinstance(files, dict):
        said += await asyncio.to_thread(_files, request, result, files, data_dir)
    return out, tuple(sentence for sentence in said if sentence)


def _branch_of(request: RalphRequest) -> str:
    """The PRD's branch, as the PRD named it when the run was asked for."""
    try:
        return read_prd(request.prd_text.encode()).prd.branch
    except PrdError:
        return ""


async def _followed(directory: Path, name: str, commit: str) -> tuple[bool, str]:
    """Move a branch of the user's to where the run has come, if it may; a sentence on it."""
    why_not = await follow(Git(work_tree=directory), name, commit)
    if why_not:
        stays = f"so it stays where it is; take the run's commits with `git merge {commit[:10]}`"
        return False, f"{why_not}, {stays}"
    return True, f"{name} is at {commit[:10]}"


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
