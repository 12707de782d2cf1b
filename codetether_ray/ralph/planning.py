"""What comes next in a PRD: pure questions about stories and what they wait for.

`passed` is who has passed by the state of a run; without it, by the PRD's own `passes`.
"""

from collections.abc import Collection, Iterable, Mapping

from codetether_ray.core import graph
from codetether_ray.ralph.prd import Prd, Story


def ready(
    prd: Prd, *, passed: Collection[str] | None = None, without: Collection[str] = ()
) -> tuple[Story, ...]:
    """Stories that may be worked on now, the first one first: by priority, complexity, file order.

    `without` names those that are under way or given up.
    """
    done = _done(prd, passed)
    found = [
        story
        for story in prd.stories
        if story.id not in done and story.id not in without and done.issuperset(story.depends_on)
    ]
    return tuple(sorted(found, key=lambda story: (story.priority, story.complexity)))


def waves(prd: Prd, *, passed: Collection[str] | None = None) -> tuple[tuple[Story, ...], ...]:
    """The stories that are left, in waves: each needs only what is in waves before it.

    A wave keeps the file's order. Ralph waits for no wave: a story is picked the moment its
    dependencies have passed; this is how wide the work can be.
    """
    done = _done(prd, passed)
    left = {
        story.id: tuple(need for need in story.depends_on if need not in done)
        for story in prd.stories
        if story.id not in done
    }
    stages = graph.stages(left)
    found: list[list[Story]] = [[] for _ in range(1 + max(stages.values(), default=-1))]
    for id in left:
        found[stages[id]].append(prd.by_id[id])
    return tuple(map(tuple, found))


def waiting(prd: Prd, *, passed: Collection[str] | None = None) -> Mapping[str, tuple[str, ...]]:
    """Each open story that cannot begin yet, with the dependencies that have not passed."""
    done = _done(prd, passed)
    open_needs = (
        (story.id, tuple(need for need in story.depends_on if need not in done))
        for story in prd.stories
        if story.id not in done
    )
    return {id: needs for id, needs in open_needs if needs}


def blocked(
    prd: Prd, stuck: Iterable[str], *, passed: Collection[str] | None = None
) -> Mapping[str, tuple[str, ...]]:
    """Each open story that can never begin while those in `stuck` don't pass, with which of them.

    The stuck ones themselves are not in it.
    """
    done = _done(prd, passed)
    given_up = set(stuck)
    left = {
        story.id: tuple(need for need in story.depends_on if need not in done)
        for story in prd.stories
        if story.id not in done
    }
    found: dict[str, tuple[str, ...]] = {}
    for id in left:
        behind = graph.reach(left, (id,)) & given_up
        if behind and id not in given_up:
            found[id] = tuple(other for other in left if other in behind)
    return found


def _done(prd: Prd, passed: Collection[str] | None) -> frozenset[str]:
    return prd.passed if passed is None else frozenset(passed)
