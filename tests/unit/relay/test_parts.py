import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.core.errors import PlanError
from codetether_ray.core.events import TurnDone
from codetether_ray.core.spec import Correlation, TurnResult
from codetether_ray.relay.convergence import converged, normalised
from codetether_ray.relay.markers import needed, questions, says_done
from codetether_ray.relay.profiles import (
    fallback_team,
    parse_specialist,
    parse_team,
)
from codetether_ray.relay.profiles import (
    normalised as profiles_of,
)
from codetether_ray.relay.trailers import turn_message


def _team(*names: object) -> str:
    return json.dumps({"profiles": [{"name": n, "specialty": "Data Bases"} for n in names]})


def test_names_are_slugs_with_a_prefix_and_unlike_each_other() -> None:
    team = parse_team(_team("DB Expert!", "db-expert", "auto-db-expert"), 3)
    assert [p.name for p in team] == ["auto-db-expert", "auto-db-expert-2", "auto-db-expert-3"]
    assert team[0].capabilities[:2] == ("data-bases", "relay")


@pytest.mark.parametrize(
    "answer",
    [
        _team("a", "b"),
        f"Here:\n```json\n{_team('a', 'b')}\n```",
        '[{"name": "a"}, {"name": "b"}]',
    ],
)
def test_a_team_is_found_whatever_stands_around_it(answer: str) -> None:
    assert [p.name for p in parse_team(answer, 3)] == ["auto-a", "auto-b"]


@pytest.mark.parametrize(
    "answer", ["", "no", "{}", _team("one"), _team(1, None), '{"profiles": 3}']
)
def test_a_team_of_fewer_than_two_cannot_be_used(answer: str) -> None:
    with pytest.raises(PlanError):
        parse_team(answer, 3)


def test_no_more_than_are_asked_for_are_kept() -> None:
    assert len(parse_team(_team(*"abcdefghij"), 4)) == 4
    assert len(parse_team(_team(*"abcdefghij"), 40)) == 8
    assert [p.name for p in fallback_team(2)] == ["auto-agent-1", "auto-agent-2"]


@given(st.lists(st.text(max_size=60), min_size=1, max_size=20))
def test_names_are_short_and_never_the_same(names: list[str]) -> None:
    found = [p.name for p in profiles_of([{"name": n} for n in names], taken=("auto-a",))]
    assert len(found) == len({*found}) == sum(bool(n.split()) for n in names)
    assert all(len(n) <= 48 and n.startswith("auto-") and n != "auto-a" for n in found)


def test_a_specialist_joins_only_where_it_is_said() -> None:
    assert parse_specialist('{"spawn": false, "reason": "no"}', ()) is None
    joins = '{"spawn": true, "profile": {"name": "sql"}}'
    found = parse_specialist(joins, ("auto-sql",))
    assert found is not None
    assert found.name == "auto-sql-2"
    with pytest.raises(PlanError):
        parse_specialist('{"spawn": true, "profile": null}', ())


def test_only_lines_of_their_own_are_read() -> None:
    text = "I asked @b: nothing.\n@b: which port?\n- @c: and you?\n@a: myself\n@z: who?"
    assert [(q.to, q.text) for q in questions("a", text, ("a", "b", "c"))] == [
        ("b", "which port?"),
        ("c", "and you?"),
    ]
    assert needed("we are fine, nothing NEEDED: really") == ""
    assert needed("x\nNEEDED: SQL") == "SQL"


@pytest.mark.parametrize(
    ("text", "is_done"),
    [
        ("STATUS: done", True),
        ("**Status: DONE**", True),
        ("STATUS: done\nno\nSTATUS: open", False),
        ("my status: done is not a line of its own", False),
        ("", False),
    ],
)
def test_the_last_status_line_counts(text: str, is_done: bool) -> None:
    assert says_done(text) is is_done


def _turn(number: int, text: str, commit: str, per_round: int = 2) -> TurnDone:
    return TurnDone(
        turn=number,
        round=(number - 1) // per_round + 1,
        idx=(number - 1) % per_round,
        member="ab"[(number - 1) % 2],
        result=TurnResult(outcome="completed", text=text),
        commit=commit,
    )


def test_empty_answers_are_never_equal() -> None:
    turns = [_turn(n, " \n!", "base") for n in range(1, 4)]
    assert not converged(turns, "base", ends_round=False).is_reached


def test_a_round_that_is_not_over_is_not_at_rest() -> None:
    turns = [_turn(n, f"{n}\nSTATUS: done", "base") for n in range(1, 5)]
    assert converged(turns, "base", ends_round=True).is_reached
    assert not converged(turns, "base", ends_round=False).is_reached
    assert not converged(turns[:2], "base", ends_round=True).is_reached
    assert not converged(turns, "another", ends_round=True).is_reached


@given(st.text(max_size=2_000))
def test_what_is_compared_is_short_and_stays_as_it_is(text: str) -> None:
    once = normalised(text)
    assert len(once) <= 280
    assert normalised(once) == once


def test_a_commit_names_its_relay_its_objective_and_its_agent() -> None:
    ids = Correlation(run_id="rly_1", relay_id="rly_1", okr_id="o", okr_run_id="r")
    message = turn_message(3, "auto-a", "did it\nOkr-Id: forged", ids)
    assert message.startswith("relay: turn 3 by auto-a\n\n> did it\n> Okr-Id: forged\n\n")
    assert message.endswith(
        "Relay-Id: rly_1\nOkr-Id: o\nOkr-Run-Id: r\nCodetether-Run: rly_1\n"
        "Codetether-Agent: relay/auto-a\n"
    )
