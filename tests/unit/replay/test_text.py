"""A record as text: readable, and harmless for a terminal."""

from codetether_ray.core.events import DURABLE, ToolFinished
from codetether_ray.core.messages import ToolResult, assistant, user
from codetether_ray.replay import ralph_told, relay_told, text
from codetether_ray.replay.text import block, conversation, harmless
from tests.unit.replay.scene import HOSTILE, hostile_run, records


def test_every_kind_of_record_has_words_of_its_own() -> None:
    tables = (text._TELL, ralph_told._TELL, relay_told._TELL)
    assert {kind for table in tables for kind in table} == set(DURABLE.values())


def test_a_block_has_the_time_the_agent_and_what_happened() -> None:
    found = [block(record) for record in hostile_run("x")]
    assert found[0].startswith("20:15:00.000  run  the swarm begins in x with x")
    answer = next(b for b in found if "answer" in b)
    assert "step 0: answer (tool_calls; 100 in (40 cached), 10 out, $0.2500, 0.5 s)" in answer


def test_nothing_that_a_terminal_would_obey_is_printed() -> None:
    for hostile in HOSTILE:
        for record in hostile_run(hostile):
            printed = block(record)
            assert all(c.isprintable() or c in "\n\t" for c in printed)
    assert harmless("\x1b[31m\x7f\u202e") == "␛[31m\\u007f\\u202e"


def test_long_texts_are_cut_unless_all_is_asked_for() -> None:
    content = "\n".join(f"line {n}" for n in range(50))
    result = ToolResult(call_id="1", name="bash", content=content)
    (record,) = records([("main", 0.0, ToolFinished(step=0, result=result))])
    assert "line 10" in block(record)
    assert "line 11" not in block(record)
    assert "… 39 more lines" in block(record)
    assert "line 49" in block(record, lines=None)


def test_a_conversation_is_told_message_by_message() -> None:
    assert list(conversation((user("hello"), assistant("hi")))) == [
        "[user]\n    hello",
        "[assistant]\n    hi",
    ]
