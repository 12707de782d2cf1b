"""The specs of a swarm's agents. Paths are deterministic, so that a journal or a tape finds them.

`planner`, `planner-repair`, `sub/<id>`, `resolver/<id>`, `resolver/<id>/again`,
`resolver/<id>/again-2` …, `synthesis`.
"""

from dataclasses import replace

from codetether_ray.agent.roles import in_role, in_tree
from codetether_ray.core.spec import AgentKind, AgentSpec
from codetether_ray.ports.workspace import Base, Tree
from codetether_ray.swarm import prompts
from codetether_ray.swarm.options import SwarmOptions
from codetether_ray.swarm.plan import Plan, Subtask


class Crew:
    """Makes each agent's spec from the swarm's template."""

    def __init__(self, options: SwarmOptions) -> None:
        self._options = options

    @property
    def swarm_id(self) -> str:
        """The id of the swarm."""
        return self._options.swarm_id

    def planner(self, *, repair: bool = False) -> AgentSpec:
        """The agent that makes the plan, or repairs it."""
        path = "planner-repair" if repair else "planner"
        return self._spec(path, "planner", "planner", prompts.PLANNER_ROLE)

    def subagent(self, subtask: Subtask) -> AgentSpec:
        """The agent of a subtask, before it has a worktree (see `placed`)."""
        role = prompts.SUBAGENT_ROLE
        if subtask.specialty:
            role = f"Your specialty: {subtask.specialty}.\n{role}"
        spec = self._spec(f"sub/{subtask.id}", "subagent", subtask.name, role)
        return replace(spec, files=subtask.files)

    def placed(
        self, spec: AgentSpec, tree: Tree, base: Base, plan: Plan, subtask: Subtask
    ) -> AgentSpec:
        """A sub-agent's spec, in its worktree."""
        told = prompts.situation(base, tree.base, plan, subtask)
        return replace(in_tree(spec, tree), situation=told)

    def resolver(self, id: str, tree: Tree, number: int = 1) -> AgentSpec:
        """The agent that resolves a merge in `tree`, at its first or a later try."""
        again = {1: "", 2: "/again"}.get(number, f"/again-{number - 1}")
        path = f"resolver/{id}{again}"
        return in_tree(self._spec(path, "resolver", f"resolver {id}", prompts.RESOLVER_ROLE), tree)

    def synthesis(self) -> AgentSpec:
        """The agent that answers the task."""
        return self._spec("synthesis", "synthesis", "synthesis", prompts.SYNTHESIS_ROLE)

    def _spec(self, path: str, kind: AgentKind, name: str, role: str) -> AgentSpec:
        options = self._options
        return in_role(options.template, path, kind, name, role, options.tools)
