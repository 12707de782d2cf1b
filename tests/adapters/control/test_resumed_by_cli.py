"""`codetether okr resume` through an ingress starts the relay there."""

import asyncio
from collections.abc import Callable

import pytest

from codetether_ray.bootstrap.truth.http import truth_at
from codetether_ray.bootstrap.truth.questions import RESUME
from tests.adapters.control.scene import Plane, events
from tests.e2e.relay_scene import OKR, RelayModel


@pytest.fixture
def script() -> Callable[..., object]:
    return RelayModel()


async def test_the_relay_of_an_approved_okr_is_started_by_the_question(
    plane: Plane, bundle: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, came = await plane.ask("POST", "/v1/bundles", data=bundle)
    work = {"repository": {"bundle": "0" * 32}, "model": "local/m", "count": 2, "rounds": 3}
    _, made = await plane.ask("POST", "/v1/okrs", json={**OKR, "work": work})
    id = made["run"]["id"]
    _, done = await plane.ask("POST", f"/v1/okrs/{id}/approve")
    assert (done["started"], "no bundle" in done["not_started"]) == (None, True)
    assert done["run"]["status"] == "approved", "the approval counts all the same"
    work["repository"] = {"bundle": came["id"]}
    _, again = await plane.ask("POST", "/v1/okrs", json={**OKR, "work": work})
    id = again["run"]["id"]
    monkeypatch.setattr("codetether_ray.ingress.control.Control.start_approved", _nothing)
    await plane.ask("POST", f"/v1/okrs/{id}/approve")
    truth = await asyncio.to_thread(truth_at, plane.url, {"CODETETHER_TOKEN": plane.admin})
    assert truth.http is not None
    run_id = await truth.ask(RESUME, id)
    truth.http.close()
    async with asyncio.timeout(60):
        seen = await events(plane, f"/v1/runs/{run_id}/events", plane.admin)
    assert '"all_met"' in seen[-1]["data"]


async def _nothing(*_: object) -> None:
    """As if the ingress had died between the approval and the start."""
