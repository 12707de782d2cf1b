"""Spawned peers in one process: they find each other, lose each other, and talk."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from codetether_ray.a2a.peers import PEER_EXTENSION
from codetether_ray.bootstrap.a2a import peer_cards
from codetether_ray.bootstrap.a2a.discovery import FILE, Discovery, Me, read_peers, write_peers
from codetether_ray.bootstrap.a2a.peer_cards import CardReader
from codetether_ray.bootstrap.a2a.peer_desk import Peers
from codetether_ray.bootstrap.a2a.peer_tokens import PeerTokens
from codetether_ray.core.errors import ConfigError, PeerAccessError, PeerError, UsageError
from codetether_ray.ingress.options import IngressOptions
from codetether_ray.ingress.sockets import free_port
from codetether_ray.ingress.spawning import PeerWish, Spawned, peer_folder, spawned
from codetether_ray.local.clock import SystemClock
from codetether_ray.ports.peers import KnownPeer, PeerMessage

ECHO = "codetether_ray.testing.echo:open_agents"
ASKS = "codetether_ray.testing.kit_agent:open_old_agents"


def ports(number: int) -> list[int]:
    found: list[int] = []
    while len(found) < number:
        port = free_port("127.0.0.1", 0)
        if port not in found:
            found.append(port)
    return found


def tokens_file(folder: Path, *of: int) -> str:
    """A file with the token of each peer, by port."""
    path = folder / "tokens.json"
    path.write_text(json.dumps({f"http://127.0.0.1:{port}": f"token-{port}" for port in of}))
    path.chmod(0o600)
    return str(path)


class Fleet:
    """Peers that are started and ended one by one."""

    def __init__(self, folder: Path, numbers: list[int], stack: AsyncExitStack) -> None:
        self.folder, self.ports, self._stack = folder, numbers, stack
        self.notices: list[str] = []
        self.env = {"CODETETHER_PEER_TOKENS": tokens_file(folder, *numbers)}

    async def start(self, number: int, *seeds: int, agents: str = ECHO) -> tuple[Spawned, Any]:
        """A peer, and what ends it."""
        port = self.ports[number]
        wish = PeerWish(
            options=IngressOptions(
                name=f"peer{number}", port=port, grpc_port=0, data_dir=str(self.folder),
                agents=agents,
            ),
            peers=tuple(f"http://127.0.0.1:{self.ports[seed]}" for seed in seeds),
            interval_s=0.5,
        )  # fmt: skip
        own = AsyncExitStack()
        await self._stack.enter_async_context(own)
        notice = self.notices.append
        env = {**self.env, "CODETETHER_AUTH_TOKEN": f"token-{port}"}
        peer = await own.enter_async_context(
            spawned(wish, lambda text: notice(f"{number}: {text}"), env)
        )
        return peer, own.aclose

    def client(self, number: int, token: str | None = None) -> httpx.AsyncClient:
        port = self.ports[number]
        headers = {"Authorization": f"Bearer {token or f'token-{port}'}", "A2A-Version": "1.0"}
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60)


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack, asyncio.timeout(60):
        yield Fleet(tmp_path, ports(3), stack)


async def until(*conditions: Any) -> None:
    while not all(condition() for condition in conditions):
        await asyncio.sleep(0.02)


def knows(peer: Spawned, *names: str) -> Any:
    return lambda: [one.name for one in peer.parts.peers.peers()] == list(names)


async def test_three_peers_find_each_other_from_one_seed_and_one_that_ends_is_dropped(
    fleet: Fleet,
) -> None:
    first, _ = await fleet.start(0)
    second, _ = await fleet.start(1, 0)
    third, end_third = await fleet.start(2, 0)
    await until(
        knows(first, "peer1", "peer2"),
        knows(second, "peer0", "peer2"),
        knows(third, "peer0", "peer1"),
    )
    async with fleet.client(0) as client:
        told = (await client.get("/v1/peers")).json()
    assert told["instance"] == first.parts.options.instance
    assert [one["url"] for one in told["peers"]] == [
        f"http://127.0.0.1:{port}" for port in fleet.ports[1:]
    ]
    assert read_peers(first.data_dir / FILE) == first.parts.peers.peers()
    assert (first.data_dir / FILE).stat().st_mode & 0o077 == 0
    await end_third()
    await until(knows(first, "peer1"), knows(second, "peer0"))
    assert not (third.data_dir / FILE).exists()
    found = [text for text in fleet.notices if "found" in text]
    assert sorted(text.split(" at ")[0] for text in found) == [
        "0: found peer1", "0: found peer2", "1: found peer0", "1: found peer2",
        "2: found peer0", "2: found peer1",
    ]  # fmt: skip
    assert {text.split(" at ")[0] for text in fleet.notices if "gone" in text} == {
        "0: peer2", "1: peer2",
    }  # fmt: skip


async def test_a_peer_that_is_found_is_in_the_file_for_agents_when_it_is_told_of(
    fleet: Fleet, tmp_path: Path
) -> None:
    seen: list[str] = []

    def notice(text: str) -> None:
        if text.startswith("found"):
            seen.extend(peer.name for peer in read_peers(tmp_path / FILE) or ())

    await fleet.start(0)
    [url] = [f"http://127.0.0.1:{port}" for port in fleet.ports[:1]]
    me = Me(name="looker", url="http://127.0.0.1:9", instance="i-1")
    discovery = Discovery(
        me, [url], PeerTokens.of(fleet.env), tmp_path, SystemClock(), interval_s=0.5, notice=notice
    )
    await discovery.start()
    await until(lambda: seen)
    await discovery.close()
    assert seen == ["peer0"]


async def test_peers_are_a_matter_for_those_with_a_token(fleet: Fleet) -> None:
    peer, _ = await fleet.start(0)
    async with fleet.client(0, "another") as client:
        assert (await client.get("/v1/peers")).status_code == 401
        body = {"url": "http://127.0.0.1:9"}
        assert (await client.post("/v1/peers/introduce", json=body)).status_code == 401
    async with fleet.client(0) as client:
        for body in (
            {},
            {"url": ""},
            {"url": "x"},
            {"url": "ftp://a"},
            {"url": "http://a", "b": 1},
        ):
            answer = await client.post("/v1/peers/introduce", json=body)
            assert answer.status_code in (400, 422), body
        own = {"url": f"http://127.0.0.1:{fleet.ports[0]}"}
        answer = await client.post("/v1/peers/introduce", json=own)
        assert answer.json() == {"is_taken": False}
    assert peer.parts.peers.peers() == ()


async def test_an_introduction_starts_no_work_at_the_other_end(fleet: Fleet) -> None:
    first, _ = await fleet.start(0)
    second, _ = await fleet.start(1, 0)
    await until(knows(first, "peer1"), knows(second, "peer0"))
    for number in (0, 1):
        async with fleet.client(number) as client:
            body = {"jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": {}}
            tasks = (await client.post("/a2a", json=body)).json()["result"]
        assert tasks.get("tasks", []) == []


async def test_a_peer_of_one_name_is_one_process_and_keeps_its_tasks(fleet: Fleet) -> None:
    first, end = await fleet.start(0)
    with pytest.raises(UsageError, match="runs here already"):
        await fleet.start(0)
    desk = _desk(fleet, first)
    done = await desk.send(PeerMessage(peer="peer0", text="keep me", id="m-1", wait_s=10))
    await end()
    await fleet.start(0)
    again = await desk.look("peer0", done.task_id, 0)
    assert (again.text, again.state) == ("keep me", "completed")


def _desk(fleet: Fleet, *peers: Spawned) -> Peers:
    """A desk with these peers, as a process that looks for none has it."""
    urls = ",".join(f"http://127.0.0.1:{peer.parts.options.port}" for peer in peers)
    return Peers(fleet.folder / "nowhere", {**fleet.env, "CODETETHER_A2A_PEERS": urls})


async def test_the_desk_sends_waits_and_answers_a_question(fleet: Fleet) -> None:
    peer, _ = await fleet.start(0, agents=ASKS)
    desk = _desk(fleet, peer)
    [known] = await desk.peers()
    assert (known.name, known.is_here) == ("peer0", True)
    asked = await desk.send(PeerMessage(peer="PEER0", text="hi", id="m-1", wait_s=20))
    assert asked.state == "input_required"
    done = await desk.send(
        PeerMessage(peer=known.url, text="yes", id="tck-complete-task", task_id=asked.task_id,
                    wait_s=20)
    )  # fmt: skip
    assert (done.state, done.text, done.task_id) == ("completed", "Hello from TCK", asked.task_id)
    assert (await desk.look("peer0", asked.task_id, 0)).state == "completed"


async def test_a_desk_that_is_cancelled_has_the_task_canceled(fleet: Fleet) -> None:
    peer, _ = await fleet.start(0, agents=ASKS)
    desk = _desk(fleet, peer)
    message = PeerMessage(peer="peer0", text="x", id="test-resubscribe-message-id", wait_s=60)
    sending = asyncio.create_task(desk.send(message))
    body = {"jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": {}}
    async with fleet.client(0) as client:

        async def tasks() -> list[Any]:
            return list((await client.post("/a2a", json=body)).json()["result"].get("tasks", []))

        while not await tasks():
            await asyncio.sleep(0.02)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        [task] = await tasks()
    assert task["status"]["state"] == "TASK_STATE_CANCELED"


async def test_who_is_not_known_or_wants_another_token_is_not_talked_with(fleet: Fleet) -> None:
    peer, _ = await fleet.start(0)
    desk = _desk(fleet, peer)
    with pytest.raises(PeerError, match=r"no known peer; known are: peer0 \(http"):
        await desk.send(PeerMessage(peer="http://127.0.0.1:1", text="x", id="m"))
    path = Path(fleet.env["CODETETHER_PEER_TOKENS"])
    path.write_text("{}")
    with pytest.raises(PeerAccessError, match="wants a token"):
        await desk.send(PeerMessage(peer="peer0", text="x", id="m"))
    path.chmod(0o644)
    with pytest.raises(PeerError, match="chmod 600"):
        await desk.send(PeerMessage(peer="peer0", text="x", id="m"))


# -- cards of others ------------------------------------------------------------------------------


@asynccontextmanager
async def site(**answers: Any) -> AsyncIterator[tuple[str, list[str]]]:
    """A server that answers paths as it is told (`_` for `/`), and notes what was asked."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(f"{request.method} {request.path}")
        found = answers.get(request.path)
        return await found(request) if found else web.Response(status=404)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()


def _card(url: str, **more: Any) -> Any:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"name": "old", "url": url, "skills": [], **more})

    return answer


async def test_an_old_card_below_a2a_is_found_and_nothing_is_posted_to_its_agent() -> None:
    answers: dict[str, Any] = {"/a2a/.well-known/agent.json": _card("http://x")}
    async with site(**answers) as (url, asked), CardReader() as reader:
        card = await reader.card(url, "")
        assert (card.base, card.peer.name, card.is_private) == (f"{url}/a2a", "old", True)
        assert all(line.startswith("GET ") for line in asked)


async def test_redirects_large_answers_and_other_json_are_no_cards() -> None:
    async def elsewhere(_: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/card")

    async def large(_: web.Request) -> web.Response:
        return web.Response(body=b"[" + b" " * 600_000 + b"]")

    for answer in (elsewhere, large, _card("", name="")):
        paths: dict[str, Any] = {"/.well-known/agent-card.json": answer, "/card": _card("http://x")}
        async with site(**paths) as (url, _), CardReader() as reader:
            with pytest.raises(PeerError, match="there is no agent's card"):
                await reader.card(url, "")


async def test_a_private_address_that_was_only_heard_of_is_not_asked() -> None:
    paths: dict[str, Any] = {"/.well-known/agent-card.json": _card("http://x")}
    async with site(**paths) as (url, asked), CardReader() as reader:
        for where in (url, url.replace("127.0.0.1", "localhost")):
            with pytest.raises(PeerError, match=r"not public|no public"):
                await reader.card(where, "", may_be_private=False)
        assert asked == []


async def test_one_that_hangs_keeps_nobody_waiting_and_a_token_goes_to_its_own_url_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(peer_cards, "PROBE_S", 600.0)

    async def hangs(_: web.Request) -> web.Response:
        await asyncio.sleep(600)
        return web.Response()

    async def told(request: web.Request) -> web.Response:
        shown.append(request.headers.get("Authorization", ""))
        return web.json_response({"name": "quick", "url": "http://x"})

    slow: dict[str, Any] = {"/.well-known/agent-card.json": hangs}
    fast: dict[str, Any] = {"/.well-known/agent-card.json": told}
    async with site(**slow) as (hung, _), site(**fast) as (url, asked):
        path = tmp_path / "tokens.json"
        path.write_text(json.dumps({hung: "secret"}))
        path.chmod(0o600)
        me = Me(name="me", url="http://127.0.0.1:1", instance="me")
        looking = Discovery(me, [hung, url], PeerTokens(path), tmp_path, SystemClock())
        await looking.start()
        async with asyncio.timeout(60):
            await until(lambda: len(looking.peers()) == 1)
        await looking.close()
    assert shown == [""]
    assert asked == ["GET /.well-known/agent-card.json"]  # a foreign agent gets no message


def _ours(url: str) -> dict[str, Any]:
    """The card of a peer of this program."""
    extension = {"uri": PEER_EXTENSION, "params": {"instance": "one"}}
    return {"name": "one", "url": url, "capabilities": {"extensions": [extension]}}


async def test_one_of_ours_is_introduced_once_again_if_it_failed_and_asked_each_time(
    tmp_path: Path,
) -> None:
    told: list[Any] = []
    asked = 0

    async def introduce(request: web.Request) -> web.Response:
        told.append((request.headers["Authorization"], await request.json()))
        return web.Response(status=503 if len(told) == 1 else 200)

    async def peers(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        odd: list[Any] = [{"url": 1}, {"url": "file:///etc/passwd"}, "x", {"url": "http://[::"}]
        return web.json_response({"peers": odd if asked % 2 else "none"})

    async def card(_: web.Request) -> web.Response:
        return web.json_response(_ours("http://x"))

    paths: dict[str, Any] = {
        "/.well-known/agent-card.json": card,
        "/v1/peers": peers,
        "/v1/peers/introduce": introduce,
    }
    async with site(**paths) as (url, _):
        path = tmp_path / "tokens.json"
        path.write_text(json.dumps({url: "secret"}))
        path.chmod(0o600)
        me = Me(name="me", url="http://127.0.0.1:1", instance="me")
        tokens = PeerTokens(path)
        looking = Discovery(me, [url], tokens, tmp_path, SystemClock(), interval_s=0.1)
        await looking.start()
        async with asyncio.timeout(60):
            await until(lambda: asked >= 3)
        await looking.close()
        assert told == [("Bearer secret", {"name": "me", "url": me.url, "instance": "me"})] * 2
        assert [entry.url for entry in looking.book.entries()] == [url]
        quiet = Discovery(
            me, [url], tokens, tmp_path, SystemClock(), interval_s=0.1, introduces=False
        )
        before = asked
        await quiet.start()
        async with asyncio.timeout(60):
            await until(lambda: asked >= before + 2)
        await quiet.close()
        assert len(told) == 2


async def test_without_a_token_one_of_ours_is_listed_and_left_alone(tmp_path: Path) -> None:
    async def card(_: web.Request) -> web.Response:
        return web.json_response(_ours("http://x"))

    said: list[str] = []
    async with site(**{"/.well-known/agent-card.json": card}) as (url, asked):
        me = Me(name="me", url="http://127.0.0.1:1", instance="me")
        looking = Discovery(
            me, [url], PeerTokens(None), tmp_path, SystemClock(), interval_s=0.1, notice=said.append
        )
        await looking.start()
        async with asyncio.timeout(60):
            await until(lambda: len(asked) >= 3)
        await looking.close()
    assert set(asked) == {"GET /.well-known/agent-card.json"}
    assert [text for text in said if "CODETETHER_PEER_TOKENS" in text] == said[1:2]


async def test_a_card_that_sends_elsewhere_is_not_followed_and_gets_no_token(
    tmp_path: Path,
) -> None:
    async with site() as (elsewhere, asked):
        moved = elsewhere.replace("127.0.0.1", "127.0.0.1.nip.example")
        interface = {"url": f"{moved}/a2a", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}

        async def card(_: web.Request) -> web.Response:
            return web.json_response({"name": "eve", "supportedInterfaces": [interface]})

        async with site(**{"/.well-known/agent-card.json": card}) as (url, _):
            desk = Peers(tmp_path, {"CODETETHER_A2A_PEERS": url})
            with pytest.raises(PeerError, match="another host"):
                await desk.send(PeerMessage(peer="eve", text="secret", id="m"))
        assert asked == []


# -- files ----------------------------------------------------------------------------------------


def test_a_file_of_tokens_is_the_owners_alone_and_read_again_when_it_changes(
    tmp_path: Path,
) -> None:
    path = tmp_path / "tokens.json"
    path.write_text('{"https://a.example.com": "one"}')
    path.chmod(0o644)
    tokens = PeerTokens.of({"CODETETHER_PEER_TOKENS": str(path)})
    with pytest.raises(ConfigError, match="chmod 600"):
        tokens.token_for("https://a.example.com")
    path.chmod(0o600)
    assert tokens.token_for("https://A.example.com:443/a2a") == "one"
    for other in ("http://a.example.com", "https://a.example.com:8443", "https://b.example.com"):
        assert tokens.token_for(other) == ""
    path.write_text('{"https://b.example.com": "three"}')
    assert tokens.token_for("https://b.example.com") == "three"
    for wrong in ("[]", "{", '{"a b": "x"}', '{"http://a": "x y"}', '{"http://a": 1}'):
        path.write_text(wrong)
        os.utime(path, ns=(1, len(wrong)))
        with pytest.raises(ConfigError, match="CODETETHER_PEER_TOKENS"):
            tokens.token_for("http://a")
    assert PeerTokens.of({}).token_for("http://a") == ""


def test_known_peers_are_kept_in_a_file_and_names_have_folders_of_their_own(
    tmp_path: Path,
) -> None:
    peers = (KnownPeer(name="a", url="http://a", instance="i"),)
    write_peers(tmp_path / "x" / FILE, peers)
    assert read_peers(tmp_path / "x" / FILE) == peers
    (tmp_path / FILE).write_text("{")
    assert read_peers(tmp_path / FILE) is None
    names = ["alice", "../alice", "a/lice", "", "x" * 200, "Älice", "."]
    folders = [peer_folder(tmp_path, name) for name in names]
    assert len(set(folders)) == len(names)
    assert {folder.parent for folder in folders} == {tmp_path / "peers"}
