"""The policy of an OPA sidecar: a real HTTP server that answers as told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from codetether_ray.core.errors import ConfigError
from codetether_ray.core.principals import Principal
from codetether_ray.policy.opa import OpaOptions, OpaPolicy
from codetether_ray.ports.policy import Resource

ANN = Principal(user_id="ann", roles=("editor",), tenant_id="acme", scopes=("tasks:*",))
ROOT = Principal(user_id="root", roles=("admin",), auth_source="static_token")


@dataclass
class Sidecar:
    """Answers with `status` and `body`, after `delay_s`."""

    status: int = 200
    body: bytes = b'{"result": true}'
    delay_s: float = 0.0
    url: str = ""
    asked: list[tuple[str, Any]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.path, await request.json()))
        await asyncio.sleep(self.delay_s)
        headers = {"Location": "/elsewhere"} if self.status == 307 else {}
        return web.Response(status=self.status, body=self.body, headers=headers)


@asynccontextmanager
async def _sidecar(sidecar: Sidecar) -> AsyncIterator[Sidecar]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", sidecar.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    sidecar.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield sidecar
    finally:
        await runner.cleanup()


async def _allows(options: OpaOptions, *question: Any) -> bool:
    policy = OpaPolicy(options)
    try:
        return await policy.allows(*question)
    finally:
        await policy.close()


async def test_it_is_asked_in_the_references_shape() -> None:
    async with _sidecar(Sidecar()) as sidecar:
        options = OpaOptions.of({"OPA_URL": sidecar.url + "/"})
        assert options is not None
        task = Resource(type="task", id="t1", owner_id="acme/ann", tenant_id="acme")
        assert await _allows(options, ANN, "tasks:read", task)
        assert await _allows(options, ROOT, "runs:read")
    assert sidecar.asked == [
        (
            "/v1/data/api_keys/allow",
            {
                "input": {
                    "user": {
                        "user_id": "ann",
                        "roles": ["editor"],
                        "tenant_id": "acme",
                        "scopes": ["tasks:*"],
                        "auth_source": "named_token",
                    },
                    "action": "tasks:read",
                    "resource": {
                        "type": "task",
                        "id": "t1",
                        "owner_id": "acme/ann",
                        "tenant_id": "acme",
                    },
                }
            },
        ),
        (
            "/v1/data/api_keys/allow",
            {
                "input": {
                    "user": {
                        "user_id": "root",
                        "roles": ["admin"],
                        "tenant_id": None,
                        "scopes": [],
                        "auth_source": "static_token",
                    },
                    "action": "runs:read",
                    "resource": {},
                }
            },
        ),
    ]


@pytest.mark.parametrize("fails_open", [False, True])
@pytest.mark.parametrize(
    ("body", "expected"),
    [(b'{"result": true}', True), (b'{"result": false}', False), (b"{}", False)],
)
async def test_its_word_counts_whether_it_may_fail_open_or_not(
    body: bytes, expected: bool, fails_open: bool
) -> None:
    async with _sidecar(Sidecar(body=body)) as sidecar:
        options = OpaOptions(url=sidecar.url, fails_open=fails_open)
        assert await _allows(options, ROOT, "tasks:read") is expected


@pytest.mark.parametrize(
    "broken",
    [
        Sidecar(status=500),
        Sidecar(status=404),
        Sidecar(status=307),
        Sidecar(body=b"no json"),
        Sidecar(body=b"[true]"),
        Sidecar(body=b'{"result": "true"}'),
        Sidecar(body=b'{"result": 1}'),
        Sidecar(body=b"[" * 50_000),
        Sidecar(body=b" " * 200_000 + b'{"result": true}'),
        Sidecar(delay_s=30.0),
    ],
    ids=["500", "404", "redirect", "text", "list", "word", "one", "deep", "long", "slow"],
)
async def test_an_answer_that_is_none_refuses_unless_it_may_fail_open(broken: Sidecar) -> None:
    async with _sidecar(broken) as sidecar:
        for fails_open in (False, True):
            options = OpaOptions(url=sidecar.url, fails_open=fails_open, timeout_s=0.3)
            assert await _allows(options, ROOT, "tasks:read") is fails_open


async def test_a_sidecar_that_is_away_refuses_unless_it_may_fail_open() -> None:
    async with _sidecar(Sidecar()) as sidecar:
        url = sidecar.url
    for fails_open in (False, True):
        options = OpaOptions(url=url, fails_open=fails_open)
        assert await _allows(options, ROOT, "tasks:read") is fails_open


async def test_what_is_somebody_elses_stays_theirs_whatever_it_says() -> None:
    async with _sidecar(Sidecar()) as sidecar:
        options = OpaOptions(url=sidecar.url, fails_open=True)
        theirs = Resource(type="task", owner_id="acme/bob")
        assert not await _allows(options, ANN, "tasks:read", theirs)
        assert await _allows(options, ROOT, "tasks:read", theirs)
    assert [question["input"]["user"]["user_id"] for _, question in sidecar.asked] == ["root"]


async def test_what_is_the_whole_platforms_stays_kept_from_a_tenant() -> None:
    async with _sidecar(Sidecar()) as sidecar:
        assert not await _allows(OpaOptions(url=sidecar.url), ANN, "audit:read")
    assert sidecar.asked == []


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, None),
        ({"OPA_URL": " "}, None),
        ({"OPA_URL": "http://opa:8181", "OPA_LOCAL_MODE": "True"}, None),
        (
            {
                "OPA_URL": "http://opa:8181/",
                "OPA_AUTHZ_PATH": "/v1/data/x",
                "OPA_FAIL_OPEN": "TRUE",
            },
            OpaOptions(url="http://opa:8181", path="v1/data/x", fails_open=True),
        ),
    ],
)
def test_the_environment_says_which_sidecar(
    env: dict[str, str], expected: OpaOptions | None
) -> None:
    assert OpaOptions.of(env) == expected


@pytest.mark.parametrize("url", ["opa:8181", "file:///etc/passwd", "http://"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="OPA_URL"):
        OpaOptions.of({"OPA_URL": url})
