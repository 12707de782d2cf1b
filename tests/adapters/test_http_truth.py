"""A truth that is asked by HTTP: what is an ingress, what is done when it breaks off."""

import asyncio
import json
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from aiohttp import web

from codetether_ray.bootstrap.truth.credentials import store_token, token_for
from codetether_ray.bootstrap.truth.http import HttpHead, is_ingress, truth_at
from codetether_ray.bootstrap.truth.runs import ALL, RECORDS
from codetether_ray.core.errors import ClusterError, ConfigError, UsageError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_an_ingress_is_told_from_a_dashboard_without_a_token() -> None:
    seen: list[str | None] = []

    async def ingress(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.Response(text="ok")

    async def dashboard(request: web.Request) -> web.Response:
        return web.Response(status=404) if request.path == "/health" else web.Response(text="ok")

    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<html>ok</html>")

    found = []
    for handler in (ingress, dashboard, page):
        async with serving(handler) as url:
            found.append(await asyncio.to_thread(is_ingress, url))
    assert (found, seen) == ([True, False, False], [None])
    with pytest.raises(ClusterError, match="nothing answers at"):
        await asyncio.to_thread(is_ingress, "http://127.0.0.1:1")


async def test_an_idle_connection_that_was_closed_is_opened_again() -> None:
    asked = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        answer = web.json_response({"answer": [str(asked)]})
        if asked == 1 and request.transport is not None:
            asyncio.get_running_loop().call_later(0.05, request.transport.close)
        return answer

    async with serving(handler) as url:
        with closing(HttpHead(url, "t")) as head:
            assert await head.ask_async(ALL) == ["1"]
            await asyncio.sleep(0.2)
            assert await head.ask_async(ALL) == ["2"]


async def test_what_answers_rubbish_is_said_not_to_answer() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=502, text="<html>bad gateway</html>")

    async with serving(handler) as url:
        wrong = pytest.raises(ClusterError, match="could not answer: HTTP 502")
        with closing(HttpHead(url, "")) as head, wrong:
            await head.ask_async(ALL)
    with closing(HttpHead(url, "")) as head, pytest.raises(ClusterError, match="does not answer"):
        await head.ask_async(ALL)


def test_what_is_no_question_is_not_asked() -> None:
    with pytest.raises(UsageError, match="cannot be asked through one"):
        HttpHead("http://127.0.0.1:1", "").ask(RECORDS, "x")


async def test_the_token_is_the_environments_then_the_stored_one_and_goes_to_its_url_alone(
    tmp_path: Path,
) -> None:
    env = {"HOME": str(tmp_path)}
    shown: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        shown.append(request.headers.get("Authorization", ""))
        return web.json_response({"answer": {"id": "x", "data_dir": "", "mark": ""}})

    async with serving(handler) as url:
        path = store_token(f"{url}/", "kept", env)
        for given in (env, {**env, "CODETETHER_AUTH_TOKEN": "second", "CODETETHER_TOKEN": "first"}):
            truth = await asyncio.to_thread(truth_at, url, given)
            assert truth.http is not None
            truth.http.close()
            assert (truth.is_here, truth.source) == (False, f"the ingress at {url}")
    assert shown == ["Bearer kept", "Bearer first"]
    assert token_for("http://other:4096", env) == ""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    store_token(url, "", env)
    assert json.loads(path.read_text()) == {}


def test_a_file_that_others_can_read_or_that_holds_no_token_is_refused(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path)}
    path = store_token("http://h:1", "t", env)
    os.chmod(path, 0o640)  # noqa: PTH101
    with pytest.raises(ConfigError, match="chmod 600"):
        token_for("http://h:1", env)
    with pytest.raises(ConfigError, match="no token"):
        token_for("http://h:1", {**env, "CODETETHER_TOKEN": "two\nlines"})
