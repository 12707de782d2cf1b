"""Checks of agents that are put away and taken up again."""

from contextlib import closing

from codetether_ray.agent.digests import prefix_digest
from codetether_ray.bootstrap.agent_checks import AgentChecks
from codetether_ray.core.events import AgentStarted, DecisionTerms, TurnStarted
from codetether_ray.core.messages import user
from codetether_ray.testing.fakes import make_spec

TERMS = DecisionTerms(decider=1, room=1000)


def started(path: str, *, is_blind: bool = False) -> AgentStarted:
    digest = prefix_digest("You help.", ())
    spec, terms = make_spec(path), None if is_blind else TERMS
    return AgentStarted(spec=spec, system="You help.", prefix_digest=digest, terms=terms)


def test_an_agent_that_was_put_away_goes_on_where_it_was() -> None:
    with closing(AgentChecks(in_memory=2)) as checks:
        for number in range(9):
            check = checks.take_out(f"a{number}")
            assert check.take(started(f"a{number}", is_blind=number == 3)) is None
            checks.put_back(f"a{number}", check)
        assert (len(checks), checks.blind) == (9, ["a3"])
        for number in range(9):
            check = checks.take_out(f"a{number}")
            assert check.take(TurnStarted(turn=0, message=user("Go."))) is None
            odd = check.take(TurnStarted(turn=7, message=user("Go.")))
            assert odd is not None
            checks.put_back(f"a{number}", check)
        assert len(checks) == 9
