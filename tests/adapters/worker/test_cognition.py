"""What a worker shares of its cognition, and what switches keep to itself."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from codetether_ray.worker.cognition import Cognition, Sharing, payload, sharing_of, source_token

STATUS = {"running": True, "last_tick_at": "now", "active_persona_count": 2, "events_buffered": 3,
          "snapshots_buffered": 1, "loop_interval_ms": 500, "enabled": True}  # fmt: skip
SNAPSHOT = {"generated_at": "then", "summary": "t" * 1000, "metadata": {"model": "m"}}


class Source:
    """A server's cognition routes; it notes who asked for what."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.url = ""
        self.status = 200

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.path, request.headers.get("Authorization", "")))
        body: Any = STATUS if request.path.endswith("status") else SNAPSHOT
        return web.json_response(body, status=self.status)


@pytest.fixture
async def source() -> AsyncIterator[Source]:
    made = Source()
    app = web.Application()
    app.router.add_get("/v1/cognition/{what:.*}", made.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


async def test_status_and_a_cut_thought_are_shared_with_the_sources_token(source: Source) -> None:
    shared = await Cognition(Sharing(source=source.url), "tok").shared()
    assert shared is not None
    assert "enabled" not in shared
    assert shared["latest_thought"] == "t" * 480 + "..."
    assert {token for _, token in source.asked} == {"Bearer tok"}


async def test_nothing_is_even_read_where_sharing_is_off(source: Source) -> None:
    sharing = sharing_of({"CODETETHER_WORKER_COGNITION_SHARE_ENABLED": "false",
                          "CODETETHER_WORKER_COGNITION_SOURCE_URL": source.url})  # fmt: skip
    assert await Cognition(sharing).shared() is None
    assert source.asked == []


async def test_thoughts_are_not_even_read_where_they_stay_private(source: Source) -> None:
    sharing = sharing_of({"CODETETHER_WORKER_COGNITION_INCLUDE_THOUGHTS": "0",
                          "CODETETHER_WORKER_COGNITION_SOURCE_URL": source.url})  # fmt: skip
    shared = await Cognition(sharing).shared()
    assert shared is not None
    assert not [name for name in shared if "thought" in name or "snapshot_at" in name]
    assert [path for path, _ in source.asked] == ["/v1/cognition/status"]


@pytest.mark.parametrize("status", [401, 404, 500])
async def test_a_source_without_cognition_means_nothing_to_share(
    source: Source, status: int
) -> None:
    source.status = status
    assert await Cognition(Sharing(source=source.url)).shared() is None


async def test_a_source_that_is_not_there_means_nothing_to_share() -> None:
    assert await Cognition(Sharing(source="http://127.0.0.1:1", timeout_s=0.5)).shared() is None


async def test_after_a_refusal_nothing_is_shared_for_five_minutes(source: Source) -> None:
    now = 0.0
    cognition = Cognition(Sharing(source=source.url), now=lambda: now)
    cognition.suspend()
    now = 299.0
    assert await cognition.shared() is None
    now = 301.0
    assert await cognition.shared() is not None


def test_switches_have_floors_and_nonsense_counts_as_not_set() -> None:
    prefix = "CODETETHER_WORKER_COGNITION_"
    low = sharing_of({f"{prefix}THOUGHT_MAX_CHARS": "1", f"{prefix}TIMEOUT_MS": "1"})
    assert (low.max_chars, low.timeout_s) == (120, 0.25)
    odd = sharing_of({f"{prefix}THOUGHT_MAX_CHARS": "many", f"{prefix}TIMEOUT_MS": ""})
    assert odd == Sharing()


def test_a_servers_token_goes_to_this_machine_alone() -> None:
    env = {"CODETETHER_AUTH_TOKEN": "own"}
    assert source_token(env, "http://127.0.0.1:4096") == "own"
    assert source_token(env, "http://example.com") == ""
    assert source_token({}, "http://localhost:1", "local") == "local"
    assert source_token({}, "http://example.com", "local") == ""
    given = {"CODETETHER_WORKER_COGNITION_TOKEN": "given"}
    assert source_token(given, "http://example.com") == "given"


def test_what_is_no_text_is_no_thought() -> None:
    assert payload({"running": True}, {"summary": 5, "metadata": []}, 120) == {"running": True}
