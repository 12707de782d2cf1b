"""The specs of a relay's agents. Paths are deterministic, so that a journal or a tape finds them.

`planner`, `planner-repair`, `relay/<name>`, `aide/summary-<turn>`, `aide/specialist-<turn>`.
"""

import json
from dataclasses import replace

from codetether_ray.agent.roles import beside, in_role
from codetether_ray.core.spec import AgentKind, AgentSpec
from codetether_ray.ports.workspace import Tree
from codetether_ray.relay import prompts
from codetether_ray.relay.options import RelayOptions
from codetether_ray.relay.profiles import Profile


class Crew:
    """Makes each agent's spec from the relay's template."""

    def __init__(self, options: RelayOptions) -> None:
        self._options = options

    def planner(self, *, repair: bool = False) -> AgentSpec:
        """The agent that forms the team, or tries again."""
        path = "planner-repair" if repair else "planner"
        return self._aide(path, prompts.TEAM_ROLE, prompts.TEAM_SCHEMA)

    def specialist(self, turn: int) -> AgentSpec:
        """The agent that decides whether somebody joins after a turn."""
        path = f"aide/specialist-{turn}"
        return self._aide(path, prompts.SPECIALIST_ROLE, prompts.SPECIALIST_SCHEMA)

    def summary(self, turn: int) -> AgentSpec:
        """The agent that shortens a turn's handoff."""
        return self._aide(f"aide/summary-{turn}", prompts.SUMMARY_ROLE, None)

    def member(self, profile: Profile, tree: Tree, finished_turns: int) -> AgentSpec:
        """A member in the relay's tree, which is nobody's own; one agent through all its turns."""
        role = prompts.MEMBER_ROLE.format(specialty=profile.specialty, mission=profile.mission)
        spec = self._spec(f"relay/{profile.name}", "member", profile.name, role)
        return replace(beside(spec, tree), finished_turns=finished_turns)

    def _aide(self, path: str, role: str, schema: object) -> AgentSpec:
        text = None if schema is None else json.dumps(schema)
        return replace(self._spec(path, "aide", path, role), output_schema=text)

    def _spec(self, path: str, kind: AgentKind, name: str, role: str) -> AgentSpec:
        options = self._options
        spec = in_role(options.template, path, kind, name, role, options.tools)
        return replace(spec, node="")
