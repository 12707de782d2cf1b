"""The audit log of real commands: what they did, in what words, and what happens without it."""

import asyncio
import json
import shlex
import shutil
import signal
from pathlib import Path
from typing import Any

from codetether_ray.audit.verify import verify
from codetether_ray.audit.witness import journal_heads
from codetether_ray.journal.mark import read_mark
from codetether_ray.journal.segments import run_directory
from codetether_ray.testing.model_server import ModelServer, call, say, script_of
from tests.e2e.program import Ended, Program

MODEL = ("--model", "local/test-model")


async def ask(program: Program, server: ModelServer, *arguments: str) -> Ended:
    return await program.run("run", *arguments, *MODEL, CODETETHER_LOCAL_BASE_URL=server.url)


async def entries(program: Program, *filters: str) -> list[dict[str, Any]]:
    ended = await program.run("audit", "query", "--json", *filters)
    assert ended.code == 0, ended.err
    return ended.lines


async def test_a_run_leaves_an_entry_for_each_thing_it_did(program: Program) -> None:
    secret = "the quick brown fox"
    script = script_of(
        call("write_file", path="a.txt", content=secret), call("bash", command="true"), say("Done.")
    )
    async with ModelServer(script) as server:
        ended = await ask(program, server, f"write {secret}", "--format", "json")
    session = ended.json["session_id"]
    found = await entries(program, "--session", session)
    assert [entry["action"] for entry in found] == [
        "session.run",
        "model.call",
        "tool:write_file",
        "model.call",
        "tool:bash",
        "model.call",
    ]
    assert {entry["outcome"] for entry in found} == {"success"}
    assert {entry["run_id"] for entry in found} == {session}
    assert len(server.requests) == sum(entry["category"] == "api" for entry in found)
    text = "".join(p.read_text() for p in (program.data / "audit").rglob("*.json*"))
    assert secret not in text, "digests and counts, never content"


async def test_a_runs_log_is_closed_signed_and_sound(program: Program) -> None:
    async with ModelServer(script_of(say("hi"))) as server:
        await ask(program, server, "hello")
    ended = await program.run("audit", "verify", "--json")
    assert ended.code == 0
    report = ended.json
    assert (report["success"], report["chains"], report["open"]) == (True, 1, 0)
    assert not any("not closed" in sentence for sentence in report["unseen"])
    plain = await program.run("audit", "verify")
    assert "nothing altered, nothing missing" in plain.out
    assert "cannot see:" in plain.err


async def test_a_changed_line_makes_verify_fail_and_is_named(program: Program) -> None:
    async with ModelServer(script_of(say("hi"))) as server:
        await ask(program, server, "hello")
    (path,) = (p for p in (program.data / "audit").rglob("*Z-*.jsonl"))
    path.write_bytes(path.read_bytes().replace(b'"model.call"', b'"model.cull"', 1))
    ended = await program.run("audit", "verify")
    assert ended.code == 1
    assert "line 2 was altered" in ended.out


async def test_the_end_of_a_run_witnesses_its_journal(program: Program) -> None:
    async with ModelServer(script_of(say("one"), say("two"))) as server:
        first = await ask(program, server, "hello", "--format", "json")
        session = first.json["session_id"]
        await ask(program, server, "more", "--session", session)
    heads = journal_heads(program.data, session)
    assert len(heads) == 2
    assert 0 < heads[0].off < heads[1].off
    mark = read_mark(run_directory(program.data, session))
    assert mark is not None
    assert (heads[1].off, heads[1].seq, heads[1].prev) == (mark.off, mark.seq, mark.prev)


async def test_a_killed_run_leaves_an_unknown_and_a_sound_log(program: Program) -> None:
    script = script_of(call("bash", command="touch began; sleep 60"), say("never"))
    async with ModelServer(script) as server:
        process = await program.start("run", "go", *MODEL, CODETETHER_LOCAL_BASE_URL=server.url)
        async with asyncio.timeout(180):
            while not (program.project / "began").exists():
                await asyncio.sleep(0.02)
        await program.interrupted(process, signal.SIGKILL)
    unknown = await entries(program, "--outcome", "unknown")
    assert [entry["action"] for entry in unknown] == ["session.run", "tool:bash"]
    report = verify(program.data)
    assert report.is_sound
    assert report.unclosed == 1


async def test_keys_and_settings_that_change_are_noted_without_their_value(
    program: Program,
) -> None:
    key = "sk-or-v1-" + "0a" * 20
    await program.run("auth", "set", "openrouter", stdin=key)
    await program.run("config", "set", "swarm.max_steps", "7")
    await program.run("auth", "remove", "openrouter")
    found = await entries(program)
    assert [(e["category"], e["action"], e["resource"], e["outcome"]) for e in found] == [
        ("auth", "auth.set", "openrouter", "success"),
        ("config", "config.set", "swarm.max_steps", "success"),
        ("auth", "auth.remove", "openrouter", "success"),
    ]
    text = "".join(p.read_text() for p in (program.data / "audit").rglob("*.jsonl"))
    assert key not in text
    assert verify(program.data).chains == 3


async def test_what_fails_is_a_failure(program: Program) -> None:
    config = program.home / ".config" / "codetether-agent"
    config.mkdir(parents=True)
    (config / "config.toml").write_text("swarm = 1\n")
    ended = await program.run("config", "set", "swarm.max_steps", "7")
    assert ended.code != 0
    ((entry),) = await entries(program)
    assert (entry["outcome"], entry["detail"]["error"]) == ("failure", "ConfigError")


async def test_where_the_log_cannot_be_written_nothing_is_done(program: Program) -> None:
    program.data.mkdir(parents=True)
    (program.data / "audit").write_text("in the way")
    async with ModelServer(script_of(say("hi"))) as server:
        ended = await ask(program, server, "hello")
        assert ended.code == 1
        assert "the audit log in" in ended.err
        assert "cannot be written" in ended.err
        assert not server.requests
    changed = await program.run("config", "set", "swarm.max_steps", "7")
    assert changed.code == 1
    assert not (program.home / ".config" / "codetether-agent" / "config.toml").exists()


async def test_without_a_log_ending_and_reading_still_work(program: Program) -> None:
    script = script_of(call("bash", command="touch began; sleep 60"), say("never"))
    async with ModelServer(script) as server:
        process = await program.start("run", "go", *MODEL, CODETETHER_LOCAL_BASE_URL=server.url)
        async with asyncio.timeout(180):
            while not (program.project / "began").exists():
                await asyncio.sleep(0.02)
        audit = program.data / "audit"
        audit.rename(program.data / "was-audit")
        audit.write_text("in the way")
        (run,) = (program.data / "events").iterdir()
        ended = await program.run("cancel", run.name)
        assert ended.code == 0, ended.err
        assert "was stopped" in ended.out
        assert "not in the audit log" in ended.err
        await process.communicate()
    down = await program.run("down")
    assert down.code == 0
    for command in ("list", "query", "verify"):
        shown = await program.run("audit", command)
        assert shown.code == 1, "a log that cannot be read is not an empty one"
        assert "cannot be read" in shown.err


async def test_where_no_file_can_grow_only_what_must_work_does(program: Program) -> None:
    async with ModelServer(script_of(say("hi"))) as server:
        ran = await ask(program, server, "hello", "--format", "json")
    session = ran.json["session_id"]

    async def cramped(*arguments: str) -> Ended:
        """Under a limit of no bytes for any file, which is how a full disk looks."""
        command = f"ulimit -f 0; exec codetether {shlex.join(arguments)}"
        process = await asyncio.create_subprocess_exec(
            "sh",
            "-c",
            command,
            cwd=program.project,
            env={**program.env, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        return Ended(code=process.returncode or 0, out=out.decode(), err=err.decode())

    refused = await cramped("config", "set", "swarm.max_steps", "7")
    assert refused.code == 1
    assert "the audit log in" in refused.err
    for arguments in (
        ("audit", "list"),
        ("audit", "query", "--json"),
        ("audit", "verify"),
        ("cancel", session),
        ("cleanup", "--yes"),
        ("down",),
    ):
        ended = await cramped(*arguments)
        assert ended.code == 0, (arguments, ended.err)
    assert verify(program.data).is_sound


async def test_a_second_file_lets_work_go_on(program: Program, tmp_path: Path) -> None:
    second = tmp_path / "second.jsonl"
    program.data.mkdir(parents=True)
    (program.data / "audit").write_text("in the way")
    ended = await program.run(
        "config", "set", "swarm.max_steps", "7", CODETETHER_AUDIT_LOG_PATH=str(second)
    )
    assert ended.code == 0, ended.err
    listed = await program.run("audit", "list", "--file", str(second), "--json")
    assert [entry["action"] for entry in listed.json] == ["config.set"]
    checked = await program.run("audit", "verify", "--file", str(second))
    assert checked.code == 0


async def test_list_shows_the_newest_and_query_filters(program: Program) -> None:
    for number in range(3):
        await program.run("config", "set", "swarm.max_steps", str(number + 1))
    await program.run("auth", "remove", "openai")
    newest = await program.run("audit", "list", "-n", "2", "--json")
    assert [entry["action"] for entry in newest.json] == ["config.set", "auth.remove"]
    shown = await program.run("audit", "list")
    assert shown.out.count("config.set") == 3
    assert "\x1b" not in shown.out
    who = newest.json[0]["principal"].partition(":")[2]
    assert len(await entries(program, "--actor", who)) == 4
    assert len(await entries(program, "--actor", "nobody-else")) == 0
    assert len(await entries(program, "--action", "auth.*")) == 1
    assert len(await entries(program, "--category", "config", "--limit", "2")) == 2
    assert len(await entries(program, "--since", "1h")) == 4
    assert len(await entries(program, "--until", "1h")) == 0
    wrong = await program.run("audit", "list", "--since", "yesterday-ish")
    assert wrong.code == 2
    assert "is no time" in wrong.err


async def test_a_pinned_key_tells_a_log_signed_anew(program: Program, tmp_path: Path) -> None:
    await program.run("config", "set", "swarm.max_steps", "1")
    (public,) = (program.data / "audit" / "keys").glob("*.pub")
    pinned = tmp_path / "pinned.pub"
    shutil.copy(public, pinned)
    right = await program.run("audit", "verify", "--key", str(pinned), "--json")
    assert right.json["success"]
    assert not any("--key" in sentence for sentence in right.json["unseen"])
    shutil.rmtree(program.data / "audit")
    await program.run("config", "set", "swarm.max_steps", "2")
    wrong = await program.run("audit", "verify", "--key", str(pinned), "--json")
    assert wrong.code == 1
    assert "unknown key" in json.dumps(wrong.json["findings"])


async def test_old_chains_are_retired_and_the_log_stays_sound(program: Program) -> None:
    for number in range(3):
        await program.run("config", "set", "swarm.max_steps", str(number + 1))
    unasked = await program.run("audit", "retire", "--before", "0s")
    assert (unasked.code, len(await entries(program))) == (2, 3)
    ended = await program.run("audit", "retire", "--before", "0s", "--yes", "--json")
    assert (ended.code, ended.json["chains"]) == (0, 3), ended.err
    assert [entry["action"] for entry in await entries(program)] == ["audit.retire"]
    report = (await program.run("audit", "verify", "--json")).json
    assert (report["success"], report["retired"]) == (True, 3)


async def test_doctor_says_that_nothing_can_be_done_without_the_log(program: Program) -> None:
    await program.run("config", "set", "swarm.max_steps", "1")
    well = await program.run("doctor", "--json")
    assert _audit_check(well)["state"] == "ok"
    (key,) = (program.data / "audit" / "keys").glob("*.key")
    key.chmod(0o644)
    assert "chmod 600" in _audit_check(await program.run("doctor", "--json"))["detail"]
    shutil.rmtree(program.data / "audit")
    (program.data / "audit").symlink_to("/nonexistent")
    broken = await program.run("doctor", "--json")
    assert broken.code == 1
    assert "is no directory" in _audit_check(broken)["detail"]


def _audit_check(ended: Ended) -> dict[str, Any]:
    (check,) = (check for check in ended.json["checks"] if check["name"] == "audit")
    found: dict[str, Any] = check
    return found


async def test_asking_the_local_server_what_it_has_is_an_api_call(program: Program) -> None:
    async with ModelServer(script_of(say("hi"))) as server:
        await program.run("models", CODETETHER_LOCAL_BASE_URL=server.url)
    (entry,) = await entries(program, "--category", "api")
    assert (entry["action"], entry["resource"]) == ("models.list", "local")
