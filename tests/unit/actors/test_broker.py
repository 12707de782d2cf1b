"""Keys of a run on a cluster: what crosses between processes is sealed to one of them."""

import asyncio
import pickle
from typing import Any

import pytest

from codetether_ray.actors.broker import Broker, RaySecrets, answering
from codetether_ray.actors.custody import Custody, fingerprint
from codetether_ray.actors.door import Door, Served
from codetether_ray.core.errors import AuditError, KeyAwayError, SecretStoreError
from codetether_ray.core.spec import Correlation
from codetether_ray.core.usage import Budget
from codetether_ray.local.ledger import LocalLedger
from codetether_ray.ports.secrets import ProviderSecret
from codetether_ray.secrets.sealed import Recipient, seal
from codetether_ray.testing.clock import FakeClock
from codetether_ray.testing.fakes import MemoryAudit
from tests.unit.actors.test_door import SlowJournal

KEY = "sk-ant-api03-" + "x" * 40
SECRET = ProviderSecret(api_key=KEY, headers={"x-team": "a-team-of-ours"}, extra={"region": "eu"})


class Store:
    """Secrets by provider, and what was asked for."""

    def __init__(self, **secrets: ProviderSecret) -> None:
        self.secrets = secrets
        self.asked: list[str] = []

    async def get(self, provider: str) -> ProviderSecret | None:
        self.asked.append(provider)
        return self.secrets.get(provider)


class Wire:
    """Between processes: everything is pickled on its way, and kept."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []

    def across(self, value: Any) -> Any:
        self.seen.append(pickle.dumps(value))
        return pickle.loads(self.seen[-1])


class WiredCaller:
    """An agent's process at the door of a supervisor, over a wire."""

    def __init__(self, wire: Wire, broker: Broker) -> None:
        self._wire = wire
        self._door = Door("swm_x")
        ledger = LocalLedger(Budget(), FakeClock())
        self._door.serve(Served(journal=SlowJournal(), ledger=ledger, secrets=broker))
        self._badge = self._door.admit("sub/a")
        self._count = 0

    async def ask(self, verb: str, *arguments: Any) -> Any:
        self._count += 1
        sent = self._wire.across(arguments)
        return self._wire.across(
            await self._door.call(self._badge, self._count, self._count, verb, sent)
        )


async def nobody(question: object) -> bool:
    raise AssertionError(f"nobody is asked {question}")


async def test_a_key_crosses_from_the_driver_to_an_agent_in_no_clear_form() -> None:
    wire, store, concealed = Wire(), Store(anthropic=SECRET), []
    answer = answering(nobody, store, {"anthropic"})

    async def driver(question: Any) -> Any:
        return wire.across(await answer(wire.across(question)))

    broker = Broker("swm_x", driver, conceal=concealed.extend)
    agents = [RaySecrets(WiredCaller(wire, broker)) for _ in range(3)]  # type: ignore[arg-type]
    found = await asyncio.gather(*(agent.get("anthropic") for agent in agents))
    assert found == [SECRET] * 3
    assert store.asked == ["anthropic"]  # once for all of them
    for value in (KEY, "a-team-of-ours"):
        assert value in concealed
        assert not [seen for seen in wire.seen if value.encode() in seen]
    assert len(wire.seen) == 2 + 2 * len(agents)


async def test_the_driver_gives_out_the_keys_of_its_runs_own_provider_alone() -> None:
    store = Store(anthropic=SECRET, openai=SECRET)
    answer = answering(nobody, store, {"anthropic"})
    public = Recipient().public
    assert await answer({"kind": "secret", "provider": "openai", "public_key": public}) is None
    assert store.asked == []


async def test_other_questions_reach_who_answered_them_before() -> None:
    async def ask(question: object) -> bool:
        return question == {"plan": 1}

    assert await answering(ask, Store(), ())({"plan": 1})


async def test_a_successor_asks_the_driver_again() -> None:
    store = Store(anthropic=SECRET)
    answer = answering(nobody, store, {"anthropic"})
    for _ in range(2):
        assert await Broker("swm_x", answer).get("anthropic") == SECRET
    assert store.asked == ["anthropic"] * 2


async def test_where_the_driver_is_gone_a_sentence_says_what_brings_the_key_back() -> None:
    async def away(_: object) -> None:
        await asyncio.Event().wait()

    broker = Broker("swm_x", away, patience_s=0.01)
    with pytest.raises(KeyAwayError, match="codetether swarm --resume swm_x"):
        await broker.get("anthropic")
    answer = answering(nobody, Store(anthropic=SECRET), {"anthropic"})
    broker._ask = answer  # it is back
    assert await broker.get("anthropic") == SECRET


async def test_the_supervisors_own_store_is_enough_where_it_is_the_drivers() -> None:
    broker = Broker("swm_x", None, at_home=Store(anthropic=SECRET))
    assert await broker.get("anthropic") == SECRET
    assert await broker.get("openai") is None


def test_an_envelope_is_opened_by_one_recipient_and_by_no_other() -> None:
    mine, other = Recipient(), Recipient()
    envelope = seal(SECRET, mine.public)
    assert KEY.encode() not in envelope
    assert mine.open(envelope) == SECRET
    with pytest.raises(SecretStoreError) as refused:
        other.open(envelope)
    assert KEY not in str(refused.value)
    with pytest.raises(SecretStoreError):
        mine.open(envelope[:-1] + bytes([envelope[-1] ^ 1]))
    with pytest.raises(SecretStoreError):
        seal(SECRET, b"short")


def test_envelopes_tell_nothing_by_their_length_of_keys_that_are_alike() -> None:
    public = Recipient().public
    sizes = {len(seal(ProviderSecret(api_key="k" * n), public)) for n in (20, 51, 108)}
    assert len(sizes) == 1


def test_a_key_pair_does_not_travel() -> None:
    with pytest.raises(TypeError, match="does not travel"):
        pickle.dumps(Recipient())


async def test_who_hands_a_key_to_which_process_is_audited_without_the_key() -> None:
    audit = MemoryAudit()
    custody = Custody(audit, Correlation(run_id="swm_x"), "alice@laptop")
    publics: list[bytes] = []
    answer = answering(nobody, Store(anthropic=SECRET), {"anthropic"})

    async def driver(question: Any) -> Any:
        publics.append(question["public_key"])
        return await answer(question)

    broker = Broker("swm_x", driver, custody=custody)
    agent = RaySecrets(WiredCaller(Wire(), broker))  # type: ignore[arg-type]
    assert await agent.get("anthropic") == SECRET
    assert agent._me is not None
    deposit, gift = audit.intents.values()
    assert (deposit.action, deposit.resource, deposit.principal) == (
        *("key.deposit", "anthropic"),
        "user:alice@laptop",
    )
    assert deposit.detail == {"public_key": fingerprint(publics[0])}
    assert (gift.action, gift.principal) == ("key.give", "agent:sub/a")
    assert gift.detail == {"public_key": fingerprint(agent._me.public)}
    assert audit.outcomes == {"0": ("success", {"has_key": True}), "1": ("success", {})}
    assert KEY not in repr(audit.intents)


async def test_a_key_that_cannot_be_audited_is_not_given() -> None:
    audit = MemoryAudit()
    audit.broken = AuditError("the disk is full")
    broker = Broker(
        "swm_x",
        None,
        at_home=Store(anthropic=SECRET),
        custody=Custody(audit, Correlation(run_id="swm_x")),
    )
    with pytest.raises(AuditError):
        await broker.sealed("anthropic", Recipient().public, "sub/a")
