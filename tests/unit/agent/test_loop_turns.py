import asyncio
import json
from dataclasses import replace

import pytest

from codetether_ray.agent.digests import prefix_digest
from codetether_ray.core.errors import (
    ConnectionLostError,
    ContextOverflowError,
    CredentialsError,
    JournalError,
    ModelRefusedError,
    QuotaSpentError,
    ToolError,
)
from codetether_ray.core.events import (
    Compacted,
    ModelFailed,
    ModelRequested,
    ModelResponded,
    Nudged,
    ReasoningStreamed,
    Retrying,
    TextStreamed,
    ToolFinished,
    ToolOutput,
    ToolStarted,
    TurnFinished,
    Warned,
)
from codetether_ray.core.messages import Reasoning, assistant, user
from codetether_ray.core.models import ModelInfo, ModelResponse, RetryScheduled
from codetether_ray.core.usage import Budget, Price, Usage
from codetether_ray.local.ledger import LocalLedger
from codetether_ray.ports.tool import Effect, Todo
from codetether_ray.testing.clock import FakeClock
from codetether_ray.testing.fakes import MemoryPublisher, make_spec
from tests.unit.agent.scenes import Scene, call, says


async def test_a_turn_runs_tools_until_the_model_answers() -> None:
    scene = Scene([says(call("1", "read", path="a")), "all done"])
    result = await scene.turn(user("do it"))
    assert result.is_success
    assert (result.text, result.steps, result.tool_calls) == ("all done", 2, 1)
    assert result.usage == Usage(prompt_tokens=200, completion_tokens=20)
    sent = scene.provider.requests[1].messages
    assert [m.role for m in sent] == ["user", "assistant", "tool"]
    assert sent[2].tool_results[0].content == '1: {"path": "a"}'


async def test_every_event_is_on_disk_before_what_follows_from_it() -> None:
    async def effect(arguments, ctx):
        started = {e.call.id for e in scene.of(ToolStarted)}
        answered = {c.id for e in scene.of(ModelResponded) for c in e.response.message.tool_calls}
        assert ctx.call_id in started
        assert ctx.call_id in answered
        return "ok"

    def script(request):
        kept = {e.result.call_id for e in scene.of(ToolFinished)}
        sent = {r.call_id for m in request.messages for r in m.tool_results}
        assert sent <= kept
        assert scene.of(ModelRequested)[-1].step == request.step
        return [
            says(call("1", "shell"), call("2", "read"), call("3", "read"), call("4", "write")),
            says(call("5", "write")),
            "done",
        ][request.step]

    tools = {n: (e, effect) for n, e in (("shell", Effect.SHELL), ("write", Effect.WRITE))}
    scene = Scene(script, tools=tools)
    result = await scene.turn(user("go"))
    assert result.is_success, result
    assert scene.events[-1] == TurnFinished(turn=0, result=result)


async def test_neighbours_on_disk_share_one_flush() -> None:
    scene = Scene([says(call("1", "shell")), "done"])
    await scene.turn(user("go"))
    assert [[e.tag for e in batch] for batch in scene.publisher.batches] == [
        ["agent.started", "turn.started", "model.requested"],
        ["model.responded", "tool.started"],
        ["tool.finished", "model.requested"],
        ["model.responded", "turn.finished"],
    ]


async def test_reads_of_one_answer_run_at_once_and_writes_one_after_another() -> None:
    alive, most = [], []

    async def work(arguments, ctx):
        alive.append(ctx.call_id)
        most.append(tuple(alive))
        for _ in range(5):
            await asyncio.sleep(0)
        alive.remove(ctx.call_id)
        return ctx.call_id

    calls = [call(str(n), name) for n, name in enumerate(["read", "read", "write", "write"])]
    tools = {"read": (Effect.READ, work), "write": (Effect.WRITE, work)}
    scene = Scene([says(*calls), "done"], tools=tools)
    await scene.turn(user("go"))
    assert ("0", "1") in most
    assert all(len(those) == 1 for those in most if not set(those) <= {"0", "1"})
    sent = scene.provider.requests[1].messages[-1].tool_results
    assert [r.content for r in sent] == ["0", "1", "2", "3"]


async def test_results_of_reads_are_recorded_in_call_order_whatever_finishes_first() -> None:
    async def work(arguments, ctx):
        for _ in range(9 - int(ctx.call_id)):
            await asyncio.sleep(0)
        return ctx.call_id

    calls = [call(str(n), "read") for n in range(5)]
    scene = Scene([says(*calls), "done"], tools={"read": (Effect.READ, work)})
    await scene.turn(user("go"))
    assert [e.result.call_id for e in scene.of(ToolFinished)] == list("01234")


async def test_a_secret_in_a_tools_output_reaches_neither_model_nor_journal_nor_bus() -> None:
    async def leak(arguments, ctx):
        for piece in ("the key is SEC", "RET1 and\n", "more SECRET1"):
            ctx.emit(ToolOutput(call_id=ctx.call_id, text=piece))
        if arguments.get("fail"):
            raise ToolError("cannot open SECRET1")
        return "found SECRET1 here"

    scene = Scene(
        [says(call("1", "leak"), call("2", "leak", fail=True)), "done"],
        tools={"leak": (Effect.READ, leak)},
        mask=lambda text: text.replace("SECRET1", "[masked]"),
    )
    await scene.turn(user("go"))
    everything = f"{scene.events!r} {scene.publisher.emitted!r} {scene.provider.requests!r}"
    assert "SECRET1" not in everything
    assert "SEC\\n" not in everything
    streamed = "".join(
        e.text for e in scene.publisher.emitted if isinstance(e, ToolOutput) and e.call_id == "1"
    )
    assert streamed == "the key is [masked] and\nmore [masked]"
    assert [e.result.is_error for e in scene.of(ToolFinished)] == [False, True]


async def test_a_fault_inside_a_tool_is_an_error_result_and_the_turn_goes_on() -> None:
    async def broken(arguments, ctx):
        raise KeyError("inner")

    scene = Scene([says(call("1", "broken")), "done"], tools={"broken": (Effect.READ, broken)})
    assert (await scene.turn(user("go"))).is_success
    (event,) = scene.of(ToolFinished)
    assert event.result.is_error
    assert "KeyError" in event.result.content
    assert any(isinstance(e, Warned) for e in scene.publisher.emitted)


async def test_odd_output_becomes_text_that_every_wire_format_can_hold() -> None:
    async def odd(arguments, ctx):
        return {"empty": "", "surrogate": "a\udc80b", "long": "x" * 300_000}[arguments["kind"]]

    kinds = ["empty", "surrogate", "long"]
    scene = Scene(
        [says(*(call(k, "odd", kind=k) for k in kinds)), "done"], tools={"odd": (Effect.READ, odd)}
    )
    await scene.turn(user("hi \ud800"))
    empty, surrogate, long = (e.result.content for e in scene.of(ToolFinished))
    assert empty
    assert surrogate == "a?b"
    assert 100_000 < len(long) < 101_000
    json.dumps(repr(scene.provider.requests[-1].messages)).encode()
    scene.provider.requests[-1].messages[0].text.encode()


async def test_an_agent_that_only_calls_tools_ends_with_max_steps() -> None:
    scene = Scene(
        lambda r: says(call(f"c{r.step}", "read", n=r.step), text=f"step {r.step}"),
        spec=make_spec(max_steps=3),
    )
    result = await scene.turn(user("go"))
    assert (result.outcome, result.steps, result.text) == ("max_steps", 3, "step 2")
    assert not result.is_success


async def test_an_agent_may_not_call_more_tools_than_allowed() -> None:
    scene = Scene(
        lambda r: says(*(call(f"{r.step}.{n}", "read", n=n, s=r.step) for n in range(3))),
        spec=make_spec(max_tool_calls=4),
    )
    result = await scene.turn(user("go"))
    assert (result.outcome, result.tool_calls, len(scene.toolbox.calls)) == ("max_steps", 4, 4)
    assert "4 tool calls" in result.error


async def test_an_agent_that_goes_in_circles_is_stuck() -> None:
    scene = Scene(lambda r: says(call(f"c{r.step}", "bash")), tools={"bash": (Effect.SHELL, _same)})
    result = await scene.turn(user("go"))
    assert (result.outcome, result.steps) == ("stuck", 3)
    scene = Scene(
        lambda r: says(call(f"c{r.step}", "bash", n=r.step % 2)),
        tools={"bash": (Effect.SHELL, _same)},
    )
    result = await scene.turn(user("go"))
    assert (result.outcome, result.steps) == ("stuck", 6)


async def _same(arguments, ctx):
    return "same"


async def test_a_cut_answer_is_asked_to_go_on_and_the_pieces_are_one_text() -> None:
    cut = ModelResponse(message=assistant("one, "), finish_reason="length")
    scene = Scene([cut, "two"])
    result = await scene.turn(user("count"))
    assert (result.outcome, result.text, result.steps) == ("completed", "one, two", 2)
    roles = [m.role for m in scene.provider.requests[1].messages]
    assert roles == ["user", "assistant", "user"]
    assert [e.reason for e in scene.of(Nudged)] == ["length"]


async def test_an_answer_that_is_cut_for_ever_is_a_failure() -> None:
    cut = ModelResponse(message=assistant("x"), finish_reason="length")
    scene = Scene(lambda _: cut)
    result = await scene.turn(user("count"))
    assert (result.outcome, result.error_kind) == ("failed", "UnfinishedAnswerError")
    assert len(scene.provider.requests) == 4


async def test_a_call_that_is_cut_in_the_middle_is_answered_with_an_error() -> None:
    half = type(call("1", "write"))(id="1", name="write", arguments='{"path": "a", "con')
    cut = ModelResponse(message=says(half), finish_reason="length")
    scene = Scene([cut, "done"])
    assert (await scene.turn(user("go"))).is_success
    assert not scene.toolbox.calls
    (event,) = scene.of(ToolFinished)
    assert event.result.is_error
    assert "cut off at the output limit" in event.result.content


async def test_a_filtered_answer_is_never_a_success() -> None:
    filtered = ModelResponse(message=assistant("I"), finish_reason="content_filter")
    scene = Scene(lambda _: filtered)
    result = await scene.turn(user("go"))
    assert result.outcome == "failed"
    assert "content filter" in result.error
    assert len(scene.provider.requests) == 2


async def test_an_answer_must_satisfy_the_schema_and_gets_one_repair() -> None:
    schema = json.dumps(
        {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
    )
    spec = make_spec(output_schema=schema)
    scene = Scene(['{"n": "x"}', 'Here:\n```json\n{"n": 3}\n```'], spec=spec)
    result = await scene.turn(user("count"))
    assert (result.outcome, result.text) == ("completed", '{"n": 3}')
    assert "integer" in scene.of(Nudged)[0].text
    assert scene.provider.requests[0].output_schema == json.loads(schema)
    scene = Scene(lambda _: "no json", spec=spec)
    result = await scene.turn(user("count"))
    assert (result.outcome, result.error_kind) == ("failed", "InvalidAnswerError")
    assert len(scene.provider.requests) == 2


@pytest.mark.parametrize(
    "error",
    [
        CredentialsError("anthropic", "no key"),
        ConnectionLostError("x", "silent"),
        ModelRefusedError("x", "no such model", 404),
    ],
    ids=lambda e: type(e).__name__,
)
async def test_an_error_of_the_model_is_carried_by_class_and_words(error) -> None:
    scene = Scene([error])
    result = await scene.turn(user("go"))
    assert (result.outcome, result.error_kind) == ("failed", type(error).__name__)
    assert result.error == str(error)
    assert scene.of(ModelFailed)[0].error_kind == type(error).__name__
    assert not scene.ledger.open


async def test_a_fault_in_a_provider_ends_the_turn_and_names_itself() -> None:
    scene = Scene([KeyError("oops")])
    result = await scene.turn(user("go"))
    assert (result.outcome, result.error_kind) == ("failed", "KeyError")
    assert scene.tags[-1] == "turn.finished"
    assert not scene.ledger.open


async def test_a_spent_quota_waits_only_if_that_was_allowed_and_is_known_to_end() -> None:
    spent = QuotaSpentError("x", "daily", 600.0)
    waiting = Scene([spent], spec=make_spec(wait_quota_s=600.0))
    result = await waiting.turn(user("go"))
    assert result.outcome == "waiting"
    assert result.resumes_at == waiting.clock.now() + 600
    assert (await Scene([spent]).turn(user("go"))).outcome == "failed"
    for_ever = Scene([QuotaSpentError("x", "daily", None)], spec=make_spec(wait_quota_s=9e9))
    assert (await for_ever.turn(user("go"))).outcome == "failed"


async def test_a_turn_that_waited_goes_on_in_the_same_process() -> None:
    scene = Scene(
        [says(call("1", "read")), QuotaSpentError("x", "daily", 1.0), "done"],
        spec=make_spec(wait_quota_s=60.0),
    )
    assert (await scene.turn(user("go"))).outcome == "waiting"
    result = await scene.turn(user("go"))
    assert (result.outcome, result.steps) == ("completed", 2)
    assert sum(m.text == "go" for m in scene.provider.requests[-1].messages) == 1


async def test_retries_are_told_and_what_they_void_is_not_counted() -> None:
    scene = Scene([RetryScheduled(attempt=1, delay_s=2.0, reason="busy", status=429), "done"])
    assert (await scene.turn(user("go"))).is_success
    retry = Retrying(step=0, attempt=1, next_in_s=2.0, reason="busy", status=429)
    assert scene.publisher.emitted == [retry, TextStreamed(step=0, text="done")]


async def test_thinking_is_streamed_and_kept() -> None:
    message = replace(assistant("yes"), parts=(Reasoning(text="hm"), *assistant("yes").parts))
    scene = Scene([message])
    await scene.turn(user("go"))
    assert scene.publisher.emitted[0] == ReasoningStreamed(step=0, text="hm")
    assert scene.of(ModelResponded)[0].response.message == message


async def test_two_turns_are_one_conversation() -> None:
    scene = Scene(["first", "second"])
    await scene.turn(user("a"))
    result = await scene.turn(user("a"))
    assert (result.text, result.steps, result.usage.prompt_tokens) == ("second", 1, 100)
    assert [m.text for m in scene.provider.requests[1].messages] == ["a", "first", "a"]
    assert [e.turn for e in scene.of(TurnFinished)] == [0, 1]
    assert [e.step for e in scene.of(ModelResponded)] == [0, 1]


async def test_what_varies_comes_last_in_the_user_message_and_only_when_it_changed() -> None:
    scene = Scene(["one", "two"], spec=make_spec(situation="It is Monday."))
    await scene.turn(user("go"))
    await scene.turn(user("on"))
    first, second = (r.messages[-1] for r in scene.provider.requests)
    assert first.parts[0].text == "go"
    assert "It is Monday." in first.parts[-1].text
    assert "Monday" not in scene.provider.requests[0].system
    assert second == user("on")


async def test_ids_that_a_model_uses_twice_are_told_apart() -> None:
    scene = Scene([says(call("0", "read"), call("0", "read", x=1)), says(call("0", "read")), "ok"])
    assert (await scene.turn(user("go"))).is_success
    ids = [e.result.call_id for e in scene.of(ToolFinished)]
    assert len(set(ids)) == 3


async def test_the_prefix_is_the_same_bytes_in_every_request() -> None:
    scene = Scene([says(call("1", "read")), says(call("2", "write")), "done"])
    await scene.turn(user("go"))
    digests = {prefix_digest(r.system, r.tools) for r in scene.provider.requests}
    assert digests == {scene.events[0].prefix_digest}
    assert scene.provider.requests[0].tools == scene.toolbox.schemas()


async def test_requests_tell_the_model_who_asks() -> None:
    scene = Scene(["done"], spec=make_spec("sub/a", model="openrouter/vendor/m", temperature=0.5))
    await scene.turn(user("go"))
    (request,) = scene.provider.requests
    assert (request.model, request.agent, request.step) == ("vendor/m", "sub/a", 0)
    assert request.temperature == 0.5
    assert scene.of(ModelRequested)[0].model == "openrouter/vendor/m"


async def test_two_different_lists_of_messages_have_different_digests() -> None:
    one, other = (Scene([says(call("1", "read")), "done"]) for _ in range(2))
    await one.turn(user("go"))
    await other.turn(user("go!"))
    first = [e.digest for e in one.of(ModelRequested)]
    second = [e.digest for e in other.of(ModelRequested)]
    assert len({*first, *second}) == 4


# -- money and time -------------------------------------------------------------------------------

_PRICED = ModelInfo(
    id="model",
    provider="scripted",
    context_window=100_000,
    max_output_tokens=4_000,
    price=Price(input=1.0, output=10.0),
)


async def test_a_call_is_reserved_at_its_worst_and_settled_at_what_it_was() -> None:
    reserved = []

    def script(request):
        reserved.append(next(iter(ledger.open_reservations)))
        return "done"

    class Watched(LocalLedger):
        @property
        def open_reservations(self):
            return list(self._open.values())

    ledger = Watched(Budget(tokens=100_000, usd=1.0), FakeClock())
    scene = Scene(script, ledger=ledger, info=_PRICED)
    result = await scene.turn(user("go"))
    (worst,) = reserved
    request = scene.provider.requests[0]
    assert worst.tokens > request.max_tokens == 4_000
    assert worst.usd > 0.04
    spent = await ledger.spent()
    assert spent.tokens == 110
    assert spent.usd == pytest.approx(0.0002)
    assert result.cost_usd == pytest.approx(0.0002)
    assert not ledger.open_reservations


async def test_an_answer_without_usage_is_counted_by_estimate() -> None:
    ledger = LocalLedger(Budget(tokens=100_000), FakeClock())
    scene = Scene(["x" * 400], ledger=ledger, usage=Usage())
    result = await scene.turn(user("go"))
    assert result.usage.completion_tokens >= 100
    assert (await ledger.spent()).tokens == result.usage.total_tokens > 200


async def test_a_budget_that_runs_low_shortens_the_answer_and_then_ends_the_turn() -> None:
    usage = Usage(prompt_tokens=1_000, completion_tokens=500)
    ledger = LocalLedger(Budget(tokens=7_000), FakeClock())
    scene = Scene(
        lambda r: says(call(str(r.step), "read", n=r.step)),
        ledger=ledger,
        usage=usage,
        spec=make_spec(max_output_tokens=3_000),
    )
    result = await scene.turn(user("go"))
    assert (result.outcome, result.error_kind) == ("budget", "BudgetSpentError")
    sizes = [r.max_tokens for r in scene.provider.requests]
    assert sizes[0] == 3_000
    assert sizes[-1] < 3_000
    assert min(sizes) >= 256
    assert (await ledger.spent()).tokens <= 7_000
    assert scene.tags[-1] == "turn.finished"


async def test_agents_of_one_run_share_its_budget() -> None:
    ledger = LocalLedger(Budget(tokens=20_000), FakeClock())
    usage = Usage(prompt_tokens=900, completion_tokens=100)
    scenes = [
        Scene(
            lambda r: says(call(str(r.step), "read", n=r.step)),
            ledger=ledger,
            usage=usage,
            spec=make_spec(f"sub/{n}", max_output_tokens=2_000),
        )
        for n in range(5)
    ]
    results = await asyncio.gather(*(s.turn(user("go")) for s in scenes))
    assert {r.outcome for r in results} == {"budget"}
    spent = (await ledger.spent()).tokens
    assert spent == sum(r.usage.total_tokens for r in results)
    assert 15_000 < spent <= 20_000


async def test_dollars_without_a_price_are_refused_before_a_call() -> None:
    scene = Scene(["done"], ledger=LocalLedger(Budget(usd=1.0), FakeClock()))
    result = await scene.turn(user("go"))
    assert (result.outcome, result.error_kind) == ("failed", "UnknownPriceError")
    assert not scene.provider.requests


async def test_a_turn_ends_at_its_time_and_the_running_tool_with_it() -> None:
    clock, ended = FakeClock(), []

    async def slow(arguments, ctx):
        try:
            await clock.sleep(1_000)
        finally:
            ended.append(ctx.call_id)
        return "never"

    scene = Scene(
        [says(call("1", "slow"))],
        tools={"slow": (Effect.SHELL, slow)},
        clock=clock,
        spec=make_spec(timeout_s=60.0),
    )
    turn = asyncio.create_task(scene.turn(user("go")))
    await clock.advance(59.0)
    assert not turn.done()
    await clock.advance(1.0)
    result = await turn
    assert (result.outcome, result.elapsed_s) == ("timeout", 60.0)
    assert ended == ["1"]
    assert scene.of(ToolFinished)[0].interrupted


async def test_time_spent_waiting_for_children_is_not_counted() -> None:
    clock = FakeClock()

    class Children:
        async def run_child(self, parent, call_id, description, prompt):
            await clock.sleep(500)

    async def task(arguments, ctx):
        await ctx.children.run_child(ctx.spec, ctx.call_id, "", "")
        return "child done"

    async def slow(arguments, ctx):
        await clock.sleep(50)
        return "slept"

    scene = Scene(
        [says(call("1", "task")), says(call("2", "slow")), says(call("3", "slow")), "done"],
        tools={"task": (Effect.SPAWN, task), "slow": (Effect.READ, slow)},
        clock=clock,
        spec=make_spec(timeout_s=60.0),
        children=Children(),
    )
    turn = asyncio.create_task(scene.turn(user("go")))
    await clock.advance(500.0)
    assert scene.of(ToolFinished)[0].result.content == "child done"
    await clock.advance(59.0)
    assert not turn.done()
    await clock.advance(1.0)
    assert (await turn).outcome == "timeout"


# -- compaction -----------------------------------------------------------------------------------

_SMALL = ModelInfo(id="m", provider="p", context_window=8_000, max_output_tokens=1_000)


async def test_a_long_conversation_loses_old_results_first_and_goes_on() -> None:
    async def big(arguments, ctx):
        return "y" * 4_000

    def script(request):
        if not request.tools:
            return "summary of it"
        return (
            says(call(str(request.step), "read", n=request.step)) if request.step < 14 else "done"
        )

    scene = Scene(
        script, info=_SMALL, tools={"read": (Effect.READ, big)}, usage=Usage(prompt_tokens=0)
    )
    result = await scene.turn(user("the task"))
    assert result.is_success, result
    stages = [e.stage for e in scene.of(Compacted)]
    assert stages[0] == "results"
    for request in scene.provider.requests:
        assert request.messages[0].text.startswith("the task") or not request.tools
        assert sum(len(r.content) for m in request.messages for r in m.tool_results) < 4 * 7_000


async def test_a_prompt_that_the_provider_finds_too_long_is_summed_up_once_and_sent_again() -> None:
    asked = []

    def script(request):
        asked.append(request)
        if not request.tools:
            return "what happened"
        if len(asked) == 4:
            return ContextOverflowError("p", "too long")
        return says(call(str(request.step), "read", n=request.step)) if len(asked) < 6 else "done"

    scene = Scene(script)
    result = await scene.turn(user("the task"))
    assert (result.outcome, result.steps) == ("completed", 4)
    assert [e.stage for e in scene.of(Compacted)] == ["summary"]
    after = asked[5].messages
    assert "the task" in after[0].text
    assert "what happened" in after[0].text
    assert len(after) < len(asked[3].messages)
    assert result.usage.prompt_tokens == 500


async def test_one_summary_is_made_before_the_provider_is_asked_again() -> None:
    asked = []

    async def big(arguments, ctx):
        return "y" * 3_000

    def script(request):
        asked.append(request)
        if len(asked) == 20:
            return ContextOverflowError("p", "too long")
        if len(asked) == 22:
            return "done"
        return says(call(str(request.step), "read", n=request.step)) if request.tools else "short"

    scene = Scene(script, tools={"read": (Effect.READ, big)}, usage=Usage(prompt_tokens=0))
    assert (await scene.turn(user("the task"))).is_success
    assert [e.stage for e in scene.of(Compacted)] == ["summary"]
    assert len(scene.provider.requests[-1].messages) > 3


async def test_a_prompt_that_cannot_be_shortened_fails() -> None:
    scene = Scene(lambda _: ContextOverflowError("p", "too long"))
    result = await scene.turn(user("the task"))
    assert (result.outcome, result.error_kind) == ("failed", "ContextOverflowError")
    assert len(scene.provider.requests) == 1


async def test_where_no_summary_can_be_made_the_calls_are_listed() -> None:
    asked = []

    def script(request):
        asked.append(request)
        if not request.tools or len(asked) == 4:
            return ContextOverflowError("p", "too long")
        return says(call(str(request.step), "read", n=request.step)) if len(asked) < 6 else "done"

    scene = Scene(script)
    assert (await scene.turn(user("the task"))).is_success
    assert '- read {"n": 0}' in scene.of(Compacted)[0].summary


# -- the journal ----------------------------------------------------------------------------------


async def test_a_journal_that_cannot_be_written_ends_the_turn_loudly_and_for_good() -> None:
    class Broken(MemoryPublisher):
        async def record(self, *events):
            if any(e.tag == "tool.started" for e in events):
                raise JournalError("disk full")
            await super().record(*events)

    scene = Scene([says(call("1", "shell")), "done"])
    broken = Broken()
    scene.parts = replace(scene.parts, links=replace(scene.parts.links, publisher=broken))
    from codetether_ray.agent.loop import AgentLoop

    loop = AgentLoop(scene.spec, scene.parts)
    with pytest.raises(JournalError):
        await loop.turn(user("go"))
    assert not scene.toolbox.calls
    with pytest.raises(JournalError):
        await loop.turn(user("go"))


async def test_the_notebook_is_what_the_tools_see_and_change() -> None:
    async def write(arguments, ctx):
        ctx.notebook.todos = tuple(
            Todo(id=t["id"], content=t["content"]) for t in arguments["todos"]
        )
        return "ok"

    async def read(arguments, ctx):
        return ", ".join(t.content for t in ctx.notebook.todos)

    tools = {"todo_write": (Effect.STATE, write), "todo_read": (Effect.READ, read)}
    todo = call("1", "todo_write", todos=[{"id": "1", "content": "first"}])
    scene = Scene([says(todo), says(call("2", "todo_read")), "done"], tools=tools)
    await scene.turn(user("go"))
    again = Scene([says(call("3", "todo_read")), "done"], tools=tools, recorded=scene.events)
    await again.turn(user("more"))
    seen = [e.result.content for e in again.of(ToolFinished) if e.result.name == "todo_read"]
    assert seen == ["first", "first"]


async def test_a_batch_runs_other_tools_of_the_agent() -> None:
    async def batch(arguments, ctx):
        return await ctx.run_tool("read", '{"path": "x"}')

    scene = Scene([says(call("1", "batch")), "done"], tools={"batch": (Effect.SHELL, batch)})
    await scene.turn(user("go"))
    assert scene.toolbox.calls == [("batch", {}), ("read", {"path": "x"})]
