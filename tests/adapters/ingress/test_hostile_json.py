"""A2A by JSON-RPC and REST, which no description lists: odd requests get answers, not faults."""

import asyncio
import json
from collections import Counter
from random import Random
from typing import Any

import httpx
import pytest
from a2a.types import a2a_pb2
from google.protobuf.json_format import Error, MessageToDict

from tests.adapters.ingress import hostile
from tests.adapters.ingress.scene import Opened

_SERVICE = a2a_pb2.DESCRIPTOR.services_by_name["A2AService"]
_OLD = (
    "message/send", "message/stream", "tasks/get", "tasks/cancel", "tasks/resubscribe",
    "tasks/pushNotificationConfig/set", "tasks/pushNotificationConfig/get",
    "tasks/pushNotificationConfig/list", "tasks/pushNotificationConfig/delete",
    "agent/getAuthenticatedExtendedCard",
)  # fmt: skip
_PATHS = (
    "message:send", "message:stream", "tasks", "tasks/x", "tasks/x:cancel", "tasks/x:subscribe",
    "tasks/x/pushNotificationConfigs", "tasks/x/pushNotificationConfigs/y", "extendedAgentCard",
    "v1/message:send", "v1/tasks/x", "v1/card", "tasks/x:y", "tasks/%00", "tasks//", ":", "nowhere",
)  # fmt: skip
_ODD: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 10**30, 1e308, "", "x", "\x00", "\ud800", [], {}, [[]], {"": None},
    {"kind": "text"}, ["a"] * 50, {"a": {"b": {"c": [1, "2", None]}}}, "9" * 5_000,
)  # fmt: skip
_AT_ONCE = 8
_FAULT = "Internal error"


def _spoilt(chance: Random, value: Any, depth: int = 0) -> Any:
    """The same value with some of it replaced, left out, or put where it does not belong."""
    if chance.random() < 0.08:
        return chance.choice(_ODD)
    if isinstance(value, dict):
        kept = {k: _spoilt(chance, v, depth + 1) for k, v in value.items() if chance.random() < 0.9}
        if chance.random() < 0.05:
            kept[chance.choice(("kind", "role", "parts", "x", "id"))] = chance.choice(_ODD)
        return kept
    if isinstance(value, list):
        return [_spoilt(chance, one, depth + 1) for one in value]
    return value


def _params(chance: Random) -> Any:
    method = chance.choice(_SERVICE.methods)
    try:
        whole = MessageToDict(hostile.made(chance, method.input_type))
    except (ValueError, TypeError, Error):  # what JSON cannot say
        whole = {"id": "x"}
    if chance.random() < 0.5:
        return whole
    whole.setdefault("message", {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "x"}]})
    if chance.random() < 0.5:
        part = {"kind": "text", "text": "x"}
        whole["message"] = {"kind": "message", "messageId": "m", "role": "user", "parts": [part]}
    return _spoilt(chance, whole)


def _request(chance: Random) -> tuple[str, str, bytes, dict[str, str]]:
    """Method, path, body, headers."""
    headers = {"content-type": chance.choice(("application/json",) * 8 + ("text/plain", "x"))}
    version = chance.choice(("1.0", "1.0", "1.0", "0.3", "", "9"))
    if version:
        headers["a2a-version"] = version
    body = _params(chance)
    if chance.random() < 0.6:
        names = (*(one.name for one in _SERVICE.methods), *_OLD)
        body = {"jsonrpc": "2.0", "id": chance.choice(("1", 2, None)), "params": body}
        body["method"] = chance.choice(names)
        body = _spoilt(chance, body) if chance.random() < 0.2 else body
        method, path = "POST", "/a2a"
    else:
        method = chance.choice(("GET", "POST", "DELETE"))
        path = f"/a2a/rest/{chance.choice(_PATHS)}"
    raw = json.dumps(body).encode()
    return method, path, hostile.damaged(chance, raw) if chance.random() < 0.05 else raw, headers


async def _answer(client: httpx.AsyncClient, chance: Random) -> tuple[Any, int, str]:
    method, path, body, headers = _request(chance)
    asked = (method, path, headers, body[:2_000])
    async with client.stream(method, path, content=body, headers=headers) as answer:
        text = (await answer.aread()).decode()
    return asked, answer.status_code, text


async def _attacked(opened: Opened, cases: int, seed: int) -> Counter[int]:
    """How many requests were answered by which status."""
    seen, numbers = Counter[int](), iter(range(cases))

    async def one_after_another(client: httpx.AsyncClient) -> None:
        for number in numbers:
            asked, status, text = await _answer(client, Random(seed * 1_000_000 + number))
            seen[status] += 1
            assert status < 500, (number, asked, text)
            assert _FAULT not in text, (number, asked, text)
            assert "Traceback" not in text, (number, asked, text)

    async with opened.client() as client, asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(one_after_another(client))
    return seen


async def test_odd_requests_by_json_are_answered_and_never_by_a_fault(
    opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    seen = await _attacked(opened, 600, seed=3)
    assert {200, 400} <= seen.keys()
    assert [one.getMessage() for one in caplog.records if one.exc_info] == []


@pytest.mark.full
async def test_ten_thousand_odd_requests_by_json_are_answered_and_never_by_a_fault(
    opened: Opened,
) -> None:
    assert (await _attacked(opened, 10_000, seed=4)).total() == 10_000
