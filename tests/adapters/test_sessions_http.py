"""Sessions over HTTP, behind the real gate, with real agents and a scripted model."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from codetether_ray.ports.tokens import NamedToken
from codetether_ray.stores.tokens import FileTokens, digest_of
from codetether_ray.testing.model_server import (
    ModelCall,
    ModelServer,
    Reply,
    Script,
    call,
    fail,
    say,
    script_of,
)
from tests.adapters.control.scene import Plane, opened


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith(("CODETETHER_", "XDG_", "RAY_", "VAULT_", "OPA_")):
            monkeypatch.delenv(name)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CODETETHER_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@dataclass(frozen=True)
class Api:
    """A server's sessions, and its model."""

    plane: Plane
    model: ModelServer

    async def create(self, token: str = "", **wish: Any) -> Any:
        status, session = await self.plane.ask("POST", "/api/session", token, json=wish)
        assert status == 201, session
        return session

    async def say(self, session: Any, message: str, token: str = "", **more: Any) -> Any:
        path = f"/api/session/{session['id']}/prompt"
        headers = {"Accept": "application/json"}
        body = {"message": message, **more}
        return await self.plane.ask("POST", path, token, json=body, headers=headers)

    @asynccontextmanager
    async def stream(self, session: Any, message: str, seen: str = "") -> AsyncIterator[Any]:
        headers = {"Authorization": f"Bearer {self.plane.admin}"}
        if seen:
            headers["Last-Event-ID"] = seen
        url = f"{self.plane.url}/api/session/{session['id']}/prompt"
        body = {"message": message}
        async with self.plane.session.post(url, json=body, headers=headers) as answer:
            assert answer.status == 200
            assert answer.content_type == "text/event-stream"
            yield _events(answer.content)


async def _events(content: Any) -> AsyncIterator[dict[str, Any]]:
    event: dict[str, Any] = {}
    async for raw in content:
        line = raw.decode().rstrip("\n")
        if not line and event:
            yield event
            event = {}
        elif line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            event[name] = json.loads(value) if name == "data" else value


@asynccontextmanager
async def _api(data: Path, script: Script, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    async with ModelServer(script) as model:
        monkeypatch.setenv("CODETETHER_LOCAL_BASE_URL", model.url)
        for name in ("ann", "bob", "eve"):
            _add_token(data, name, _ROLES[name])
        async with opened(data, model="local/test-model") as plane, asyncio.timeout(60):
            yield Api(plane, model)
    assert not model.refused


_ROLES = {"ann": "operator", "bob": "admin", "eve": "viewer"}


def _token(name: str) -> str:
    return f"{name}-token-{'x' * 24}"


def _add_token(data: Path, name: str, role: str) -> None:
    digest = digest_of(_token(name))
    FileTokens(data).add(NamedToken(name=name, digest=digest, created_at=0.0, roles=(role,)))


def _text(events: list[dict[str, Any]]) -> dict[int, str]:
    """What a client has of each step's text."""
    found: dict[int, str] = {}
    for event in events:
        if event.get("event") == "text":
            data = event["data"]
            before = "" if data.get("reset") else found.get(data["step"], "")
            found[data["step"]] = before + data["text"]
    return found


async def test_a_session_is_made_prompted_read_and_listed(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = script_of(call("write_file", path="a.txt", content="x"), say("Done."), say("Again."))
    async with _api(data, script, monkeypatch) as api:
        session = await api.create(title="A talk")
        assert (session["messages"], session["state"]) == ([], "idle")
        status, turn = await api.say(session, "write it")
        assert (status, turn["text"], turn["outcome"]) == (200, "Done.", "completed")
        await api.say(session, "once more")
        _, whole = await api.plane.ask("GET", f"/api/session/{session['id']}")
        _, listed = await api.plane.ask("GET", "/api/session")
    roles = [message["role"] for message in whole["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "user", "assistant"]
    assert whole["tool_uses"][0]["name"] == "write_file"
    assert whole["tool_uses"][0]["success"] is True
    assert whole["usage"]["total_tokens"] > turn["usage"]["total_tokens"]
    assert [(s["id"], s["title"], s["message_count"]) for s in listed] == [
        (session["id"], "A talk", 6)
    ]


async def test_a_prompt_streams_what_the_agent_does_and_ends_with_its_result(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = script_of(call("bash", command="echo hello"), say("It said hello.", piece=3))
    async with _api(data, script, monkeypatch) as api:
        session = await api.create()
        async with api.stream(session, "run it") as events:
            seen = [event async for event in events]
    assert seen[-1]["event"] == "done"
    assert seen[-1]["data"]["text"] == "It said hello."
    assert list(_text(seen).values()) == ["It said hello."]
    tools = [event["data"] for event in seen if event["event"] == "tool"]
    assert [tool["state"] for tool in tools] == ["started", "finished"]
    assert "hello" in tools[1]["output"]
    ids = [int(event["id"]) for event in seen if "id" in event]
    assert ids == sorted(ids)


async def test_a_dropped_stream_goes_on_behind_the_last_event_and_misses_nothing(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = asyncio.Event()

    async def script(asked: ModelCall) -> Reply:
        if asked.number == 0:
            return call("bash", command="echo one")
        await go_on.wait()
        return say("Here is the answer, in several pieces.", piece=5)

    async with _api(data, script, monkeypatch) as api:
        session = await api.create()
        first: list[dict[str, Any]] = []
        async with api.stream(session, "go") as events:
            async for event in events:
                first.append(event)
                if event["event"] == "tool" and event["data"]["state"] == "finished":
                    break
        go_on.set()
        async with api.stream(session, "ignored", seen=first[-1]["id"]) as events:
            rest = [event async for event in events]
        async with api.stream(session, "ignored", seen=first[-1]["id"]) as events:
            later = [event async for event in events]
        _, whole = await api.plane.ask("GET", f"/api/session/{session['id']}")
    for again in (rest, later):
        assert again[-1]["event"] == "done"
        assert list(_text(again).values()) == ["Here is the answer, in several pieces."]
        assert not [event for event in again if event["event"] == "tool"]
    assert [m["role"] for m in whole["messages"]].count("user") == 1


async def test_cancel_ends_the_turn_and_the_session_goes_on(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = script_of(call("bash", command="touch began; sleep 600"), say("Fine."))
    async with _api(data, script, monkeypatch) as api:
        session = await api.create()
        work = asyncio.create_task(api.say(session, "wait"))
        while not list(data.glob("contexts/*/*/work/began")):
            await asyncio.sleep(0.02)
        path = f"/api/session/{session['id']}/cancel"
        assert (await api.plane.ask("POST", path))[1]["was_working"] is True
        assert (await work)[1]["outcome"] == "cancelled"
        assert (await api.plane.ask("POST", path))[1]["was_working"] is False
        assert (await api.say(session, "and now?"))[1]["text"] == "Fine."


async def test_a_session_is_its_owners_and_nobody_elses(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _api(data, script_of(say("mine")), monkeypatch) as api:
        ann, bob = _token("ann"), _token("bob")
        session = await api.create(ann)
        await api.say(session, "hello", ann)
        path = f"/api/session/{session['id']}"
        answers = [
            await api.plane.ask("GET", path, bob),
            await api.plane.ask("GET", f"{path}/events", bob),
            await api.plane.ask("POST", f"{path}/cancel", bob),
            await api.say(session, "what was said?", bob),
        ]
        assert [status for status, _ in answers] == [404] * 4
        assert (await api.plane.ask("GET", "/api/session", bob)) == (200, [])
    assert api.model.count == 1


async def test_events_before_the_first_prompt_are_an_empty_stream_that_tells_the_first_turn(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _api(data, script_of(say("at last")), monkeypatch) as api:
        session = await api.create()
        url = f"{api.plane.url}/api/session/{session['id']}/events"
        headers = {"Authorization": f"Bearer {api.plane.admin}"}
        async with api.plane.session.get(url, headers=headers) as answer:
            assert answer.status == 200
            following = asyncio.create_task(_all(answer.content))
            await api.say(session, "go")
            events = await following
        nobodys = "/api/session/ses_nobody_made_it/events"
        assert (await api.plane.ask("GET", nobodys))[0] == 404
    assert [event["event"] for event in events if event["event"] == "error"] == []
    assert "".join(_text(events).values()) == "at last"
    assert events[-1]["event"] == "done"


async def _all(content: Any) -> list[dict[str, Any]]:
    return [event async for event in _events(content)]


async def test_the_same_prompt_id_is_not_done_twice(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _api(data, script_of(say("once")), monkeypatch) as api:
        session = await api.create()
        found = [await api.say(session, "go", id="p1") for _ in range(2)]
    assert [turn["text"] for _, turn in found] == ["once", "once"]
    assert api.model.count == 1


async def test_a_planners_session_changes_nothing(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _api(data, script_of(say("I would.")), monkeypatch) as api:
        session = await api.create(agent="plan")
        await api.say(session, "what would you do?")
    names = {tool["function"]["name"] for tool in api.model.requests[0].body["tools"]}
    assert "read_file" in names
    assert not {"bash", "edit", "write_file", "ask_user"} & names


async def test_a_session_is_told_as_working_only_while_somebody_works(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = asyncio.Event()

    async def script(_: ModelCall) -> Reply:
        await go_on.wait()
        return say("done")

    async def states() -> set[str]:
        _, listed = await api.plane.ask("GET", "/api/session")
        _, one = await api.plane.ask("GET", f"/api/session/{session['id']}")
        return {listed[0]["state"], one["state"]}

    async with _api(data, script, monkeypatch) as api:
        session = await api.create()
        assert await states() == {"idle"}
        work = asyncio.create_task(api.say(session, "go"))
        while not api.model.count:
            await asyncio.sleep(0.01)
        assert await states() == {"working"}
        go_on.set()
        await work
        assert await states() == {"idle"}


async def test_a_failed_turn_says_so(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with _api(data, script_of(fail(400, "no such engine")), monkeypatch) as api:
        session = await api.create()
        status, turn = await api.say(session, "go")
    assert (status, turn["outcome"]) == (200, "failed")
    assert "no such engine" in turn["error"]


async def test_a_client_that_means_to_go_on_behind_something_else_starts_nothing(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _api(data, script_of(), monkeypatch) as api:
        session = await api.create()
        for seen in ("abc", "-1", "9" * 30, "1.5"):
            path, headers = f"/api/session/{session['id']}/prompt", {"Last-Event-ID": seen}
            status, problem = await api.plane.ask(
                "POST", path, json={"message": "x"}, headers=headers
            )
            assert (status, problem["kind"]) == (400, "Usage")
    assert api.model.count == 0


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/session", {"agent": "nobody"}, 422),
        ("/api/session", {"owner": "ann"}, 422),
        ("/api/session", {"model": "nobody/nothing"}, 400),
        ("/api/session", {"model": "tape//etc/passwd"}, 400),
        ("/api/session/ses_0mabc12345_deadbeef/prompt", {"message": "x"}, 404),
        ("/api/session/..%2f..%2fetc/prompt", {"message": "x"}, 404),
        ("/api/session/ses_/prompt", {"message": ""}, 422),
        ("/api/session/ses_x/prompt", {"message": "x" * 1_000_001}, 422),
    ],
)
async def test_what_makes_no_sense_is_refused(
    data: Path, monkeypatch: pytest.MonkeyPatch, path: str, body: Any, status: int
) -> None:
    async with _api(data, script_of(), monkeypatch) as api:
        assert (await api.plane.ask("POST", path, json=body))[0] == status


async def test_the_configuration_tells_no_secret(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _api(data, script_of(), monkeypatch) as api:
        host = api.model.url.removeprefix("http://")
        monkeypatch.setenv("CODETETHER_LOCAL_BASE_URL", f"http://{host}?key=pass-word-1")
        config = (await api.plane.ask("GET", "/api/config"))[1]
        providers = (await api.plane.ask("GET", "/api/provider"))[1]
        agents = (await api.plane.ask("GET", "/api/agent", _token("eve")))[1]
    assert config["model"] == "local/test-model"
    assert [p["id"] for p in providers] == ["local"]
    assert providers[0]["base_url"] == api.model.url
    assert "pass-word-1" not in json.dumps([config, providers])
    assert {a["name"]: "bash" in a["tools"] for a in agents} == {"build": False, "plan": False}
