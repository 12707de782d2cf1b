"""Push notifications over real HTTP: headers, signature, tries, and where they do not go."""

import asyncio
import hashlib
import json
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import jwt
import pytest
from a2a.types import (
    AuthenticationInfo,
    InvalidParamsError,
    StreamResponse,
    TaskPushNotificationConfig,
    TaskState,
    TaskStatus,
    TaskStatusUpdateEvent,
)
from aiohttp import web

from codetether_ray.a2a.card_keys import CardKey
from codetether_ray.a2a.push_http import SIGNATURE, HttpPushes
from codetether_ray.testing.clock import FakeClock

_DONE = StreamResponse(
    status_update=TaskStatusUpdateEvent(
        task_id="t", context_id="c", status=TaskStatus(state=TaskState.TASK_STATE_COMPLETED)
    )
)


@dataclass
class Receiver:
    """A server that answers as it is told, and keeps what it got."""

    port: int = 0
    answers: list[int] = field(default_factory=list)
    got: list[tuple[Mapping[str, str], bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def take(self, request: web.Request) -> web.Response:
        self.got.append((request.headers, await request.read()))
        status = self.answers.pop(0) if self.answers else 200
        headers = {"Location": f"http://127.0.0.1:{self.port}/other"} if status == 302 else {}
        return web.Response(status=status, headers=headers)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", made.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


@pytest.fixture
async def clock() -> AsyncIterator[FakeClock]:
    """One that goes on by itself, as fast as it can."""
    made = FakeClock()

    async def run() -> None:
        while True:
            await made.advance(60.0 if made.sleepers else 0.0)
            await asyncio.sleep(0.001)

    running = asyncio.create_task(run())
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
async def pushes(clock: FakeClock) -> AsyncIterator[HttpPushes]:
    made = HttpPushes(clock, allows_private=True)
    yield made
    await made.close()


def config(receiver: Receiver, **given: object) -> TaskPushNotificationConfig:
    return TaskPushNotificationConfig(task_id="t", id="one", url=receiver.url, **given)  # type: ignore[arg-type]


async def test_a_receiver_gets_the_event_and_what_it_asked_to_be_known_by(
    receiver: Receiver, pushes: HttpPushes
) -> None:
    asked = config(
        receiver,
        token="tok",
        authentication=AuthenticationInfo(scheme="Bearer", credentials="cred"),
    )
    await pushes.check(asked)
    assert await pushes.send(asked, _DONE)
    headers, body = receiver.got[0]
    assert headers["X-A2A-Notification-Token"] == headers["A2A-Notification-Token"] == "tok"
    assert headers["Authorization"] == "Bearer cred"
    assert headers["Content-Type"] == "application/a2a+json"
    said = json.loads(body)["statusUpdate"]
    assert (said["taskId"], said["status"]["state"]) == ("t", "TASK_STATE_COMPLETED")


async def test_a_notification_is_signed_over_its_body(
    receiver: Receiver, clock: FakeClock, tmp_path: Path
) -> None:
    key = CardKey.in_directory(tmp_path)

    async def sign(body: bytes, task_id: str) -> str:
        claims = {"sub": task_id, "request_body_sha256": hashlib.sha256(body).hexdigest()}
        return key.token(claims, "https://agent.example/.well-known/jwks.json")

    pushes = HttpPushes(clock, sign=sign, allows_private=True)
    assert await pushes.send(config(receiver), _DONE)
    await pushes.close()
    headers, body = receiver.got[0]
    token = headers[SIGNATURE]
    public = jwt.PyJWK(key.jwk)
    claims = jwt.decode(token, public, algorithms=["ES256"])
    assert claims["request_body_sha256"] == hashlib.sha256(body).hexdigest()
    assert jwt.get_unverified_header(token)["kid"] == key.jwk["kid"]
    other = CardKey.in_directory(tmp_path / "other")
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, jwt.PyJWK(other.jwk), algorithms=["ES256"])


async def test_a_receiver_in_trouble_is_tried_again(receiver: Receiver, pushes: HttpPushes) -> None:
    receiver.answers = [500, 503, 429]
    assert await pushes.send(config(receiver), _DONE)
    assert len(receiver.got) == 4


async def test_tries_have_an_end(receiver: Receiver, pushes: HttpPushes) -> None:
    receiver.answers = [500] * 100
    assert not await pushes.send(config(receiver), _DONE)
    assert len(receiver.got) == 5


@pytest.mark.parametrize("status", [302, 400, 410])
async def test_a_refusal_and_a_redirect_are_final(
    receiver: Receiver, pushes: HttpPushes, status: int
) -> None:
    receiver.answers = [status]
    assert not await pushes.send(config(receiver), _DONE)
    assert len(receiver.got) == 1


async def test_nobody_there_is_tried_again_and_given_up(
    receiver: Receiver, pushes: HttpPushes
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    gone = TaskPushNotificationConfig(task_id="t", id="one", url=f"http://127.0.0.1:{port}/")
    assert not await pushes.send(gone, _DONE)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "2130706433"])
async def test_a_private_address_is_not_connected_to_however_it_is_spelled(
    receiver: Receiver, clock: FakeClock, host: str
) -> None:
    pushes = HttpPushes(clock)
    asked = TaskPushNotificationConfig(
        task_id="t", id="one", url=f"http://{host}:{receiver.port}/hook"
    )
    assert not await pushes.send(asked, _DONE)
    await pushes.close()
    assert receiver.got == []


@pytest.mark.parametrize("token", ["a\r\nX-Evil: 1", "ä"])
async def test_a_token_that_is_no_header_is_refused(
    receiver: Receiver, pushes: HttpPushes, token: str
) -> None:
    with pytest.raises(InvalidParamsError, match="ASCII"):
        await pushes.check(config(receiver, token=token))
