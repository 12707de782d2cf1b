"""A journal that was edited by hand is named, though all its checksums are right."""

import asyncio
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from codetether_ray.agent import verify as agent_verify
from codetether_ray.audit.witness import journal_heads
from codetether_ray.bootstrap.verify import verify_run
from codetether_ray.replay.verdict import Verdict
from codetether_ray.swarm import verify as swarm_verify
from codetether_ray.testing.model_server import ModelServer
from tests.e2e.forgery import Edit, Lines, find, forge, renumbered
from tests.e2e.program import make_program
from tests.e2e.swarm_scene import TASK, SwarmModel, make_repository

pytestmark = pytest.mark.damages_runs


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The data of one real swarm: planner, four sub-agents, four merges, synthesis."""
    program = make_program(tmp_path_factory.mktemp("swarm"))
    make_repository(program.project)

    async def run() -> str:
        async with ModelServer(SwarmModel()) as server:
            url = server.url
            ended = await program.run(
                "swarm", TASK, "--json", "--local", "-m", "local/m", CODETETHER_LOCAL_BASE_URL=url
            )
        assert ended.code == 0, ended.err
        return str(ended.json["swarm_id"])

    return program.data, asyncio.run(run())


@pytest.fixture
def copy(original: tuple[Path, str], tmp_path: Path) -> tuple[Path, str]:
    data_dir, run_id = original
    shutil.copytree(data_dir, tmp_path / "copy", symlinks=True)
    return tmp_path / "copy", run_id


def forged(copy: tuple[Path, str], edit: Edit) -> Verdict:
    data_dir, run_id = copy
    forge(data_dir, run_id, edit)
    return verify_run(data_dir, run_id)


def test_a_run_that_is_only_written_anew_passes(copy: tuple[Path, str]) -> None:
    verdict = forged(copy, lambda records: None)
    assert (verdict.status, verdict.departures) == ("verified", ())
    assert verdict.decisions > 30


def text_of(data: dict[str, Any]) -> dict[str, Any]:
    """The text part of an answer or a message."""
    payload = data["payload"]
    message = payload["response"]["message"] if "response" in payload else payload["message"]
    part = next(p for p in message["parts"] if p["type"] == "text")
    assert isinstance(part, dict)
    return part


def an_answer(records: Lines) -> None:
    text_of(find(records, "model.responded", "sub/alpha", 1))["text"] = "alpha did nothing"


def an_answer_and_the_turns_result(records: Lines) -> None:
    an_answer(records)
    find(records, "turn.finished", "sub/alpha")["payload"]["result"]["text"] = "alpha did nothing"


def a_tools_output(records: Lines) -> None:
    find(records, "tool.finished", "sub/beta")["payload"]["result"]["content"] = "all is well"


def a_users_message(records: Lines) -> None:
    text_of(find(records, "turn.started", "sub/beta"))["text"] += " Then push it."


def a_system_prompt(records: Lines) -> None:
    find(records, "agent.started", "sub/beta")["payload"]["system"] += " Never tell."


def a_tools_description(records: Lines) -> None:
    tools = find(records, "agent.started", "sub/beta")["payload"]["tools"]
    next(t for t in tools if t["name"] == "bash")["description"] += " Runs as root."


def a_started_calls_arguments(records: Lines) -> None:
    call = find(records, "tool.started", "sub/beta")["payload"]["call"]
    call["arguments"] = '{"path": "other.txt", "content": ""}'


def an_asked_calls_arguments(records: Lines) -> None:
    message = find(records, "model.responded", "sub/beta")["payload"]["response"]["message"]
    message["parts"][-1]["arguments"] = '{"path": "other.txt", "content": ""}'


def a_calls_effect(records: Lines) -> None:
    find(records, "tool.started", "sub/beta")["payload"]["effect"] = "read"


def the_model(records: Lines) -> None:
    find(records, "model.requested", "sub/beta", 1)["payload"]["model"] = "local/cheaper"


def an_answers_usage(records: Lines) -> None:
    response = find(records, "model.responded", "sub/beta")["payload"]["response"]
    response["usage"]["prompt_tokens"] = 1


def a_turns_outcome(records: Lines) -> None:
    result = find(records, "turn.finished", "sub/beta")["payload"]["result"]
    result["outcome"], result["error"] = "stuck", "it went round in circles"


def a_removed_answer(records: Lines) -> None:
    records.remove(find(records, "model.responded", "sub/beta"))
    renumbered(records)


def a_removed_result(records: Lines) -> None:
    records.remove(find(records, "tool.finished", "sub/beta"))
    renumbered(records)


def a_removed_start(records: Lines) -> None:
    records.remove(find(records, "tool.started", "sub/beta"))
    renumbered(records)


def a_removed_request(records: Lines) -> None:
    records.remove(find(records, "model.requested", "sub/beta"))
    renumbered(records)


def a_removed_record(records: Lines) -> None:
    records.remove(find(records, "tool.started", "sub/beta"))


def a_second_result(records: Lines) -> None:
    done = find(records, "tool.finished", "sub/beta")
    records.insert(records.index(done) + 1, dict(done))
    renumbered(records)


def something_after_the_end(records: Lines) -> None:
    records.append(dict(find(records, "swarm.subtask")))
    renumbered(records)


def a_plans_dependency(records: Lines) -> None:
    subtasks = find(records, "swarm.planned")["payload"]["subtasks"]
    gamma = next(s for s in subtasks if s["id"] == "gamma")
    gamma["dependencies"], gamma["stage"] = ["alpha"], 1


def a_start_before_its_dependency(records: Lines) -> None:
    changes = [d for d in records if d["kind"] == "swarm.subtask"]
    early = next(d for d in changes if d["payload"]["id"] == "gamma")
    records.remove(early)
    records.insert(records.index(changes[0]), early)
    renumbered(records)


def the_order_of_merges(records: Lines) -> None:
    first, second = (find(records, "swarm.merged", number=n) for n in (0, 1))
    first["payload"], second["payload"] = second["payload"], first["payload"]


def a_merge_that_was_none(records: Lines) -> None:
    find(records, "swarm.merged")["payload"]["status"] = "empty"


def a_subtasks_report(records: Lines) -> None:
    done = [d for d in records if d["kind"] == "swarm.subtask" and "result" in d["payload"]]
    done[0]["payload"]["result"]["text"] = "nothing was done"


def the_swarms_outcome(records: Lines) -> None:
    find(records, "swarm.complete")["payload"]["outcome"] = "partial"


def a_snapshot(records: Lines) -> None:
    kept = [d for d in records if d["kind"] == "tool.finished" and "snapshot" in d["payload"]]
    kept[0]["payload"]["snapshot"] = "0123456789" * 4


CASES: list[tuple[Edit, str, str]] = [
    (an_answer, "decisions", "agent sub/alpha, .*a turn's result is not what its records come to"),
    (an_answer_and_the_turns_result, "decisions", "subtask alpha has another result"),
    (a_tools_output, "decisions", r"sub/beta, step 1, .*another prompt \(message 2, of the tool\)"),
    (
        a_users_message,
        "decisions",
        r"sub/beta, step 0, .*another prompt \(message 0, of the user\)",
    ),
    (a_system_prompt, "decisions", r"sub/beta, .*prefix .*\(the system prompt\)"),
    (a_tools_description, "decisions", r"sub/beta, .*prefix .*\(tool bash\)"),
    (a_started_calls_arguments, "decisions", "sub/beta, step 0, .*another call runs"),
    (an_asked_calls_arguments, "decisions", "sub/beta, step 0, .*another call runs"),
    (a_calls_effect, "decisions", "another effect: recorded read; expected write"),
    (the_model, "decisions", "another model: recorded local/cheaper; expected local/m"),
    (an_answers_usage, "protocol", "usage is not the sum of its model calls"),
    (a_turns_outcome, "decisions", "a turn ends otherwise: recorded stuck"),
    (a_removed_answer, "protocol", "a tool starts that nobody called"),
    (a_removed_result, "protocol", "a model is asked while calls have no result"),
    (a_removed_start, "protocol", "a call has a result and was never started"),
    (a_removed_request, "protocol", "an answer comes to no open model call"),
    (a_second_result, "protocol", "a call gets a second result"),
    (something_after_the_end, "protocol", "something happens after the end of the run"),
    (a_plans_dependency, "decisions", "the plan is not the planner's"),
    (a_start_before_its_dependency, "decisions", "gamma starts before what it depends on"),
    (the_order_of_merges, "decisions", "is merged before"),
    (a_merge_that_was_none, "decisions", "is merged otherwise"),
    (a_subtasks_report, "decisions", "has another result than its agent"),
    (the_swarms_outcome, "decisions", "the swarm ends otherwise: recorded partial; expected succ"),
    (a_snapshot, "protocol", "snapshot 0123456789.* is not in the run's hub"),
]


@pytest.mark.parametrize(("edit", "level", "words"), CASES, ids=[c[0].__name__ for c in CASES])
def test_each_kind_of_edit_is_named(
    copy: tuple[Path, str], edit: Edit, level: Any, words: str
) -> None:
    verdict = forged(copy, edit)
    assert not verdict.is_ok
    assert verdict.of_level("integrity") is None
    found = verdict.of_level(level)
    assert found is not None, verdict.departures
    assert re.search(words, found.sentence()), found.sentence()
    assert found.seq >= 0
    assert verdict.status in ("tampered", "damaged")


def test_a_gap_in_an_agents_own_numbers_is_no_whole_run(copy: tuple[Path, str]) -> None:
    verdict = forged(copy, a_removed_record)
    found = verdict.of_level("integrity")
    assert found is not None
    assert "agent" in found.what


@pytest.mark.parametrize("edit", [a_turns_outcome, a_tools_output], ids=lambda e: e.__name__)
def test_what_other_rules_decided_is_told_apart_from_tampering(
    copy: tuple[Path, str], edit: Edit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_verify, "DECIDER", agent_verify.DECIDER + 1)
    verdict = forged(copy, edit)
    assert verdict.status == "newer code"
    assert not verdict.is_ok


def an_early_start(records: Lines) -> None:
    """The last subtask is queued before what it depends on is done."""
    queued = [d for d in records if d["kind"] == "swarm.subtask"]
    last = next(d for d in queued if d["payload"]["name"] == "gamma")
    records.remove(last)
    records.insert(records.index(queued[0]), last)
    renumbered(records)


def test_what_other_rules_of_the_swarm_decided_is_told_apart_from_tampering(
    copy: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert forged(copy, an_early_start).status == "tampered"
    monkeypatch.setattr(swarm_verify, "RULES", swarm_verify.RULES + 1)
    verdict = verify_run(*copy)
    assert verdict.status == "newer code"
    found = verdict.of_level("decisions")
    assert found is not None
    assert "gamma" in found.what


def everything_anew(records: Lines) -> None:
    """A tail cut off, so that what is left is without a contradiction."""
    del records[-3:]


def test_a_rewritten_run_contradicts_what_the_audit_log_saw(copy: tuple[Path, str]) -> None:
    data_dir, run_id = copy
    assert journal_heads(data_dir, run_id), "the audit log is no witness"
    assert verify_run(data_dir, run_id, witness=journal_heads).is_ok
    forge(data_dir, run_id, everything_anew)
    assert verify_run(data_dir, run_id).status == "unfinished"
    verdict = verify_run(data_dir, run_id, witness=journal_heads)
    found = verdict.of_level("integrity")
    assert (verdict.status, found is not None) == ("tampered", True)
    assert "the audit log saw" in str(found and found.what)


def flip(data: bytes) -> bytes:
    at = data.index(b"by alpha")
    return data[:at] + b"BY" + data[at + 2 :]


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def without_a_line(data: bytes) -> bytes:
    rows = data.splitlines(keepends=True)
    return b"".join(rows[:5] + rows[6:])


@pytest.mark.parametrize("damage", [flip, cut, without_a_line])
def test_damaged_bytes_are_told_apart_from_an_edit(
    copy: tuple[Path, str], damage: Callable[[bytes], bytes]
) -> None:
    data_dir, run_id = copy
    (segment,) = (data_dir / "events" / run_id).glob("*.jsonl")
    segment.chmod(0o600)
    segment.write_bytes(damage(segment.read_bytes()))
    verdict = verify_run(data_dir, run_id)
    assert verdict.status == "damaged"
    found = verdict.of_level("integrity")
    assert found is not None
    assert found.offset >= 0
