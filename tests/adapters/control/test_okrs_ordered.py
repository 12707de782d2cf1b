"""OKRs over the network: written, decided on, pursued, by HTTP and by gRPC."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from codetether_ray.pb.codetether.v1 import control_pb2 as pb
from codetether_ray.pb.codetether.v1 import control_pb2_grpc as stubs
from tests.adapters.control.scene import Plane, events, metadata
from tests.e2e.relay_scene import OKR, RelayModel


@pytest.fixture
def script() -> Callable[..., object]:
    return RelayModel()


async def _written(plane: Plane, token: str, **more: Any) -> dict[str, Any]:
    status, made = await plane.ask("POST", "/v1/okrs", token, json={**OKR, **more})
    assert status == 201, made
    found: dict[str, Any] = made
    return found


async def test_approving_one_that_was_ordered_with_its_work_starts_the_relay(
    plane: Plane, bundle: bytes
) -> None:
    alice = await plane.token_of("alice", "admin")
    _, came = await plane.ask("POST", "/v1/bundles", alice, data=bundle)
    work = {"repository": {"bundle": came["id"]}, "model": "local/m", "count": 2, "rounds": 3}
    made = await _written(plane, alice, work=work)
    assert (made["run"]["status"], made["okr"]["owner"]) == ("pending_approval", "alice")
    status, _ = await plane.ask("POST", f"/v1/okrs/{made['run']['id']}/resume", alice)
    assert status == 409, "nobody approved it yet"
    status, done = await plane.ask(
        "POST", f"/v1/okrs/{made['okr']['id']}/approve", alice, json={"reason": "agreed"}
    )
    assert (status, done["not_started"]) == (200, None), done
    assert done["run"]["approval"]["approver"] == "alice"
    async with asyncio.timeout(60):
        seen = await events(plane, done["started"]["links"]["events"], alice)
    end = json.loads(seen[-1]["data"])
    assert end["outcome"] == "all_met", seen[-3:]
    _, found = await plane.ask("GET", f"/v1/okrs/{made['okr']['id']}", alice)
    assert (found["okr"]["progress"], found["runs"][0]["status"]) == (1.0, "completed")
    assert found["runs"][0]["relay_id"] == done["started"]["run_id"]


async def test_one_decision_counts_and_strangers_find_nothing(plane: Plane) -> None:
    alice, bob = await plane.token_of("alice", "admin"), await plane.token_of("bob")
    made = await _written(plane, await plane.token_of("carol"))
    path = f"/v1/okrs/{made['okr']['id']}"
    assert (await plane.ask("GET", path, bob))[0] == 404
    assert (await plane.ask("POST", f"{path}/deny", bob))[0] == 404
    assert (await plane.ask("GET", "/v1/okrs", bob))[1] == {"okrs": []}
    status, _ = await plane.ask("POST", f"{path}/approve", alice, json={"version": 7})
    assert status == 409, "that is not the version that is stored"
    assert (await plane.ask("POST", f"{path}/deny", alice))[1]["run"]["status"] == "denied"
    status, problem = await plane.ask("POST", f"{path}/approve", alice)
    assert (status, problem["kind"]) == (409, "OkrTransition")


async def test_one_that_is_approved_without_work_is_started_by_whoever_names_it(
    plane: Plane,
) -> None:
    made = await _written(plane, plane.admin)
    path = f"/v1/okrs/{made['run']['id']}"
    _, done = await plane.ask("POST", f"{path}/approve")
    assert (done["started"], done["not_started"]) == (None, None)
    status, problem = await plane.ask("POST", f"{path}/resume", json={"model": "local/m"})
    assert (status, "name what to work on" in problem["detail"]) == (400, True)
    assert (await plane.ask("POST", f"{path}/cancel"))[1]["run"]["status"] == "cancelled"


async def test_the_same_by_grpc(plane: Plane) -> None:
    mine = metadata(await plane.token_of("alice", "admin"))
    other = metadata(await plane.token_of("bob"))
    request = pb.CreateOkrRequest(
        objective="Words are counted",
        key_results=[
            pb.KeyResult(
                title="three files",
                target=3,
                measure_json=json.dumps(
                    {"type": "command", "command": "ls | wc -l", "parse": "number"}
                ),
            )
        ],
    )
    async with plane.channel() as channel:
        control = stubs.ControlStub(channel)
        made = await control.CreateOkr(request, metadata=mine)
        assert (made.runs[0].status, json.loads(made.json)["owner"]) == (
            "pending_approval",
            "alice",
        )
        assert len((await control.ListOkrs(pb.ListOkrsRequest(), metadata=mine)).okrs) == 1
        assert not (await control.ListOkrs(pb.ListOkrsRequest(), metadata=other)).okrs
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await control.GetOkr(pb.GetOkrRequest(id=made.id), metadata=other)
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
        denied = await control.DenyOkr(pb.DecideOkrRequest(id=made.id), metadata=mine)
        assert denied.okr.runs[0].status == "denied"
        with pytest.raises(grpc.aio.AioRpcError) as late:
            await control.ApproveOkr(pb.DecideOkrRequest(id=made.id), metadata=mine)
        assert late.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        with pytest.raises(grpc.aio.AioRpcError) as empty:
            await control.CreateOkr(pb.CreateOkrRequest(objective="x"), metadata=mine)
        assert empty.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(grpc.aio.AioRpcError) as nobody:
            await control.ListOkrs(pb.ListOkrsRequest())
        assert nobody.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_what_is_stored_by_its_value_is_the_callers_and_never_of_anothers_okr(
    plane: Plane,
) -> None:
    ann = await plane.token_of("ann", tenant="acme")
    bob = await plane.token_of("bob", tenant="beta")
    made = await _written(plane, ann)
    id, run_id = made["okr"]["id"], made["run"]["id"]

    async def add(okr: dict[str, Any], run: dict[str, Any] | None) -> tuple[int, Any]:
        body = {"arguments": [okr, run]}
        return await plane.ask("POST", "/v1/truth/okrs.add", bob, json=body)

    _, found = await plane.ask("POST", "/v1/truth/okrs.every", ann, json={"arguments": []})
    okr, run = found["answer"][0][0], found["answer"][1][0]
    mine = {**okr, "id": "okr-of-bob"}
    assert (await add(mine, None))[0] == 200
    for tried in (
        (okr, None),
        (mine, run),
        (mine, {**run, "okr_id": "okr-of-bob"}),
        (mine, {**run, "id": "run-of-bob"}),
        ({**okr, "id": "other"}, {**run, "okr_id": "other"}),
        ({**okr, "id": "../../x"}, None),
    ):
        status, problem = await add(*tried)
        assert (status, problem.get("kind")) == (400, "Usage"), tried
    _, found = await plane.ask("GET", f"/v1/okrs/{id}", ann)
    assert [one["id"] for one in found["runs"]] == [run_id]
