"""OKRs travel between processes and through JSON as they are."""

import json
import pickle
from dataclasses import replace

import pytest

from codetether_ray.core.codec import decode, encode_object
from codetether_ray.core.measures import (
    CommandMeasure,
    FileMeasure,
    HttpMeasure,
    KrReading,
    MeasureTerms,
    RubricMeasure,
)
from codetether_ray.core.okrs import Okr, OkrRun
from codetether_ray.okr.readings import with_outcomes
from codetether_ray.okr.terms import describe, read_measure
from tests.unit.okr.okrs import a_run, an_okr, approval

MEASURES: tuple[MeasureTerms, ...] = (
    CommandMeasure(command="c", parse="json", json_path="a", files=("x",), any_exit=True),
    FileMeasure(path="p", contains="t"),
    HttpMeasure(url="http://h/", network="loopback", status=204),
    RubricMeasure(criteria=("a", "b")),
)


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_is_read_back_from_json_and_described(measure: MeasureTerms) -> None:
    data = json.loads(json.dumps(encode_object(measure)))
    assert read_measure(data, "$") == measure
    assert describe(measure)


def test_an_okr_its_run_and_its_readings_survive_pickling_and_json() -> None:
    reading = KrReading(kr_id="k1", turn=1, commit="c", value=90, evidence=("p95=90",))
    first = an_okr().key_results[0]
    okr = an_okr(key_results=tuple(replace(first, id=f"k{n}", measure=m, title=f"{n}")
                                   for n, m in enumerate(MEASURES)))  # fmt: skip
    okr, run = with_outcomes(okr, a_run(approval=approval(), kr_progress={"k1": 90.0}), (reading,))
    for value in (okr, run, reading):
        assert pickle.loads(pickle.dumps(value)) == value
    assert decode(Okr, json.loads(json.dumps(encode_object(okr)))) == okr
    assert decode(OkrRun, json.loads(json.dumps(encode_object(run)))) == run
