import json

from codetether_ray.local.shares import LocalShares
from codetether_ray.ports.bus import Batch, Cursor, Envelope
from codetether_ray.ports.tool import SharedResult


class Listening:
    def __init__(self) -> None:
        self.heard: list[Envelope] = []

    async def publish(self, envelopes: list[Envelope]) -> int:
        self.heard += envelopes
        return len(self.heard) - 1

    async def poll(self, *args: object, **more: object) -> Batch:
        raise NotImplementedError

    async def cursor(self) -> Cursor:
        return Cursor()


def _share(key: str, value: object = 1, *tags: str) -> SharedResult:
    return SharedResult(key=key, producer="sub/a", value=value, tags=tags)


async def test_the_last_write_of_a_key_wins() -> None:
    shares = LocalShares()
    await shares.publish(_share("k", 1))
    await shares.publish(_share("k", 2))
    found = await shares.get("k")
    assert found is not None
    assert found.value == 2
    assert await shares.get("other") is None


async def test_results_are_found_by_any_tag_and_by_prefix_in_order_of_keys() -> None:
    shares = LocalShares()
    for result in (_share("b/1", 1, "x"), _share("a/1", 1, "y"), _share("a/0", 1, "x", "y")):
        await shares.publish(result)
    assert [r.key for r in await shares.query()] == ["a/0", "a/1", "b/1"]
    assert [r.key for r in await shares.query(tags=("x", "z"))] == ["a/0", "b/1"]
    assert [r.key for r in await shares.query(prefix="a/")] == ["a/0", "a/1"]


async def test_what_is_shared_is_announced_under_its_key() -> None:
    bus = Listening()
    await LocalShares(bus).publish(_share("api.v1", {"n": [1]}, "t"))  # type: ignore[arg-type]
    (heard,) = bus.heard
    assert heard.topic == "results.api%2Ev1"
    assert json.loads(heard.payload) == {
        "key": "api.v1", "producer": "sub/a", "value": {"n": [1]}, "tags": ["t"],
        "published_at": 0.0,
    }  # fmt: skip
