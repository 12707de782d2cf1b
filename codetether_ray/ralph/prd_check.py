"""What makes a PRD unfit to be worked on, and what is only unwise. Sentences with JSON paths."""

import re
from collections.abc import Iterator

from codetether_ray.core import graph
from codetether_ray.ralph.prd import Prd

_REF = re.compile(
    r"(?!-)(?!/)(?!\.)(?!.*(\.\.|//|/\.|@\{|\.lock(/|$)))"
    r"[^\x00-\x20\x7f~^:?*\[\\]+(?<![/.])"
)
"""What `git check-ref-format --branch` allows."""


def problems(prd: Prd) -> tuple[str, ...]:
    """Why the PRD cannot be worked on; () if it can."""
    return (*_of_the_whole(prd), *_of_stories(prd), *_of_dependencies(prd))


def warnings(prd: Prd) -> tuple[str, ...]:
    """What one would better look at again."""
    return (*_unwise_stories(prd), *_unwise_whole(prd))


def _of_the_whole(prd: Prd) -> Iterator[str]:
    if not prd.project.strip():
        yield "$.project: it is empty"
    if not prd.feature.strip():
        yield "$.feature: it is empty"
    if prd.branch_name and (not _REF.fullmatch(prd.branch_name) or prd.branch_name == "@"):
        yield f"$.branch_name: git allows no branch named {prd.branch_name!r}"
    if not prd.stories:
        yield "$.user_stories: there are no stories"


def _of_stories(prd: Prd) -> Iterator[str]:
    first: dict[str, int] = {}
    for number, story in enumerate(prd.stories):
        path = f"$.user_stories[{number}]"
        if not story.id.strip():
            yield f"{path}.id: it is empty"
        elif first.setdefault(story.id, number) != number:
            yield f'{path}.id: "{story.id}" is the id of $.user_stories[{first[story.id]}] already'
        if not story.title.strip():
            yield f"{path}.title: it is empty"


def _of_dependencies(prd: Prd) -> Iterator[str]:
    known = {story.id for story in prd.stories}
    needs: dict[str, tuple[str, ...]] = {}
    for number, story in enumerate(prd.stories):
        sound = []
        for place, need in enumerate(story.depends_on):
            path = f"$.user_stories[{number}].depends_on[{place}]"
            if need == story.id:
                yield f'{path}: "{story.id}" depends on itself'
            elif need not in known:
                yield f'{path}: there is no story "{need}"'
            else:
                sound.append(need)
        needs.setdefault(story.id, tuple(sound))
    circle = graph.cycle(needs)
    if circle:
        number = next(n for n, story in enumerate(prd.stories) if story.id == circle[0])
        path = f"$.user_stories[{number}].depends_on"
        yield f"{path}: the dependencies form a cycle: {' -> '.join(circle)}"


def _unwise_stories(prd: Prd) -> Iterator[str]:
    for number, story in enumerate(prd.stories):
        path = f"$.user_stories[{number}]"
        if not story.description.strip():
            yield f"{path}.description: it is empty, and is all that an agent knows of the story"
        if not story.acceptance_criteria:
            yield f"{path}.acceptance_criteria: there are none to judge the work by"
        if story.priority == 0:
            yield f"{path}.priority: 0 goes before 1, which is meant to be the highest"
        if not 1 <= story.complexity <= 5:
            yield f"{path}.complexity: {story.complexity} is not in 1..5"


def _unwise_whole(prd: Prd) -> Iterator[str]:
    if not prd.quality_checks.commands:
        yield "$.quality_checks: there is no gate, so nothing but a change is asked of a story"
    if not prd.branch_name:
        yield f"$.branch_name: it is empty; the work goes to {prd.branch}"
