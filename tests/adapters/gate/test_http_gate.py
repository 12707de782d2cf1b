"""The gate on real HTTP: what comes in, what is told to what does not, what is noted."""

import asyncio
import json
import re
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yarl

from codetether_ray.audit.query import Query, find
from codetether_ray.bootstrap.truth.place import truth_here
from codetether_ray.core.principals import Principal
from codetether_ray.ingress.gate import Gate, GateMiddleware
from codetether_ray.ingress.gate_failures import Failures
from codetether_ray.policy.local import LocalPolicy
from codetether_ray.ports.tokens import NamedToken
from codetether_ray.stores.tokens import FileTokens, digest_of
from tests.adapters.gate.doors import Door, http_door

_PRIVATE = ("/v1/runs", "/nowhere", "/", "/docs", "/openapi.json", "/health/", "/healthz",
            "/ready/x", "/.well-known/agent-card.json/", "/.well-known/other", "//health",
            "/v1/../health", "/HEALTH", "/%68ealth%2f", "/v1/%2e%2e/health")  # fmt: skip
_METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND")


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _made(data_dir: Path, name: str, value: str, **more: Any) -> None:
    token = NamedToken(name=name, digest=digest_of(value), created_at=time.time(), **more)
    FileTokens(data_dir).add(token)


async def test_without_a_token_nothing_but_the_public_paths_answers(tmp_path: Path) -> None:
    async with http_door(tmp_path) as door, aiohttp.ClientSession() as client:
        for path in (
            "/health",
            "/ready",
            "/.well-known/agent-card.json",
            "/.well-known/agent.json",
            "/.well-known/jwks.json",
        ):
            async with client.get(door.url + path) as answer:
                assert answer.status == 200
        door.reached.clear()
        door.gate._failures = Failures(time.monotonic, burst=10_000)
        for path in _PRIVATE:
            for method in _METHODS:
                url = yarl.URL(door.url + path, encoded=True)  # as it stands
                async with client.request(method, url) as answer:
                    assert answer.status == 401, (method, path)
                    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="codetether"'
        for path in ("/health", "/ready"):
            async with client.post(door.url + path) as answer:
                assert answer.status == 401
        assert door.reached == []


async def test_the_answer_to_nobody_is_a_problem_in_json(tmp_path: Path) -> None:
    async with (
        http_door(tmp_path) as door,
        aiohttp.ClientSession() as client,
        client.get(door.url + "/v1/runs") as answer,
    ):
        assert answer.content_type == "application/problem+json"
        told = json.loads(await answer.read())
    assert told["status"] == 401
    assert told["title"] == "Unauthorized"


_UNREADABLE = (
    ("Bearer wrong", "invalid_token"),
    ("Bearer", "invalid_request"),
    ("Basic YTpi", None),
    ("Bearer two words", "invalid_request"),
    ("Bearer " + "x" * 5000, "invalid_token"),
    ("Bearer \xe9\xe9", "invalid_request"),
    ("{token}", None),
    ("Token {token}", None),
    ("Bearer{token}", None),
    ("Bearer {token}x", "invalid_token"),
)


async def test_a_header_that_holds_no_valid_token_opens_nothing(tmp_path: Path) -> None:
    async with http_door(tmp_path) as door, aiohttp.ClientSession() as client:
        for header, error in _UNREADABLE:
            text = header.replace("{token}", door.token)
            async with client.get(door.url + "/v1/runs", headers={"Authorization": text}) as answer:
                assert answer.status == 401, header
                found = re.search(r' error="(\w+)"', answer.headers["WWW-Authenticate"])
                assert (found[1] if found else None) == error, header
        assert door.reached == []


async def test_the_schemes_letters_may_be_of_any_case(tmp_path: Path) -> None:
    async with http_door(tmp_path) as door, aiohttp.ClientSession() as client:
        for scheme in ("Bearer", "bearer", "BEARER", "bEaReR"):
            header = {"Authorization": f"{scheme}  {door.token}"}
            async with client.get(door.url + "/v1/runs", headers=header) as answer:
                assert answer.status == 200, scheme
        principals = {principal for _, principal in door.reached}
    assert {(p.roles, p.auth_source) for p in principals if p} == {(("admin",), "static_token")}


async def test_a_token_in_the_query_or_twice_in_headers_is_none(tmp_path: Path) -> None:
    async with http_door(tmp_path) as door, aiohttp.ClientSession() as client:
        async with client.get(f"{door.url}/v1/runs?token={door.token}") as answer:
            assert answer.status == 401
        twice = [("Authorization", f"Bearer {door.token}"), ("Authorization", "Bearer x")]
        async with client.get(door.url + "/v1/runs", headers=twice) as answer:
            assert answer.status == 401


async def test_what_no_permission_opens_is_not_there_and_nothing_reaches_it(tmp_path: Path) -> None:
    async with http_door(tmp_path) as door, aiohttp.ClientSession() as client:
        header = _bearer(door.token)
        async with client.get(door.url + "/nowhere", headers=header) as answer:
            assert answer.status == 404
        async with client.patch(door.url + "/v1/runs", headers=header) as answer:
            assert answer.status == 405
            assert answer.headers["Allow"] == "GET, HEAD"
        assert door.reached == []


async def test_a_private_card_needs_a_token(tmp_path: Path) -> None:
    async with (
        http_door(tmp_path, is_card_private=True) as door,
        aiohttp.ClientSession() as client,
    ):
        for path in ("agent-card.json", "agent.json", "jwks.json"):
            url = f"{door.url}/.well-known/{path}"
            async with client.get(url) as answer:
                assert answer.status == 401
            async with client.get(url, headers=_bearer(door.token)) as answer:
                assert answer.status == 200


async def test_a_named_token_comes_in_as_its_name_and_may_do_what_its_roles_say(
    tmp_path: Path,
) -> None:
    _made(tmp_path, "ann", "ctr_token_ann", roles=("viewer",), tenant_id="acme")
    async with http_door(tmp_path) as door, aiohttp.ClientSession() as client:
        header = _bearer("ctr_token_ann")
        async with client.get(door.url + "/v1/runs", headers=header) as answer:
            assert answer.status == 200
        async with client.post(door.url + "/v1/swarms", headers=header) as answer:
            assert answer.status == 403
            assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
            assert "swarms:execute" in (await answer.json())["detail"]
    assert door.reached == [
        (
            "GET /v1/runs",
            Principal(user_id="ann", roles=("viewer",), tenant_id="acme"),
        )
    ]


async def test_scopes_narrow_what_a_token_may_do(tmp_path: Path) -> None:
    _made(tmp_path, "ci", "ctr_token_ci", roles=("admin",), scopes=("runs:*",))
    async with http_door(tmp_path) as door, aiohttp.ClientSession() as client:
        for path, status in (("/v1/runs", 200), ("/v1/audit/events", 403)):
            async with client.get(door.url + path, headers=_bearer("ctr_token_ci")) as answer:
                assert answer.status == status


async def test_a_token_that_is_expired_opens_nothing(tmp_path: Path) -> None:
    _made(tmp_path, "old", "ctr_token_old", roles=("admin",), expires_at=time.time() - 1)
    async with (
        http_door(tmp_path) as door,
        aiohttp.ClientSession() as client,
        client.get(door.url + "/v1/runs", headers=_bearer("ctr_token_old")) as answer,
    ):
        assert answer.status == 401


async def test_a_token_that_is_made_while_the_server_runs_comes_in_soon(tmp_path: Path) -> None:
    async with http_door(tmp_path) as door, aiohttp.ClientSession() as client:
        header = _bearer("ctr_token_ann")
        async with client.get(door.url + "/v1/runs", headers=header) as answer:
            assert answer.status == 401
        _made(tmp_path, "ann", "ctr_token_ann", roles=("viewer",))
        for _ in range(1200):
            async with client.get(door.url + "/v1/runs", headers=header) as answer:
                if answer.status == 200:
                    break
            await asyncio.sleep(0.05)
        assert len(door.reached) == 1


async def test_a_revoked_token_opens_nothing_a_few_seconds_later(tmp_path: Path) -> None:
    _made(tmp_path, "ann", "ctr_token_ann", roles=("viewer",))
    async with http_door(tmp_path) as door, aiohttp.ClientSession() as client:
        async with client.get(door.url + "/v1/runs", headers=_bearer("ctr_token_ann")) as answer:
            assert answer.status == 200
        assert FileTokens(tmp_path).revoke("ann", time.time())
        statuses = []
        for _ in range(600):
            async with client.get(
                door.url + "/v1/runs", headers=_bearer("ctr_token_ann")
            ) as answer:
                statuses.append(answer.status)
            if statuses[-1] == 401:
                break
            await asyncio.sleep(0.1)
    assert statuses[-1] == 401


@pytest.mark.parametrize("kind", ["busy", "quiet"])
async def test_an_answer_that_goes_on_ends_with_its_token(tmp_path: Path, kind: str) -> None:
    """Also while the application has nothing to tell."""
    _made(tmp_path, "ann", "ctr_token_ann", roles=("viewer",))
    async with http_door(tmp_path) as door, aiohttp.ClientSession() as client:
        url, header = door.url + f"/v1/runs/{kind}/endless", _bearer("ctr_token_ann")
        async with client.get(url, headers=header) as answer:
            assert await answer.content.readexactly(5) == b"piece"
            assert FileTokens(tmp_path).revoke("ann", time.time())
            async with asyncio.timeout(60):
                assert (await answer.content.read()).endswith(b"piece" if kind == "busy" else b"")
        async with asyncio.timeout(60):
            while ("gone", None) not in door.reached:
                await asyncio.sleep(0.01)


async def test_who_fails_too_often_waits_and_a_right_token_comes_in_all_the_same(
    tmp_path: Path,
) -> None:
    async with http_door(tmp_path) as door, aiohttp.ClientSession() as client:
        door.gate._failures = Failures(time.monotonic, burst=3, every_s=60.0)
        statuses = []
        for _ in range(5):
            async with client.get(door.url + "/v1/runs", headers=_bearer("guess")) as answer:
                statuses.append(answer.status)
                waits = answer.headers.get("Retry-After")
        assert statuses == [401, 401, 401, 429, 429]
        assert waits is not None
        assert 0 < int(waits) <= 60
        async with client.get(door.url + "/v1/runs", headers=_bearer(door.token)) as answer:
            assert answer.status == 200


async def test_failures_are_counted_by_the_client_behind_a_believed_proxy(tmp_path: Path) -> None:
    async with (
        http_door(tmp_path, trusted_proxies=("127.0.0.1",)) as door,
        aiohttp.ClientSession() as client,
    ):
        door.gate._failures = Failures(time.monotonic, burst=1, every_s=60.0)
        statuses = []
        for address in ("6.6.6.6", "6.6.6.6", "7.7.7.7"):
            header = {"X-Forwarded-For": address}
            async with client.get(door.url + "/v1/runs", headers=header) as answer:
                statuses.append(answer.status)
    assert statuses == [401, 429, 401]


async def test_a_websocket_is_refused_before_anything_sees_it(tmp_path: Path) -> None:
    door = Door(Gate(_NoTokens(), LocalPolicy()), tmp_path)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    scope = {"type": "websocket", "path": "/health", "headers": []}
    await GateMiddleware(door.app, door.gate)(scope, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]
    assert door.reached == []


class _NoTokens:
    async def principal_of(self, token: str) -> Principal | None:
        return None


async def test_tokens_that_cannot_be_read_let_nobody_in_but_the_servers_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from codetether_ray.bootstrap import tokens

    monkeypatch.setenv("CODETETHER_AUTH_TOKEN", "given-to-this-server")
    monkeypatch.setattr(tokens, "_STALE_S", 0.0)
    monkeypatch.setattr(tokens, "_NEWS_S", 0.0)
    _made(tmp_path, "ann", "ctr_token_ann", roles=("viewer",))
    async with http_door(tmp_path) as door, aiohttp.ClientSession() as client:
        (tmp_path / "auth" / "tokens.json").write_text("{")
        async with client.get(door.url + "/v1/runs", headers=_bearer("ctr_token_ann")) as answer:
            assert answer.status == 503
        header = _bearer("given-to-this-server")
        async with client.get(door.url + "/v1/runs", headers=header) as answer:
            assert answer.status == 200
        assert door.token != "given-to-this-server"
        async with client.get(door.url + "/v1/runs", headers=_bearer(door.token)) as answer:
            assert answer.status == 503


async def test_requests_are_in_the_audit_log_and_no_token_query_or_body_is(tmp_path: Path) -> None:
    _made(tmp_path, "ann", "ctr_token_ann", roles=("viewer",), tenant_id="acme")
    async with http_door(tmp_path) as door, aiohttp.ClientSession() as client:
        secret = door.token
        url = door.url + "/v1/runs?password=hunter22"
        async with client.get(url, headers=_bearer("ctr_token_ann")) as answer:
            assert answer.status == 200
        async with client.post(
            door.url + "/v1/swarms", headers=_bearer("ctr_token_ann"), data="body-of-it"
        ) as answer:
            assert answer.status == 403
        async with client.get(door.url + "/v1/runs", headers=_bearer("guess-of-mine")) as answer:
            assert answer.status == 401
    rows = [
        (e["category"], e["action"], e["resource"], e["principal"], e["outcome"])
        for e in reversed(list(find(tmp_path, Query())))
    ]
    assert sorted(rows) == [
        ("api", "http:GET", "/v1/runs", "user:acme/ann", "success"),
        ("auth", "http:GET", "/v1/runs", "anonymous", "denied"),
        ("auth", "http:POST", "/v1/swarms", "user:acme/ann", "denied"),
    ]
    written = b"".join(p.read_bytes() for p in (tmp_path / "audit").rglob("*") if p.is_file())
    for word in (secret, "ctr_token_ann", "guess-of-mine", "hunter22", "body-of-it"):
        assert word.encode() not in written


async def test_a_replica_elsewhere_writes_by_the_truth(tmp_path: Path) -> None:
    from codetether_ray.bootstrap.auditing.requests import RECORD, REST

    truth = truth_here(tmp_path)
    row = ("api", "grpc", "/a.B/C", "user:ann", "failure", 7, {"status": "NOT_FOUND"})
    await truth.ask(RECORD, [row])
    await truth.ask(RECORD, [row])
    await truth.ask(REST)
    await truth.ask(REST)
    entries = list(find(tmp_path, Query()))
    assert [(e["outcome"], e["duration_ms"]) for e in entries] == [("failure", 7)] * 2
