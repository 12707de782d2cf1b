"""Drafts: what is refused and where, the text that a person edits, the agent that drafts."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from codetether_ray.core.errors import DraftingFailedError, InvalidOkrError
from codetether_ray.core.measures import (
    CommandMeasure,
    FileMeasure,
    HttpMeasure,
    MeasureTerms,
    RubricMeasure,
)
from codetether_ray.core.okrs import KeyResult, Okr
from codetether_ray.core.spec import AgentSpec, Correlation, TurnResult
from codetether_ray.okr.draft_prompts import SCHEMA, draft_request
from codetether_ray.okr.draft_text import from_text, to_text
from codetether_ray.okr.drafting import Denied, Drafted, draft_okr, parse_draft
from codetether_ray.okr.rules import check_okr, read_okr
from codetether_ray.okr.stamps import fresh, seeded
from tests.unit.okr.okrs import an_okr
from tests.unit.swarm.world import ScriptedRuntime, completed

P95: dict[str, Any] = {
    "title": "p95 below 200 ms",
    "target": 200,
    "direction": "lower",
    "unit": "ms",
    "measure": {
        "type": "command",
        "command": "python scripts/bench.py",
        "parse": "regex",
        "pattern": r"p95=(\d+)",
    },
}
DOCS: dict[str, Any] = {
    "title": "It is documented",
    "target": 1,
    "direction": "higher",
    "measure": {"type": "file", "path": "docs/search.md", "contains": "## Speed"},
}


def draft(*key_results: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"objective": "Search is fast", "key_results": list(key_results), **changes}


def with_measure(**measure: Any) -> dict[str, Any]:
    return draft({**P95, "measure": {**P95["measure"], **measure}}, DOCS)


@pytest.mark.parametrize(
    ("data", "where", "what"),
    [
        (draft(P95, DOCS, objective=" "), "$.objective", "blank"),
        (draft(P95, DOCS, objective=5), "$.objective", "string"),
        ({"objective": "x"}, "$.key_results", "list"),
        (draft(), "key results", "at least one"),
        (draft(P95, 5), "$.key_results[1]", "object"),  # type: ignore[arg-type]
        (draft({**P95, "title": ""}), "$.key_results[0].title", "blank"),
        (draft(P95, P95), "key result 2", "another one's"),
        (draft({**P95, "target": "fast"}), "$.key_results[0].target", "number"),
        (draft({**P95, "target": -1}), "key result 1", "from 0 up"),
        (draft({**P95, "target": float("nan")}), "key result 1", "number"),
        (draft({**P95, "direction": "up"}), "$.key_results[0].direction", "higher or lower"),
        (draft({**P95, "metric_type": "x"}), "$.key_results[0].metric_type", "one of"),
        (draft({**P95, "measure": None}), "$.key_results[0].measure", "object with a type"),
        (with_measure(type="magic"), "$.key_results[0].measure", "one of"),
        (with_measure(command=""), "$.key_results[0].measure", "empty"),
        (with_measure(command=7), "$.key_results[0].measure", "string"),
        (with_measure(pattern="("), "$.key_results[0].measure", "regular expression"),
        (with_measure(pattern="p95"), "$.key_results[0].measure", "group"),
        (with_measure(parse="guess"), "$.key_results[0].measure", "one of"),
        (with_measure(files=["../x"]), "$.key_results[0].measure", "inside"),
        (with_measure(files="x"), "$.key_results[0].measure", "list of strings"),
        (with_measure(command="a\nb"), "$.key_results[0].measure", "one line"),
        (with_measure(files=["a\nb"]), "$.key_results[0].measure", "one line"),
        (draft({**P95, "target": 10**400}), "$.key_results[0].target", "too large"),
        (with_measure(timeout_s=0), "$.key_results[0].measure", "timeout"),
        (with_measure(parse="exit_status"), "key result 1", "target is 1"),
        (draft({**DOCS, "direction": "lower"}), "key result 1", "higher is better"),
        (draft({**DOCS, "measure": {"type": "file", "path": "/etc/passwd"}}), "measure", "inside"),
        (draft({**DOCS, "measure": {"type": "http", "url": "file:///x"}}), "measure", "http"),
        (draft({**DOCS, "measure": {"type": "http", "url": "http://u:p@h/"}}), "measure", "user"),
        (draft({**DOCS, "measure": {"type": "rubric", "criteria": []}}), "measure", "1 to 10"),
        (
            draft({**DOCS, "target": 3, "measure": {"type": "rubric", "criteria": ["a"]}}),
            "key result 1",
            "1 criteria",
        ),
    ],
)
def test_an_unsound_draft_is_refused_with_its_place(
    data: dict[str, Any], where: str, what: str
) -> None:
    with pytest.raises(InvalidOkrError) as caught:
        read_okr(data, fresh, "now")
    assert where in caught.value.where
    assert what in caught.value.problem


def test_a_target_of_zero_is_sound() -> None:
    okr = read_okr(draft({**P95, "target": 0}), fresh, "now")
    assert okr.key_results[0].target_value == 0


def test_seeded_ids_are_the_same_again_and_differ_by_seed() -> None:
    one, same = (read_okr(draft(P95, DOCS), seeded("rly_1"), "now") for _ in range(2))
    assert one == same
    assert one.id != read_okr(draft(P95, DOCS), seeded("rly_2"), "now").id


# -- the text that a person edits -----------------------------------------------------------------


WORDS = st.text("abc xyz-0123", min_size=1, max_size=20).map(
    lambda text: "w" + " ".join(text.split())
)
MEASURES: st.SearchStrategy[MeasureTerms] = st.one_of(
    st.builds(
        CommandMeasure,
        command=WORDS,
        parse=st.just("number"),
        any_exit=st.booleans(),
        files=st.lists(WORDS, max_size=2).map(tuple),
        timeout_s=st.integers(1, 3600).map(float),
    ),
    st.builds(CommandMeasure, command=WORDS, parse=st.just("regex"), pattern=st.just(r"a=(\d+)")),
    st.builds(CommandMeasure, command=WORDS, parse=st.just("json"), json_path=st.just("$.a[0]")),
    st.builds(FileMeasure, path=WORDS, json_path=st.just("a.b")),
    st.builds(HttpMeasure, url=st.just("https://h/x"), json_path=st.just("n")),
)


@given(st.lists(st.tuples(WORDS, MEASURES, st.floats(0, 1e6)), min_size=1, max_size=4), WORDS)
def test_the_text_of_an_okr_is_read_back_as_it_was(
    entries: list[tuple[str, MeasureTerms, float]], title: str
) -> None:
    results = tuple(
        KeyResult(
            id=f"k{n}",
            okr_id="o",
            title=f"{n} {words}",
            target_value=float(f"{target:.12g}"),
            direction="lower",
            unit="ms",
            measure=measure,
        )
        for n, (words, measure, target) in enumerate(entries)
    )
    okr = Okr(id="o", title=title, description="One.\nTwo.", key_results=results)
    assert from_text(to_text(okr), okr) == okr


@given(st.lists(st.sampled_from(["target: 5", "| bar", "plain", "# not a note", "key result: x"])))
def test_a_description_may_say_anything(lines: list[str]) -> None:
    text = "\n".join(lines)
    first = replace(an_okr().key_results[0], description=text)
    okr = an_okr(description=text, key_results=(first,))
    assert from_text(to_text(okr), okr).key_results[0].description.count("\n") == max(
        len(lines) - 1, 0
    )
    once = from_text(to_text(okr), okr)
    assert from_text(to_text(once), once) == once


def test_a_rubric_and_yes_or_no_measures_are_read_back() -> None:
    rubric = KeyResult(
        id="a", okr_id="o1", title="judged", target_value=2, unit="criteria",
        measure=RubricMeasure(criteria=("it is clear", "it has examples")),
    )  # fmt: skip
    passes = KeyResult(
        id="b", okr_id="o1", title="tests", target_value=1, unit="", metric_type="binary",
        measure=CommandMeasure(command="pytest -q"),
    )  # fmt: skip
    okr = an_okr(key_results=(rubric, passes))
    assert from_text(to_text(okr), okr) == okr


def test_an_edited_key_result_keeps_its_id_where_it_keeps_its_title() -> None:
    okr = an_okr()
    text = to_text(okr).replace("target: 100", "target: 80")
    edited = from_text(f"{text}\nkey result: More\n  measure: file\n  path: a.md\n", okr)
    assert edited.id == okr.id
    assert [kr.target_value for kr in edited.key_results] == [80, 1]
    assert edited.key_results[0].id == okr.key_results[0].id
    assert edited.key_results[1].id != okr.key_results[0].id


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("", "line 1", "objective"),
        ("key result: x\n", "line 1", "objective"),
        ("objective: x\nkey result: y\n  target: soon\n", "line 3", "no number"),
        ("objective: x\n\n# note\nkey result: y\n  target: 1\n", "line 4, 'y'", "one of"),
        ("objective: x\nnonsense\n", "line 2", "neither"),
        ("objective: x\nobjective: y\n", "line 2", "one objective"),
        ("objective: x\nkey result: y\n  unit: a\n  unit: b\n", "line 4", "said before"),
        ("objective: x\nkey result: y\n  any exit: maybe\n", "line 3", "yes nor no"),
        (
            "objective: x\nkey result: y\n  target: 1\n  measure: command\n  command: c\n"
            "  parse: regex x\n",
            "line 2, 'y'",
            "group",
        ),
    ],
)
def test_what_is_wrong_with_a_text_is_said_by_its_line(text: str, where: str, what: str) -> None:
    with pytest.raises(InvalidOkrError) as caught:
        from_text(text)
    assert caught.value.where == where
    assert what in caught.value.problem


# -- the drafter ----------------------------------------------------------------------------------


TEMPLATE = AgentSpec(
    path="", kind="main", name="", model="m/m", root="/r", correlation=Correlation(run_id="rly_1")
)


def drafted(runtime: ScriptedRuntime, denied: tuple[Denied, ...] = ()) -> Drafted:
    return asyncio.run(
        draft_okr(
            "make search fast",
            runtime,
            TEMPLATE,
            new_id=seeded("rly_1"),
            now=lambda: "now",
            tools=("grep",),
            denied=denied,
        )
    )


def answers(**said: Any) -> ScriptedRuntime:
    runtime = ScriptedRuntime()
    runtime.behaviours = {path.replace("__", "/").replace("_", "-"): s for path, s in said.items()}
    return runtime


GOOD = json.dumps(draft(P95, DOCS))


def test_a_sound_answer_is_the_draft() -> None:
    runtime = answers(aide__okr_1=f"Here it is:\n```json\n{GOOD}\n```")
    made = drafted(runtime)
    assert [kr.title for kr in made.okr.key_results] == ["p95 below 200 ms", "It is documented"]
    assert len(made.turns) == 1
    spec = runtime.spec_of("aide/okr-1")
    assert (spec.tools, spec.kind, spec.root) == (("grep",), "aide", "/r")
    assert "make search fast" in runtime.message_to("aide/okr-1")


def test_what_the_prompt_teaches_satisfies_the_schema_and_the_rules() -> None:
    validator = Draft202012Validator(json.loads(SCHEMA))
    taught = [json.loads(line.split("  (")[0]) for line in examples()]
    assert {one["type"] for one in taught} == {"command", "file", "http", "rubric"}
    for measure in taught:
        target = 200 if measure["type"] == "command" else 1
        url = {"url": "https://example.org/"} if measure["type"] == "http" else {}
        one = {**DOCS, "target": target, "measure": {**measure, **url}}
        validator.validate(draft(one))
        read_okr(draft(one), fresh, "now")


def examples() -> list[str]:
    """The measures that the prompt shows, a line each."""
    lines = draft_request("x").splitlines()
    return [line for line in lines if line.startswith('{"type"')]


def test_an_unsound_answer_is_repaired_once_with_what_is_wrong() -> None:
    runtime = answers(aide__okr_1=json.dumps(draft(P95)), aide__okr_1_repair=GOOD)
    assert len(drafted(runtime).turns) == 2
    assert "2 to 5 are wanted" in runtime.message_to("aide/okr-1-repair")


def test_a_second_unsound_answer_says_what_to_do() -> None:
    runtime = answers(aide__okr_1="sorry", aide__okr_1_repair="no")
    with pytest.raises(InvalidOkrError, match="okr create"):
        drafted(runtime)


def test_an_answer_that_misses_the_schema_is_repaired_and_a_dead_model_is_not() -> None:
    missed = replace(completed("{}"), outcome="failed", error_kind="InvalidAnswerError")
    assert drafted(answers(aide__okr_1=missed, aide__okr_1_repair=GOOD)).okr.title
    dead = TurnResult(outcome="failed", error="no such model", error_kind="ModelRefusedError")
    runtime = answers(aide__okr_1=dead)
    with pytest.raises(DraftingFailedError, match="no such model") as failed:
        drafted(runtime)
    assert (failed.value.outcome, failed.value.error_kind) == ("failed", "ModelRefusedError")
    assert runtime.paths == ["aide/okr-1"]


def test_a_denied_draft_is_drafted_anew_with_the_reason_and_other_ids() -> None:
    first = drafted(answers(aide__okr_1=GOOD)).okr
    runtime = answers(aide__okr_2=GOOD)
    again = drafted(runtime, (Denied(okr=first, reason="measure the p99"),))
    message = runtime.message_to("aide/okr-2")
    assert "measure the p99" in message
    assert "p95 below 200 ms" in message
    assert again.okr.id != first.id


def test_more_key_results_than_five_are_too_many_for_a_model_and_not_for_a_person() -> None:
    many = [{**P95, "title": f"k{n}"} for n in range(6)]
    with pytest.raises(InvalidOkrError, match="there are 6"):
        parse_draft(json.dumps(draft(*many)), fresh, "now")
    check_okr(read_okr(draft(*many), fresh, "now"))
