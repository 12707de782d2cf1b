"""A PRD that is new: the template, and what a model is asked for and answers."""

import json
from collections.abc import Mapping
from typing import Any

from codetether_ray.core.ids import slug
from codetether_ray.ralph.prd import GATES, Prd, QualityChecks, Story
from codetether_ray.ralph.prd_text import PrdText, read_prd

REPAIRS = 2
"""How often a model may put right what is wrong with its PRD."""

_TEXT: Mapping[str, Any] = {"type": "string"}
_TEXTS: Mapping[str, Any] = {"type": "array", "items": _TEXT}
_GATE: Mapping[str, Any] = {"type": ["string", "null"]}

SCHEMA = json.dumps(
    {
        "type": "object",
        "required": ["user_stories"],
        "properties": {
            "user_stories": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["id", "title", "description", "acceptance_criteria"],
                    "properties": {
                        "id": _TEXT,
                        "title": _TEXT,
                        "description": _TEXT,
                        "acceptance_criteria": _TEXTS,
                        "depends_on": _TEXTS,
                        "priority": {"type": "integer"},
                        "complexity": {"type": "integer"},
                    },
                },
            },
            "technical_requirements": _TEXTS,
            "quality_checks": {"type": "object", "properties": dict.fromkeys(GATES, _GATE)},
        },
    }
)
"""What the drafting model's answer must satisfy."""

_REQUEST = """\
Write the user stories of a PRD for this repository. Look at the repository first, as far as the \
stories need it: where the code for this is, how it is tested, which commands check it. Change \
nothing.

Project: {project}
Feature: {feature}
What is wanted:
{description}

Each story is done by one agent that knows nothing but the story, in a copy of the repository of \
its own, and must pass the gates before it counts. So:
- A story is one change that can be made and checked by itself; name the files it is about. 2 to \
12 stories, ids US-001, US-002 …, a title of a few words.
- acceptance_criteria: what a test or a reader can verify, each in one sentence.
- depends_on: ids of the stories whose result it builds on, and no others; stories that change \
the same files depend on one another.
- priority: 1 is the highest. complexity: 1 (small) to 5.
- quality_checks: the shell commands that check this repository, run from its root: typecheck, \
lint, test, build; null where there is none. {gates}

Answer with one JSON object: {{"user_stories": [{{"id", "title", "description", \
"acceptance_criteria", "depends_on", "priority", "complexity"}}], "technical_requirements": [], \
"quality_checks": {{"typecheck", "lint", "test", "build"}}}}."""

_REPAIR = """\
The PRD cannot be worked on:
{problems}
Answer with the whole corrected JSON object."""


def template(project: str, feature: str, checks: QualityChecks, now: str) -> Prd:
    """A PRD of one story, to be filled in; `now` is RFC 3339."""
    story = Story(
        id="US-001",
        title="First story",
        description="Say what is to be built, where, and why.",
        acceptance_criteria=("Say what can be checked when it is done",),
    )
    return Prd(
        project=project,
        feature=feature,
        branch_name=branch_of(feature),
        stories=(story,),
        quality_checks=checks,
        created_at=now,
        updated_at=now,
    )


def branch_of(feature: str) -> str:
    """The branch that a new PRD names."""
    return f"feature/{slug(feature)}"


def request(project: str, feature: str, description: str, checks: QualityChecks) -> str:
    """What the drafting model is asked."""
    known = "; ".join(f"{name}: `{command}`" for name, command in checks.commands)
    gates = f"By the files at the root these would fit: {known}." if known else ""
    return _REQUEST.format(
        project=project, feature=feature, description=description, gates=gates
    ).replace(" \n", "\n")


def repair(problems: tuple[str, ...]) -> str:
    """What the model is told of a PRD that is not sound."""
    return _REPAIR.format(problems="\n".join(f"- {problem}" for problem in problems))


def drafted(answer: str, project: str, feature: str, checks: QualityChecks, now: str) -> PrdText:
    """The PRD in a model's answer, which satisfies `SCHEMA`.

    Raises:
        PrdError: it cannot be worked on.
    """
    dates = {"created_at": now, "updated_at": now}
    return compose({**json.loads(answer), "project": project, "feature": feature, **dates}, checks)


def compose(parts: Mapping[str, Any], checks: QualityChecks) -> PrdText:
    """A new PRD of these members of its file; gates that it has none of are `checks`.

    No story has passed, whatever they say.

    Raises:
        PrdError: it cannot be worked on.
    """
    stories = parts.get("user_stories", [])
    if isinstance(stories, list):
        stories = [_story(story) for story in stories]
    whole = {
        "project": parts.get("project", ""),
        "feature": parts.get("feature", ""),
        "branch_name": branch_of(str(parts.get("feature", ""))),
        "version": "1.0",
        "user_stories": stories,
        "technical_requirements": parts.get("technical_requirements", []),
        "quality_checks": parts.get("quality_checks")
        or {name: getattr(checks, name) for name in GATES},
        "created_at": parts.get("created_at", ""),
        "updated_at": parts.get("updated_at", ""),
    }
    return read_prd((json.dumps(whole, indent=2, ensure_ascii=False) + "\n").encode())


def _story(given: Any) -> Any:
    """A story with every key in its place; what is no story is left to be refused."""
    if not isinstance(given, dict):
        return given
    story = dict(given)
    if "depends_on" not in story and "dependencies" in story:
        story["depends_on"] = story.pop("dependencies")
    return {**_ORDER, **story, "passes": False}


_ORDER: Mapping[str, Any] = {
    "id": "",
    "title": "",
    "description": "",
    "acceptance_criteria": [],
    "passes": False,
    "priority": 1,
    "depends_on": [],
    "complexity": 3,
}
"""A story's keys in the order of a file, with what stands for one that is left out."""
