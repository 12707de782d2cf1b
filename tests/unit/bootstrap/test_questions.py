"""What may be asked of a truth by HTTP: its names, the values that travel, what is refused."""

import contextlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.bootstrap.truth.http import told_error
from codetether_ray.bootstrap.truth.pieces import Held, Piece
from codetether_ray.bootstrap.truth.questions import NAMES, QUESTIONS, sent, taken, told
from codetether_ray.bootstrap.truth.runs import Standing
from codetether_ray.core.access_errors import ForbiddenError, UnauthenticatedError
from codetether_ray.core.errors import ClusterError, UnknownRunError, UsageError
from codetether_ray.core.okrs import ApprovalDecision
from codetether_ray.ingress.answers import ANSWERS
from tests.unit.okr.okrs import a_run, an_okr

DECISION = ApprovalDecision(id="d", run_id="r", decision="approved", reason="why", decided_at="t")
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def test_each_question_has_an_answer_and_a_permission_and_no_other_can_be_asked() -> None:
    assert QUESTIONS.keys() == ANSWERS.keys()
    assert len(NAMES) == len(QUESTIONS)
    assert all(":" in permission for permission, _ in ANSWERS.values())


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("runs.rows", (None, "swarm", None, 1.5)),
        ("runs.rows", (5, "", "/x", 1.0)),
        ("runs.sums", (None, 0.0, True)),
        ("okrs.add", (an_okr(), a_run())),
        ("okrs.add", (an_okr(tags=("a", "b")), None)),
        ("okrs.decide", ("r", DECISION, 3)),
        ("okrs.edit", ("r", an_okr(), 1, "now")),
    ],
)
def test_arguments_arrive_as_they_were_sent(name: str, arguments: tuple[Any, ...]) -> None:
    assert taken(name, sent(arguments)) == arguments  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("runs.standing", Standing(is_alive=True, pid=7)),
        ("files.listing", [Held(path="events/x", size=3)]),
        ("files.piece", Piece(fits=True, data=bytes(range(256)), is_last=False)),
        ("okrs.every", ((an_okr(),), (a_run(),))),
        ("okrs.find", (an_okr(), None)),
        ("runs.sums", ({"runs": 1}, ("a note",))),
        ("runs.find", "ses_0000000000_00000000"),
    ],
)
def test_answers_arrive_as_they_were_given(name: str, answer: Any) -> None:
    assert QUESTIONS[name].answer(told(answer)) == answer


@given(name=st.sampled_from(sorted(QUESTIONS)), arguments=st.lists(_json, max_size=5))
def test_whatever_comes_is_taken_or_refused(name: str, arguments: list[Any]) -> None:
    found = None
    with contextlib.suppress(UsageError):
        found = taken(name, arguments)
    assert found is None or len(found) == len(QUESTIONS[name].takes)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("runs.find", [7]),
        ("runs.find", ["a\0b"]),
        ("runs.find", ["\ud800"]),
        ("runs.find", []),
        ("runs.find", ["a", "b"]),
        ("runs.rows", ["5", "", None, 1.0]),
        ("files.piece", ["events/x", True, 0, ""]),
        ("okrs.add", [{"id": "o", "title": 5}, None]),
        ("okrs.add", [{"title": "no id"}, None]),
        ("okrs.decide", ["r", {"id": "d", "run_id": "r", "decision": "maybe"}, None]),
    ],
)
def test_arguments_of_other_types_are_refused(name: str, arguments: list[Any]) -> None:
    with pytest.raises(UsageError, match=name):
        taken(name, arguments)


def test_a_member_of_another_type_is_found_however_deep() -> None:
    okr = an_okr()
    (result,) = okr.key_results
    broken = replace(okr, key_results=(replace(result, outcomes=("no outcome",)),))  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        taken("okrs.add", [*sent((broken,)), None])  # type: ignore[misc]


def test_an_error_keeps_its_class_its_sentence_and_its_exit_code() -> None:
    found = told_error("http://h:1", 404, {"kind": "UnknownRun", "detail": "no run 'x'"})
    assert isinstance(found, UnknownRunError)
    assert (str(found), found.exit_code) == ("no run 'x'", 2)
    assert isinstance(told_error("u", 403, {"kind": "Forbidden", "detail": "no"}), ForbiddenError)
    refused = told_error("http://h:1", 401, {"detail": "a bearer token is needed"})
    assert isinstance(refused, UnauthenticatedError)
    assert "codetether context use http://h:1" in str(refused)
    odd = told_error("http://h:1", 500, {"kind": "internal", "detail": "a fault of ours"})
    assert (type(odd), "a fault of ours" in str(odd)) == (ClusterError, True)
    assert "of a version" in str(told_error("u", 404, {"detail": "Not Found"}))
    assert type(told_error("u", 502, {})) is ClusterError
    assert type(told_error("u", 502, {"kind": "__class__"})) is ClusterError
