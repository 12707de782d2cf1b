"""The specs of a Ralph run's agents. Paths are deterministic, so that a journal finds them.

`story/<story>/<attempt>`, `story/<story>/diagnosis-<attempt>`, `resolver/<story>/<attempt>`,
`resolver/<story>/<attempt>/again`.
"""

from dataclasses import replace

from codetether_ray.agent.roles import in_role, in_tree
from codetether_ray.core.spec import AgentKind, AgentSpec
from codetether_ray.ports.workspace import Tree
from codetether_ray.ralph import prompts
from codetether_ray.ralph.options import RalphOptions
from codetether_ray.ralph.prd import Story


class Crew:
    """Makes each agent's spec from the run's template; `slugs` names stories in paths."""

    def __init__(self, options: RalphOptions) -> None:
        self._options = options

    def attempt(self, story: Story, slug: str, number: int) -> AgentSpec:
        """The agent of an attempt, before it has a tree."""
        name = f"{story.id} #{number}" if number > 1 else story.id
        path = f"story/{slug}/{number}"
        return self._spec(path, "subagent", name, prompts.STORY_ROLE, story)

    def diagnosis(self, story: Story, slug: str, number: int, tree: Tree) -> AgentSpec:
        """The agent that looks for the cause of like failures."""
        path, name = f"story/{slug}/diagnosis-{number}", f"{story.id} diagnosis"
        spec = self._spec(path, "aide", name, prompts.DIAGNOSIS_ROLE, story)
        return in_tree(replace(spec, tools=self._options.diagnosis_tools), tree)

    def resolver(self, story: Story, slug: str, attempt: int, number: int, tree: Tree) -> AgentSpec:
        """The agent that resolves a merge in `tree`, at its first or second try."""
        path = f"resolver/{slug}/{attempt}" + ("/again" if number > 1 else "")
        name = f"resolver {story.id}"
        return in_tree(self._spec(path, "resolver", name, prompts.RESOLVER_ROLE, story), tree)

    def _spec(self, path: str, kind: AgentKind, name: str, role: str, story: Story) -> AgentSpec:
        options = self._options
        spec = in_role(options.template, path, kind, name, role, options.tools)
        return replace(spec, correlation=replace(spec.correlation, task_id=story.id))
