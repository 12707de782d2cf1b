"""What an agent is told of a PRD in its directory, or has begun there; nothing runs for it."""

from pathlib import Path

from codetether_ray.bootstrap.ralph.prd_draft import template_prd
from codetether_ray.bootstrap.ralph.prd_file import read_prd_file
from codetether_ray.core.errors import CodetetherError, ToolError
from codetether_ray.ports.child_runs import ChildResult, RalphWish
from codetether_ray.ralph.planning import ready, waiting
from codetether_ray.tools.paths import place

_PROJECT, _FEATURE = "MyProject", "New Feature"


def word_on(root: Path, wish: RalphWish) -> ChildResult:
    """How a PRD stands, or that there is one now.

    Raises:
        ToolError: there is none that can be read, or there is one already.
    """
    path = place(root, wish.prd).path
    try:
        return _begun(root, path, wish) if wish.action == "create-prd" else _standing(path)
    except ToolError:
        raise
    except CodetetherError as error:
        raise ToolError(str(error)) from error


def _begun(root: Path, path: Path, wish: RalphWish) -> ChildResult:
    text = template_prd(root, wish.project or _PROJECT, wish.feature or _FEATURE)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(text.bytes)
    except FileExistsError as error:
        raise ToolError(f"{wish.prd} is there already, and stays as it is") from error
    said = f"{wish.prd} holds a template now; fill in its stories and gates, then call `ralph` run"
    return ChildResult(run_id="", outcome="completed", is_success=True, text=said)


def _standing(path: Path) -> ChildResult:
    prd = read_prd_file(path).prd
    waits = waiting(prd)
    lines = [
        f"{prd.project}: {prd.feature}; branch {prd.branch}; "
        f"{len(prd.passed)} of {len(prd.stories)} stories pass"
    ]
    for story in prd.stories:
        state = "passes" if story.passes else "is open"
        if story.id in waits:
            state = f"waits for {', '.join(waits[story.id])}"
        lines.append(f"{story.id} {state}: {story.title}")
    first = ready(prd)
    if first:
        lines.append(f"next: {first[0].id}")
    return ChildResult(run_id="", outcome="completed", is_success=True, text="\n".join(lines))
