"""What went wrong is told as a problem, without a stack trace."""

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from codetether_ray.core.errors import (
    CodetetherError,
    OverLimitError,
    RunLostError,
    UnknownRunError,
    UsageError,
)
from codetether_ray.ingress.http.problems import (
    MEDIA_TYPE,
    Problems,
    TornAnswerError,
    install,
    problem_body,
    status_of,
)

SECRET = "a secret of the program"


class Body(BaseModel):
    number: int


def application() -> FastAPI:
    app = FastAPI()

    @app.get("/unknown")
    async def unknown() -> None:
        raise UnknownRunError("r1")

    @app.get("/usage")
    async def usage() -> None:
        raise UsageError("give one of them")

    @app.get("/fault")
    async def fault() -> None:
        raise ValueError(SECRET)

    @app.post("/body")
    async def body(given: Body) -> int:
        return given.number

    install(app)
    return app


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=Problems(application()))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as made:
        yield made


async def test_an_error_of_ours_is_told_with_its_sentence_and_kind(client: Any) -> None:
    answer = await client.get("/unknown")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == MEDIA_TYPE
    told = answer.json()
    assert told["kind"] == "UnknownRun"
    assert "r1" in told["detail"]
    assert (await client.get("/usage")).status_code == 400


async def test_what_nobody_foresaw_is_logged_under_the_number_that_is_told(
    client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = await client.get("/fault")
    assert answer.status_code == 500
    assert SECRET not in answer.text
    assert "Traceback" not in answer.text
    number = answer.json()["detail"].split()[-1]
    assert any(number in record.getMessage() for record in caplog.records)


async def test_a_body_that_does_not_fit_is_told_by_field_and_not_repeated(client: Any) -> None:
    answer = await client.post("/body", json={"number": SECRET})
    assert answer.status_code == 422
    assert "body.number" in answer.json()["detail"]
    assert SECRET not in answer.text


async def test_bodies_that_are_no_text_are_told_too(client: Any) -> None:
    for raw in (b"\xff\xfe", b'{"number": "\\ud800"}', b'{"\\ud800": 1}', b"{", b"[" * 100_000):
        answer = await client.post(
            "/body", content=raw, headers={"content-type": "application/json"}
        )
        assert 400 <= answer.status_code < 500, raw[:20]
        assert answer.headers["content-type"] == MEDIA_TYPE


async def test_an_unknown_path_and_a_wrong_method_are_problems(client: Any) -> None:
    for answer, status in ((await client.get("/nowhere"), 404), (await client.put("/body"), 405)):
        assert answer.status_code == status
        assert answer.json()["status"] == status


async def test_an_answer_that_had_begun_is_torn() -> None:
    async def failing(_: Any, __: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError(SECRET)

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    with pytest.raises(TornAnswerError) as torn:
        await Problems(failing)({"type": "http"}, None, send)  # type: ignore[arg-type]
    assert SECRET not in str(torn.value)
    assert len(sent) == 1


def test_the_nearest_class_of_an_error_says_its_status() -> None:
    assert status_of(RunLostError("r", "x")) == 503  # as any error of the cluster
    assert status_of(CodetetherError("?")) == 500

    class OwnError(OverLimitError):
        http_status = 418

    assert status_of(OwnError.__new__(OwnError)) == 418


@given(st.text())
def test_any_detail_makes_a_body(detail: str) -> None:
    assert isinstance(json.loads(problem_body(400, detail))["detail"], str)
