"""A PRD: what is to be built, as stories that depend on each other, and the gates they must pass.

The schema is that of the reference (`docs/reference/prd.md` lists it). A `Prd` that came from
`prd_text.read_prd` is sound: ids are unique, every dependency exists, nothing waits for itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from codetether_ray.core.codec import JsonObject
from codetether_ray.core.graph import Graph
from codetether_ray.core.ids import slug

GATES = ("typecheck", "lint", "test", "build")
"""The gates in the order in which they run."""
MOST = 255
"""Of a priority or a complexity: the reference keeps them in a byte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityChecks:
    """The gates: shell commands; None where there is no such gate."""

    typecheck: str | None = None
    lint: str | None = None
    test: str | None = None
    build: str | None = None

    @property
    def commands(self) -> tuple[tuple[str, str], ...]:
        """Name and command of each gate that there is, in the order in which they run."""
        found = ((name, getattr(self, name)) for name in GATES)
        return tuple((name, command) for name, command in found if command)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One piece of the work: done when its gates pass and its criteria hold."""

    id: str
    title: str
    description: str = ""
    acceptance_criteria: tuple[str, ...] = ()
    passes: bool = False
    priority: int = 1
    """1 goes first; 0..255."""
    depends_on: tuple[str, ...] = ()
    """Ids of the stories that must have passed before."""
    complexity: int = 3
    """Nominally 1 to 5; 0..255."""


@dataclass(frozen=True, kw_only=True)
class Prd:
    """A whole PRD. What else its file holds stays in the file."""

    project: str
    feature: str
    stories: tuple[Story, ...]
    branch_name: str = ""
    """Empty: see `branch`."""
    version: str = "1.0"
    technical_requirements: tuple[str, ...] = ()
    quality_checks: QualityChecks = field(default_factory=QualityChecks)
    created_at: str = ""
    updated_at: str = ""

    @property
    def branch(self) -> str:
        """The branch that the stories land on: the one that is named, or the feature's."""
        return self.branch_name or f"ralph/{slug(self.feature)}"

    @property
    def passed(self) -> frozenset[str]:
        """Ids of the stories that have passed."""
        return frozenset(story.id for story in self.stories if story.passes)

    @property
    def is_complete(self) -> bool:
        """Whether every story has passed."""
        return all(story.passes for story in self.stories)

    @cached_property
    def by_id(self) -> Mapping[str, Story]:
        """Stories by their ids."""
        return {story.id: story for story in self.stories}

    @cached_property
    def graph(self) -> Graph:
        """What each story depends on, in file order."""
        return {story.id: story.depends_on for story in self.stories}

    @cached_property
    def slugs(self) -> Mapping[str, str]:
        """A name for each story that is fit for paths of agents and branches, and unique."""
        found: dict[str, str] = {}
        taken: set[str] = set()
        for story in self.stories:
            name, number = slug(story.id), 2
            while name in taken:
                name, number = f"{slug(story.id)}-{number}", number + 1
            taken.add(name)
            found[story.id] = name
        return found

    def to_json(self) -> JsonObject:
        """As a file holds it, every key spelled out."""
        checks = self.quality_checks
        return {
            "project": self.project,
            "feature": self.feature,
            "branch_name": self.branch_name,
            "version": self.version,
            "user_stories": [_story_json(story) for story in self.stories],
            "technical_requirements": list(self.technical_requirements),
            "quality_checks": {name: getattr(checks, name) for name in GATES},
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        }


def _story_json(story: Story) -> JsonObject:
    return {
        "id": story.id,
        "title": story.title,
        "description": story.description,
        "acceptance_criteria": list(story.acceptance_criteria),
        "passes": story.passes,
        "priority": story.priority,
        "depends_on": list(story.depends_on),
        "complexity": story.complexity,
    }
