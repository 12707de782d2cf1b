"""`codetether replay` and `codetether stats`, over a session and a swarm of a scripted model."""

import asyncio
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from codetether_ray.testing.model_server import ModelServer, call, say, script_of
from tests.e2e.program import Ended, Program, make_program
from tests.e2e.swarm_scene import TASK, SwarmModel, make_repository


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> tuple[Program, str, str]:
    """A program with one session and one swarm; their ids."""
    program = make_program(tmp_path_factory.mktemp("replay"))
    make_repository(program.project)

    async def run() -> tuple[str, str]:
        replies = (
            call("write_file", path="hello.txt", content="hi\n"),
            call("bash", command="echo bye >> hello.txt; mkdir new; echo > 'new/ä b.txt'"),
            say("It is written."),
        )
        async with ModelServer(script_of(*replies)) as server:
            url = server.url
            session = await program.run(
                "run",
                "write hello",
                "--format",
                "json",
                "-m",
                "local/m",
                CODETETHER_LOCAL_BASE_URL=url,
            )
        async with ModelServer(SwarmModel()) as server:
            url = server.url
            swarm = await program.run(
                "swarm", TASK, "--json", "--local", "-m", "local/m", CODETETHER_LOCAL_BASE_URL=url
            )
        assert (session.code, swarm.code) == (0, 0), session.err + swarm.err
        return str(session.json["session_id"]), str(swarm.json["swarm_id"])

    return program, *asyncio.run(run())


async def test_a_run_is_printed_as_it_happened(scene: tuple[Program, str, str]) -> None:
    program, session, _ = scene
    ended = await program.run("replay", session)
    assert ended.code == 0
    places = [
        ended.out.index(words)
        for words in (
            "the session begins",
            "turn 0 begins",
            "→ write_file",
            "write_file is done",
            "It is written.",
            "the run ends: completed",
        )
    ]
    assert places == sorted(places)
    assert "\x1b" not in ended.out


async def test_json_lines_are_the_stored_ones_and_go_on_from_an_offset(
    scene: tuple[Program, str, str],
) -> None:
    program, session, _ = scene
    everything = await program.run("replay", session, "--json")
    stored = b"".join(p.read_bytes() for p in (program.data / "events" / session).glob("*.jsonl"))
    for line in everything.out.splitlines():
        assert line.encode() + b"\n" in stored
    lines = everything.lines
    assert [line["seq"] for line in lines] == list(range(len(lines)))
    rest = await program.run("replay", session, "--json", "--from", str(lines[4]["off"]))
    assert rest.lines == lines[4:]
    part = await program.run(
        "replay", session, "--json", "--from", str(lines[2]["off"]), "--until", str(lines[5]["off"])
    )
    assert part.lines == lines[2:5]


async def test_kinds_and_agents_choose(scene: tuple[Program, str, str]) -> None:
    program, _, swarm = scene
    ended = await program.run("replay", swarm, "--json", "--kind", "tool", "--agent", "sub/alpha")
    found = {(line["kind"], line["agent"]) for line in ended.lines}
    assert found == {("tool.started", "sub/alpha"), ("tool.finished", "sub/alpha")}
    wrong = await program.run("replay", swarm, "--kind", "nothing")
    assert (wrong.code, wrong.out) == (2, "")
    assert "there are" in wrong.err


async def test_the_end_of_an_id_is_enough_and_a_doubt_is_told(
    scene: tuple[Program, str, str],
) -> None:
    program, session, swarm = scene
    short = await program.run("replay", swarm[-8:], "--json", "--kind", "run.started")
    assert short.lines[0]["run_id"] == swarm
    doubtful = await program.run("replay", "s")
    assert doubtful.code == 2
    assert session in doubtful.err
    unknown = await program.run("replay", "../../etc")
    assert (unknown.code, unknown.out) == (2, "")


async def test_a_session_is_rebuilt_as_its_model_saw_it(scene: tuple[Program, str, str]) -> None:
    program, session, _ = scene
    text = await program.run("replay", "--session", session)
    assert "[system]" in text.out
    assert text.out.rstrip().endswith("It is written.")
    messages = (await program.run("replay", "--session", session, "--json")).json
    assert [m["role"] for m in messages] == ["user", *["assistant", "tool"] * 2, "assistant"]
    wrong = await program.run("replay", "--session", session, "--agent", "nobody")
    assert wrong.code == 2
    assert "main" in wrong.err


async def test_options_that_would_be_passed_over_are_refused(
    scene: tuple[Program, str, str], tmp_path: Path
) -> None:
    program, session, _ = scene
    page = str(tmp_path / "run.html")
    for options, word in (
        (["--verify", session, "--kind", "tool"], "--kind"),
        (["--verify", session, "--html", page], "--html"),
        (["--verify", "--all", session], "--all"),
        (["--session", session, "--from", "1"], "--from"),
        ([session, "--html", page, "--json"], "--json"),
        ([session, "--from", "9", "--until", "9"], "--until"),
    ):
        ended = await program.run("replay", *options)
        assert (ended.code, ended.out) == (2, ""), options
        assert word in ended.err
    assert not Path(page).exists()


async def test_an_empty_selection_says_why(scene: tuple[Program, str, str]) -> None:
    program, session, swarm = scene
    for options, words in (
        (["--from", "99999999"], "ends at byte"),
        (["--agent", "nobody"], "there are"),
        (["--kind", "approval"], "no record"),
    ):
        ended = await program.run("replay", swarm, *options)
        assert (ended.code, ended.out) == (0, "")
        assert words in ended.err
    before = (await program.run("replay", session, "--json")).lines[3]
    inside = await program.run("replay", session, "--json", "--from", str(before["off"] + 1))
    assert inside.lines[0]["seq"] == before["seq"] + 1


async def test_the_day_and_its_time_zone_stand_above_the_times(
    scene: tuple[Program, str, str],
) -> None:
    program, session, _ = scene
    ended = await program.run("replay", session, TZ="Asia/Tokyo")
    days = [line for line in ended.out.splitlines() if line.endswith("(times in UTC)")]
    assert len(days) >= 1
    assert ended.out.startswith(days[0])


async def test_what_is_before_the_damage_is_printed(
    scene: tuple[Program, str, str], tmp_path: Path
) -> None:
    program, session, _ = scene
    lines = (await program.run("replay", session, "--json")).lines
    home = tmp_path / "damaged"
    shutil.copytree(program.home, home, symlinks=True)
    copy = replace(program, home=home)
    (segment,) = (copy.data / "events" / session).glob("*.jsonl")
    data = bytearray(segment.read_bytes())
    data[lines[6]["off"] + 40] ^= 1
    segment.chmod(0o600)
    segment.write_bytes(data)
    for options in (["--json"], []):
        ended = await program.run("replay", session, *options, HOME=str(home))
        assert ended.code == 1
        assert f"byte {lines[6]['off']}" in ended.err
        assert segment.name in ended.err
    assert ended.out.splitlines()[-1].strip()
    whole = await program.run("replay", session, "--json", HOME=str(home))
    assert whole.lines == lines[:6]


async def test_a_run_that_its_archive_does_not_give_is_neither_verified_nor_damaged(
    scene: tuple[Program, str, str], tmp_path: Path
) -> None:
    program, session, swarm = scene
    home = tmp_path / "away"
    shutil.copytree(program.home, home, symlinks=True)
    folder = replace(program, home=home).data / "events" / session
    (segment,) = folder.glob("*.jsonl")
    size = segment.stat().st_size
    (folder / f"{segment.name.removesuffix('-open.jsonl')}-{size:020}.jsonl.away").touch()
    segment.unlink()
    down = {
        "CODETETHER_S3_BUCKET": "b",
        "CODETETHER_S3_ENDPOINT": "http://127.0.0.1:9",
        "CODETETHER_S3_ACCESS_KEY": "a",
        "CODETETHER_S3_SECRET_KEY": "s",
    }
    for env in ({}, down):
        ended = await program.run("replay", "--verify", "--all", "--json", HOME=str(home), **env)
        status = {line["run"]: line["status"] for line in ended.lines}
        assert (ended.code, status) == (1, {session: "unread", swarm: "verified"}), ended.out
        sums = await program.run("stats", "--json", HOME=str(home), **env)
        assert (sums.code, sums.json["runs"]) == (0, 1)
        assert "left out from there on" in sums.err


async def test_every_run_is_verified_without_a_model(scene: tuple[Program, str, str]) -> None:
    program, session, swarm = scene
    ended = await program.run("replay", "--verify", "--all", "--json")
    assert ended.code == 0, ended.out + ended.err
    assert {line["run"] for line in ended.lines} == {session, swarm}
    for line in ended.lines:
        assert (line["status"], line["ok"], line["finished"]) == ("verified", True, True)
        assert line["decisions"] > 0
        assert set(line["levels"]) == {"integrity", "protocol", "decisions"}
    text = await program.run("replay", "--verify", session)
    assert "verified" in text.out


async def test_the_page_of_a_run_is_one_file(
    scene: tuple[Program, str, str], tmp_path: Path
) -> None:
    program, _, swarm = scene
    file = tmp_path / "run.html"
    ended = await program.run("replay", swarm, "--html", str(file))
    assert (ended.code, ended.out) == (0, "")
    assert [p.name for p in tmp_path.iterdir()] == ["run.html"]
    data = file.read_text().split('id="data">')[1].split("</script>")[0]
    page = json.loads(data)
    assert {lane["path"] for lane in page["lanes"]} >= {"run", "planner", "sub/alpha", "synthesis"}
    steps = [item for item in page["items"] if item["k"] == "model" and "m" in item]
    for item in steps:
        which, count = item["m"]
        assert len(page["lists"][which]) >= count
    nowhere = await program.run("replay", swarm, "--html", str(tmp_path / "no" / "run.html"))
    assert nowhere.code == 1
    assert "cannot be written" in nowhere.err


async def test_following_ends_with_the_run(scene: tuple[Program, str, str]) -> None:
    program, session, _ = scene
    ended = await program.run("replay", session, "--follow", "--json", timeout_s=30)
    assert ended.lines[-1]["kind"] == "run.finished"


async def test_files_that_commands_changed_are_counted(
    scene: tuple[Program, str, str], tmp_path: Path
) -> None:
    program, session, _ = scene
    ended = await program.run("stats", session, "--files", "--json")
    assert ended.json["files"] == [
        {"path": "hello.txt", "writes": 2, "commits": 0},
        {"path": "new/ä b.txt", "writes": 1, "commits": 0},
    ]
    assert ended.err == ""
    home = tmp_path / "cleaned"
    shutil.copytree(program.home, home, symlinks=True)
    shutil.rmtree(replace(program, home=home).data / "hubs")
    without = await program.run("stats", session, "--files", "--json", HOME=str(home))
    assert without.json["files"] == [{"path": "hello.txt", "writes": 1, "commits": 0}]
    assert "hub is gone" in without.err


async def test_runs_are_summed_up(scene: tuple[Program, str, str]) -> None:
    program, session, _ = scene
    found = (await program.run("stats", "--json")).json
    assert found["runs"] == 2
    assert found["calls"] == 3 + 10
    assert sum(tool["calls"] for tool in found["tools"]) == 6
    one = (await program.run("stats", session, "--json")).json
    assert (one["runs"], one["calls"]) == (1, 3)
    tools = (await program.run("stats", "--tools", "--json")).json
    assert set(tools) == {"tools"}
    none = (await program.run("stats", "--since", "2100-01-01", "--json")).json
    assert none["runs"] == 0
    text: Ended = await program.run("stats")
    assert "2 runs" in text.out
    wrong = await program.run("stats", "--since", "yesterday-ish")
    assert wrong.code == 2
