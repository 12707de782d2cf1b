"""What an agent decides by, as its journal records it: enough to decide again without it."""

from codetether_ray.agent.asking import model_limits
from codetether_ray.agent.decide import DECIDER
from codetether_ray.agent.parts import AgentParts
from codetether_ray.core.events import DecisionTerms
from codetether_ray.core.spec import AgentSpec
from codetether_ray.ports.tool import Effect


def decision_terms(spec: AgentSpec, parts: AgentParts) -> DecisionTerms:
    """The terms of an agent in this process."""
    effects = {}
    for schema in parts.toolbox.schemas():
        effects[schema.name] = str(parts.toolbox.effect(schema.name) or Effect.READ)
    return DecisionTerms(decider=DECIDER, room=model_limits(spec, parts).room, effects=effects)
