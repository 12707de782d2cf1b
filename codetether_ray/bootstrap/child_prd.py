"""What an agent is told of a PRD in its directory, or has begun there; nothing runs for it."""

from pathlib import Path

from codetether_ray.bootstrap.prd_file import read_prd_file
from codetether_ray.core.errors import CodetetherError, ToolError
from codetether_ray.ports.child_runs import ChildResult, RalphWish
from codetether_ray.ralph.planning import ready, waiting
from codetether_ray.tools.paths import place


def word_on(root: Path, wish: RalphWish) -> ChildResult:
    """How a PRD stands.

    Raises:
        ToolError: there is none that can be read.
    """
    try:
        prd = read_prd_file(place(root, wish.prd).path).prd
    except CodetetherError as error:
        raise ToolError(str(error)) from error
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
