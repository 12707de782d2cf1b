"""What an ingress says of itself: its card, health, reflection, descriptors."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from a2a.client.card_resolver import A2ACardResolver
from a2a.types import AgentCard
from a2a.utils.signing import InvalidSignaturesError, create_signature_verifier
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from jwt import InvalidIssuerError, InvalidSignatureError, PyJWK

from codetether_ray.a2a.card_keys import CardKey
from codetether_ray.ingress.grpc.services import service_names
from codetether_ray.ingress.push_signing import push_signer
from tests.adapters.a2a.world import World, metadata, opened

CARDS = ("/.well-known/agent-card.json", "/.well-known/agent.json")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(tmp_path) as found:
        yield found


async def test_the_card_is_the_same_at_both_paths_without_a_token(world: World) -> None:
    async with world.http(token="") as http:
        first, second = [(await http.get(path)) for path in CARDS]
    assert first.status_code == 200
    assert first.json() == second.json()
    card = first.json()
    told = {(one["protocolBinding"], one["protocolVersion"]) for one in card["supportedInterfaces"]}
    assert told == {
        (binding, version)
        for binding in ("JSONRPC", "HTTP+JSON", "GRPC")
        for version in ("1.0", "0.3")
    }
    assert card["securitySchemes"]["bearer"]["httpAuthSecurityScheme"]["scheme"] == "Bearer"
    assert (card["protocolVersion"], card["preferredTransport"]) == ("0.3", "JSONRPC")
    assert card["url"] == f"{world.url}/a2a"
    assert card["supportsAuthenticatedExtendedCard"] is True


async def test_a_card_that_has_not_changed_is_not_sent_again(world: World) -> None:
    async with world.http(token="") as http:
        first = await http.get(CARDS[0])
        assert first.headers["cache-control"] == "public, max-age=300"
        tag, since = first.headers["etag"], first.headers["last-modified"]
        for headers in ({"If-None-Match": tag}, {"If-Modified-Since": since}):
            again = await http.get(CARDS[0], headers=headers)
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == tag
        for headers in (
            {"If-None-Match": '"another"', "If-Modified-Since": since},
            {"If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"},
            {"If-Modified-Since": "yesterday"},
        ):
            assert (await http.get(CARDS[0], headers=headers)).status_code == 200


async def test_a_signed_card_is_known_by_its_key_and_only_unchanged(tmp_path: Path) -> None:
    async with opened(tmp_path, is_card_signed=True) as world, world.http() as http:
        keys = (await http.get("/.well-known/jwks.json")).json()["keys"]
        verify = create_signature_verifier(
            lambda kid, jku: PyJWK(next(one for one in keys if one["kid"] == kid)), ["ES256"]
        )
        card: AgentCard = await A2ACardResolver(http, world.url).get_agent_card(
            signature_verifier=verify
        )
        assert len(card.signatures) == 1
        card.name = "Somebody else"
        with pytest.raises(InvalidSignaturesError):
            verify(card)
    key = tmp_path / "a2a" / "card-key.pem"
    assert key.stat().st_mode & 0o777 == 0o600


_RULES = Path(__file__).parents[3] / "docs" / "reference" / "a2a-rules.md"


async def test_a_notification_is_known_by_what_the_page_says(tmp_path: Path) -> None:
    [code] = re.findall(r"^```python\n(.*?)^```", _RULES.read_text("utf-8"), re.M | re.S)
    names: dict[str, Any] = {}
    exec(code, names)  # what readers of the page take over
    task_of = names["task_of"]
    async with opened(tmp_path) as world, world.http() as http:
        sign = push_signer(world.parts.options, world.parts.reach)
        signature = await sign(b"{}", "task-1")
        keys = (await http.get("/.well-known/jwks.json")).json()
        assert task_of(b"{}", signature, keys, world.url) == "task-1"
        with pytest.raises(ValueError, match="another body"):
            task_of(b"{ }", signature, keys, world.url)
        with pytest.raises(InvalidIssuerError):
            task_of(b"{}", signature, keys, "https://somebody.example")
        stranger = CardKey.in_directory(tmp_path / "other").jwk
        strangers = {"keys": [stranger | {"kid": keys["keys"][0]["kid"]}]}
        with pytest.raises(InvalidSignatureError):
            task_of(b"{}", signature, strangers, world.url)


async def test_the_keys_of_a_public_card_are_public_and_nothing_of_the_private_one(
    world: World,
) -> None:
    async with world.http(token="") as http:
        [key] = (await http.get("/.well-known/jwks.json")).json()["keys"]
        assert key["kty"] == "EC"
        assert "d" not in key


async def test_health_is_told_without_a_token_and_by_service_with_one(world: World) -> None:
    async with world.channel() as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        found = await stub.Check(health_pb2.HealthCheckRequest())
        assert found.status == health_pb2.HealthCheckResponse.SERVING
        listed = await stub.List(health_pb2.HealthListRequest(), metadata=metadata())
        assert set(service_names()) <= set(listed.statuses)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.List(health_pb2.HealthListRequest())
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_reflection_describes_every_service_to_those_with_a_token(world: World) -> None:
    async with world.channel() as channel:
        assert await reflected(channel, metadata()) == set(service_names())
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await reflected(channel, ())
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def reflected(channel: grpc.aio.Channel, token: Any) -> set[str]:
    """Names of services that reflection lists, each of which it can describe."""
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    ask = reflection_pb2.ServerReflectionRequest
    listed = await _first(stub, ask(list_services=""), token)
    names = {one.name for one in listed.list_services_response.service}
    for name in names:
        told = await _first(stub, ask(file_containing_symbol=name), token)
        files = [
            FileDescriptorProto.FromString(one)
            for one in told.file_descriptor_response.file_descriptor_proto
        ]
        assert any(
            f"{file.package}.{service.name}" == name for file in files for service in file.service
        )
    return names


async def _first(stub: Any, request: Any, token: Any) -> Any:
    async for answer in stub.ServerReflectionInfo(iter([request]), metadata=token):
        return answer
    raise AssertionError("no answer")


async def test_the_descriptor_set_has_every_service_and_all_that_it_needs(world: World) -> None:
    async with world.http() as http:
        answer = await http.get("/descriptors")
    found = FileDescriptorSet.FromString(answer.content)
    have: set[str] = set()
    for file in found.file:
        assert set(file.dependency) <= have
        have.add(file.name)
    services = {f"{file.package}.{one.name}" for file in found.file for one in file.service}
    assert set(service_names()) <= services


async def test_a_reader_may_read_and_not_send_on_any_transport(world: World) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {}}
    async with world.http("reader-token") as http:
        answer = await http.post("/a2a", json=body)
        assert answer.status_code == 403
        answer = await http.post("/a2a", json=body | {"method": "ListTasks"})
        assert answer.json()["result"]["tasks"] == []
        assert (await http.get("/a2a/rest/tasks")).json()["tasks"] == []
        assert (await http.post("/a2a/rest/message:send", json={})).status_code == 403
    async with world.channel() as channel:
        call = channel.unary_unary("/lf.a2a.v1.A2AService/SendMessage")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"", metadata=metadata("reader-token"))
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_answers_of_the_rest_binding_are_in_the_media_type_that_is_spoken(
    world: World,
) -> None:
    async with world.http() as http:
        for accept, kind in (
            ("application/a2a+json", "application/a2a+json"),
            ("*/*", "application/json"),
        ):
            answer = await http.get("/a2a/rest/tasks", headers={"accept": accept})
            assert answer.headers["content-type"] == kind
            assert json.loads(answer.text)["totalSize"] == 0
