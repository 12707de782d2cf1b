"""What goes wrong on the wire, what is tried again, and what is not."""

import pytest

from codetether_ray.core.errors import (
    CodetetherError,
    ConnectionLostError,
    ContextOverflowError,
    CredentialsError,
    MalformedResponseError,
    ModelRefusedError,
    ModelUnavailableError,
    QuotaSpentError,
)
from codetether_ray.core.models import Finished, StreamEvent, TextDelta
from codetether_ray.ports.provider import Provider
from codetether_ray.providers.http import Clocks, HttpClient
from codetether_ray.testing.model_server import (
    Fault,
    ModelServer,
    Reply,
    call,
    fail,
    say,
    script_of,
    spoil,
)
from tests.adapters.providers.asking import (
    KEY,
    WIRES,
    Connect,
    EagerClock,
    events_of,
    request,
    retries,
)

ANSWER = Reply(text="here is the whole answer, in some pieces", piece=8)
BREAKS: dict[str, tuple[Reply, str]] = {
    "a 500": (fail(500, "oops"), "oops"),
    "a 529": (fail(529, "overloaded", error_type="overloaded_error"), "overloaded"),
    "a stalled stream": (spoil(ANSWER, "stall", after=4), "silent for 0.2 s"),
    "truncated JSON": (spoil(ANSWER, "truncate", after=4), "broken JSON"),
    "a dropped connection": (spoil(ANSWER, "drop", after=4), "the connection broke"),
    "no terminator": (spoil(ANSWER, "unterminated"), "before the answer was whole"),
    "an error event": (spoil(ANSWER, "error_event", after=4), "injected fault"),
    "a 200 with an error body": (spoil(ANSWER, "error_body", message="busy"), "busy"),
    "a dropped call": (spoil(call("read_file", path="x" * 99), "drop", after=5), "broke"),
}


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", BREAKS)
async def test_what_may_pass_is_tried_again_and_said(
    wire: str, fault: str, connect: Connect, clock: EagerClock
) -> None:
    broken, reason = BREAKS[fault]
    async with ModelServer(script_of(broken, broken, ANSWER)) as server:
        events = await events_of(connect(wire, server), request())
        assert server.count == 3
    told = retries(events)
    assert [retry.attempt for retry in told] == [1, 2]
    assert all(reason in retry.reason for retry in told)
    assert clock.slept == [retry.delay_s for retry in told]
    after = events[events.index(told[-1]) + 1 :]
    assert "".join(e.text for e in after if isinstance(e, TextDelta)) == ANSWER.text
    assert isinstance(events[-1], Finished)


@pytest.mark.parametrize("wire", WIRES)
async def test_a_429_is_waited_for_as_long_as_it_asks(
    wire: str, connect: Connect, clock: EagerClock
) -> None:
    async with ModelServer(script_of(fail(429, "slow down", retry_after_s=7), ANSWER)) as server:
        events = await events_of(connect(wire, server), request())
    (retry,) = retries(events)
    assert (retry.status, retry.reason) == (429, "slow down")
    assert 7 <= retry.delay_s <= 8
    assert clock.slept == [retry.delay_s]


async def test_waits_without_a_word_grow_up_to_a_bound_and_never_beyond_the_allowed_time(
    connect: Connect, clock: EagerClock
) -> None:
    async with ModelServer(lambda _: fail(503, "busy")) as server:
        provider = connect("local", server, retry_for_s=120)
        with pytest.raises(
            ModelUnavailableError, match=r"gave up after \d+ tries in \d+ s"
        ) as seen:
            await events_of(provider, request())
        assert server.count == len(clock.slept) + 1
    assert seen.value.status == 503
    assert sum(clock.slept) <= 120
    assert all(0 <= wait <= min(2**n, 30) for n, wait in enumerate(clock.slept))


async def test_a_wait_that_cannot_fit_is_not_begun(connect: Connect, clock: EagerClock) -> None:
    async with ModelServer(lambda _: fail(429, "slow down", retry_after_s=400)) as server:
        with pytest.raises(ModelUnavailableError) as seen:
            await events_of(connect("local", server), request())
        assert server.count == 1
    assert (seen.value.retry_after_s, clock.slept) == (400, [])


async def test_such_a_wait_parks_the_agent_where_parking_is_allowed(
    connect: Connect, clock: EagerClock
) -> None:
    async with ModelServer(lambda _: fail(429, "slow down", retry_after_s=400)) as server:
        with pytest.raises(QuotaSpentError) as seen:
            await events_of(connect("local", server, wait_quota_s=3600), request())
    assert (seen.value.resets_in_s, clock.slept) == (400, [])


@pytest.mark.parametrize(
    ("reply", "resets_in_s"),
    [
        (fail(429, "You exceeded your current quota", error_type="insufficient_quota"), None),
        (fail(429, "try later", retry_after_s=7200), 7200),
        (fail(402, "Insufficient credits"), None),
        (fail(400, "Your credit balance is too low to access the API"), None),
        (
            fail(
                429,
                "Rate limit reached on requests per day (RPD): Limit 200. Try again in 7m12s.",
            ),
            432,
        ),
        (
            fail(
                429,
                "too many",
                headers=(
                    ("x-ratelimit-remaining-requests", "0"),
                    ("x-ratelimit-reset-requests", "5h30m"),
                ),
            ),
            19_800,
        ),
    ],
)
async def test_a_quota_for_hours_is_told_from_a_limit_for_minutes(
    reply: Reply, resets_in_s: float | None, connect: Connect, clock: EagerClock
) -> None:
    async with ModelServer(lambda _: reply) as server:
        with pytest.raises(QuotaSpentError) as seen:
            await events_of(connect("local", server), request())
        assert server.count == 1
    assert seen.value.resets_in_s == resets_in_s
    assert clock.slept == []


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (fail(401, "bad key"), CredentialsError),
        (fail(403, "no access"), CredentialsError),
        (fail(404, "no such model"), ModelRefusedError),
        (fail(400, "bad request"), ModelRefusedError),
        (fail(400, "prompt is too long: 210000 tokens > 200000"), ContextOverflowError),
        (
            fail(400, "This model's maximum context length is 128000 tokens."),
            ContextOverflowError,
        ),
        (spoil(say("x"), "error_body", error_type="authentication_error"), CredentialsError),
        (spoil(say("x"), "error_event", error_type="invalid_request_error"), ModelRefusedError),
    ],
)
async def test_what_repeating_cannot_mend_fails_at_once(
    wire: str, reply: Reply, error: type[CodetetherError], connect: Connect
) -> None:
    async with ModelServer(lambda _: reply) as server:
        with pytest.raises(error) as seen:
            await events_of(connect(wire, server), request())
        assert server.count == 1
    fault = reply.fault
    assert fault is not None
    assert fault.message in str(seen.value)


async def test_a_server_that_is_never_understood_is_not_paid_for_ever(connect: Connect) -> None:
    async with ModelServer(lambda _: spoil(ANSWER, "truncate", after=3)) as server:
        with pytest.raises(MalformedResponseError):
            await events_of(connect("local", server), request())
        assert server.count == 4


async def test_nobody_listening_is_a_lost_connection(connect: Connect, clock: EagerClock) -> None:
    async with ModelServer(script_of()) as server:
        pass
    with pytest.raises(ConnectionLostError, match=r"cannot connect to 127\.0\.0\.1"):
        await events_of(connect("local", server, retry_for_s=0), request())


async def test_the_clocks_of_a_call_are_told_apart(clock: EagerClock) -> None:
    waits: list[tuple[Clocks, Reply, str]] = [
        (Clocks(first_byte_s=0.05), Reply(text="x", delay_s=9), "no first byte in 0.05 s"),
        (Clocks(idle_s=0.05), spoil(ANSWER, "stall", after=3), "silent for 0.05 s"),
        (
            Clocks(call_s=0.15),
            Reply(text="x" * 500, piece=1, piece_delay_s=0.02),
            "not finished in 0.15 s",
        ),
    ]
    for clocks, reply, sentence in waits:
        http = HttpClient(clocks=clocks)
        async with ModelServer(script_of(reply)) as server:
            with pytest.raises(ConnectionLostError, match=sentence):
                await _once(http, server)
        await http.aclose()


async def _once(http: HttpClient, server: ModelServer) -> None:
    headers = {"Content-Type": "application/json"}
    body = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}'
    async with http.post("local", server.url + "/chat/completions", headers, body) as response:
        while await response.read():
            pass


async def test_a_page_of_html_is_no_answer(connect: Connect) -> None:
    page = Fault(kind="status", status=502, message="<html>Bad Gateway</html>")
    async with ModelServer(script_of(Reply(fault=page), ANSWER)) as server:
        events = await events_of(connect("local", server), request())
    assert retries(events)[0].status == 502


async def _collect(provider: Provider, told: list[StreamEvent]) -> None:
    async for event in provider.stream(request()):
        told.append(event)


QUOTING: dict[str, Reply] = {
    "a 401": fail(401, f"invalid key {KEY}"),
    "a 400": fail(400, f"cannot read {KEY}"),
    "a 429": fail(429, f"too many calls of {KEY}", retry_after_s=90),
    "an error body": spoil(ANSWER, "error_body", message=f"no {KEY}"),
    "an error event": spoil(ANSWER, "error_event", message=f"no {KEY}", after=4),
}


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("quoting", QUOTING)
async def test_no_error_repeats_the_key_that_a_server_quotes(
    wire: str, quoting: str, connect: Connect
) -> None:
    async with ModelServer(lambda _: QUOTING[quoting]) as server:
        provider = connect(wire, server, retry_for_s=10)
        told: list[StreamEvent] = []
        with pytest.raises(CodetetherError) as raised:
            await _collect(provider, told)
    said = f"{told} {raised.value} {raised.value.args} {raised.value.__cause__}"
    assert KEY not in said
    assert "[masked]" in said
