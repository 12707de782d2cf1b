"""A rubric counts what is quoted word for word; the page shows what was measured, as text."""

import json
import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from codetether_ray.core.measures import KrReading
from codetether_ray.okr.json_form import key_result_json, okr_json, run_json
from codetether_ray.okr.page import chart, page
from codetether_ray.okr.rubric import judge_request, judged
from tests.unit.okr.okrs import a_run, an_okr, approval

FILES = {"docs/api.md": "# API\n\n## Errors\nEvery error is one clear sentence.\n"}
DIFF = "--- a/x.py\n+++ b/x.py\n-old_line_that_is_gone = 1\n+def added_in_this_run():\n+    pass\n"
CRITERIA = ("errors are documented",)


def said(**one: Any) -> str:
    entry = {"number": 1, "met": True, "file": "docs/api.md", "quote": "", "reason": "", **one}
    return json.dumps({"criteria": [entry]})


def met(answer: str) -> int:
    return judged(answer, CRITERIA, DIFF, FILES.get).met


def test_a_criterion_with_a_quotation_from_a_file_is_met() -> None:
    found = judged(said(quote="Every error is one clear sentence."), CRITERIA, DIFF, FILES.get)
    assert found.met == 1
    assert "Every error is one clear sentence." in found.evidence[0]


def test_a_quotation_may_be_from_what_was_added() -> None:
    assert met(said(file="x.py", quote="def added_in_this_run():\n    pass")) == 1


@pytest.mark.parametrize(
    "quote",
    [
        "",
        "error",
        "Every error is one clear paragraph.",
        "every error is one clear sentence.",
        "old_line_that_is_gone = 1",
        "+++ b/x.py is the file",
    ],
)
def test_a_claim_without_a_true_quotation_is_no_evidence(quote: str) -> None:
    found = judged(said(quote=quote), CRITERIA, DIFF, FILES.get)
    assert found.met == 0
    assert "not met" in found.evidence[0]


def test_what_the_judge_leaves_out_or_finds_unmet_is_not_met() -> None:
    assert met(json.dumps({"criteria": []})) == 0
    assert met(said(met=False, quote="Every error is one clear sentence.")) == 0
    assert met(said(met="yes", quote="Every error is one clear sentence.")) == 0


def test_an_answer_that_is_none_gives_no_value() -> None:
    with pytest.raises(ValueError, match="of no use"):
        judged("I like it", CRITERIA, DIFF, FILES.get)


def test_the_judge_is_shown_the_criteria_and_the_change() -> None:
    asked = judge_request(an_okr().key_results[0], CRITERIA, DIFF)
    assert "1. errors are documented" in asked
    assert "added_in_this_run" in asked


def readings() -> list[KrReading]:
    values = (300.0, 200.0, None, 90.0)
    return [
        KrReading(
            kr_id="k1",
            turn=n,
            commit=f"{n}" * 40,
            value=v,
            reason="" if v else "it <b>broke</b>",
            evidence=(f"p95={v} </style><script>alert(1)</script>",),
        )
        for n, v in enumerate(values)
    ]


def test_a_chart_has_a_mark_for_each_measurement_and_a_gap_where_nothing_is_known() -> None:
    svg = ET.fromstring(chart(an_okr().key_results[0], readings()))
    kinds = [node.get("class") for node in svg.iter("circle")]
    assert kinds == ["dot", "dot", "gap", "dot met"]
    assert len(list(svg.iter("polyline"))) == 1


def test_the_page_loads_nothing_and_shows_foreign_text_as_text() -> None:
    okr = an_okr(title="<img src=x>")
    text = page(okr, [(a_run(approval=approval("<ada>")), readings())])
    assert "<script" not in text
    assert "<img" not in text
    assert "default-src &#x27;none&#x27;" in text
    assert not re.search(r"(?:href|src)=", text.replace("&lt;img src=x&gt;", ""))
    assert text.count("<svg") == 1
    assert "200 ms" in text


def test_a_page_without_runs_is_a_page() -> None:
    assert "not measured" in page(an_okr(), [])


def test_json_has_every_member_and_null_for_what_is_not_known() -> None:
    okr = okr_json(an_okr())
    assert okr["key_results"] == [key_result_json(an_okr().key_results[0])]
    result = key_result_json(an_okr().key_results[0])
    assert result["current_value"] is None
    assert {"id", "okr_id", "title", "description", "target_value", "unit", "metric_type",
            "status", "outcomes", "created_at", "updated_at"} <= result.keys()  # fmt: skip
    assert {"id", "title", "description", "status", "key_results", "owner", "tenant_id", "tags",
            "created_at", "updated_at", "target_date"} <= okr.keys()  # fmt: skip
    run = run_json(a_run(request={"task": "t"}))
    assert {"id", "okr_id", "name", "status", "correlation_id", "relay_checkpoint_id",
            "session_id", "kr_progress", "approval", "outcomes", "iterations", "started_at",
            "completed_at", "updated_at"} <= run.keys()  # fmt: skip
    assert "request" not in run
    assert json.loads(json.dumps(okr)) == okr
