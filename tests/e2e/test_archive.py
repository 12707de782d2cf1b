"""The archive through the command line: a lost data directory, brought back and gone on with."""

import asyncio
import logging
import shutil
import uuid
from collections.abc import Iterator

import pytest
from moto.server import ThreadedMotoServer

from codetether_ray.testing.model_server import ModelServer, call, say, script_of
from tests.e2e.program import Program

MODEL = ("--model", "local/test-model")
pytestmark = pytest.mark.filterwarnings(  # the server leaves open what a killed client had sent
    "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture
def s3() -> Iterator[dict[str, str]]:
    """The variables of an archive in a server of this process."""
    import boto3

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url, keys = f"http://{host}:{port}", {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    client = boto3.session.Session(region_name="us-east-1", **keys).client("s3", endpoint_url=url)
    bucket = f"runs-{uuid.uuid4().hex[:12]}"  # all servers of a process share their buckets
    client.create_bucket(Bucket=bucket)
    yield {
        "CODETETHER_S3_BUCKET": bucket,
        "CODETETHER_S3_ENDPOINT": url,
        "CODETETHER_S3_ACCESS_KEY": "an-id",
        "CODETETHER_S3_SECRET_KEY": "a-hidden-value",
    }
    server.stop()


async def test_a_run_survives_the_loss_of_its_home(program: Program, s3: dict[str, str]) -> None:
    replies = [
        call("write_file", path="a.txt", content="hi\n"),
        call("bash", command="touch begun; sleep 600"),
        say("I see"),
    ]
    async with ModelServer(script_of(*replies)) as server:
        env = {**s3, "CODETETHER_LOCAL_BASE_URL": server.url}
        process = await program.start("run", "work", *MODEL, **env)
        async with asyncio.timeout(180):
            while not (program.project / "begun").exists():
                await asyncio.sleep(0.05)
        process.kill()
        await process.communicate()
        (row,) = (await program.run("runs", "--json", **env)).json
        run = row["id"]
        status = (await program.run("archive", "status", "--json", **env)).json
        assert status["lag_bytes"] > 0
        sent = await program.run("archive", "push", "--all", "--json", **env)
        assert sent.json["objects"] > 0, sent.err
        status = (await program.run("archive", "status", "--json", **env)).json
        assert (status["lag_bytes"], status["lag_s"]) == (0, 0)
        before = (await program.run("replay", run, "--json", **env)).out
        shutil.rmtree(program.data)
        (there,) = (await program.run("archive", "list", "--json", **env)).json
        assert (there["id"], there["here"]) == (run, False)
        pulled = await program.run("archive", "pull", run, **env)
        assert pulled.code == 0, pulled.err
        assert (await program.run("replay", run, "--json", **env)).out == before
        ended = await program.run("run", "--resume", run, *MODEL, **env)
        assert (ended.code, ended.out) == (0, "I see\n"), ended.err
        assert server.count == 3
        assert not server.refused


async def test_what_a_run_left_is_sent_when_it_ends_and_forgotten_everywhere(
    program: Program, s3: dict[str, str]
) -> None:
    async with ModelServer(script_of(say("done"))) as server:
        env = {**s3, "CODETETHER_LOCAL_BASE_URL": server.url}
        ended = await program.run("run", "work", *MODEL, "--format", "json", **env)
    run = ended.json["session_id"]
    status = (await program.run("archive", "status", "--json", **env)).json
    assert [r["lag_bytes"] for r in status["runs"]] == [0], ended.err
    rows = await program.run(
        *("archive", "query", "--kind", "model.responded", "--sum", "prompt_tokens"),
        *("--by", "run_id", "--json"),
        **env,
    )
    assert [r["run_id"] for r in rows.json] == [run], rows.err
    assert rows.json[0]["prompt_tokens"] > 0
    asked = await program.run("forget", run, **env)
    assert (asked.code, "--yes" in asked.err) == (2, True)
    gone = await program.run("forget", run, "--yes", "--json", **env)
    assert gone.json["archive_objects"] > 0, gone.err
    for arguments in (
        ("replay", run),
        ("archive", "pull", run),
        ("run", "--resume", run),
        ("run", "more", "--session", run),
        ("swarm", "--resume", run),
        ("cancel", run),
    ):
        refused = await program.run(*arguments, **env)
        assert refused.code == 2
        assert "was forgotten on" in refused.err
    assert (await program.run("archive", "query", "--json", **env)).json == []
    verified = await program.run("audit", "verify", "--json", **env)
    assert verified.json["success"], verified.out
    doctor = await program.run("doctor", "--json", **env)
    states = {c["name"]: c["state"] for c in doctor.json["checks"]}
    assert states["archive"] == "ok", doctor.out
    assert states["audit"] == "ok"
    assert "a-hidden-value" not in doctor.out + doctor.err + gone.out + gone.err


@pytest.mark.damages_runs  # whoever verifies does not look into the archive
async def test_a_run_that_only_the_archive_holds_is_told_so_and_read_through(
    program: Program, s3: dict[str, str]
) -> None:
    async with ModelServer(script_of(say("done"), say("more done"))) as server:
        env = {**s3, "CODETETHER_LOCAL_BASE_URL": server.url}
        ended = await program.run("run", "work", *MODEL, "--format", "json", **env)
        run = ended.json["session_id"]
        await program.run("config", "set", "archive.retention", "0s", **env)
        for _ in range(2):
            pushed = await program.run("archive", "push", "--all", "--json", **env)
        assert pushed.json["released"] == [run], pushed.err
        (row,) = (await program.run("runs", "--json", **env)).json
        assert (row["state"], row["archived"], row["total_tokens"]) == ("finished", True, None)
        assert "in the archive" in (await program.run("runs", **env)).out
        again = await program.run("run", "--resume", run, *MODEL, **env)
        assert (again.code, again.out) == (0, "done\n"), again.err
        more = await program.run("run", "more", "--session", run, *MODEL, **env)
        assert (more.code, more.out) == (0, "more done\n"), more.err
        asked = await program.run("archive", "query", "--sum", "prompt_tokens", "--json", **env)
        told = (await program.run("stats", run, "--json", **env)).json
        assert asked.json[0]["prompt_tokens"] == told["prompt_tokens"] > 0


async def test_the_archives_keys_come_from_the_secret_store(
    program: Program, s3: dict[str, str]
) -> None:
    env = {k: v for k, v in s3.items() if not k.endswith("_KEY")}
    wrong = await program.run("auth", "set", "s3", stdin="hidden-value", **env)
    assert (wrong.code, "--access-key" in wrong.err) == (2, True)
    done = await program.run("auth", "set", "s3", "--access-key", "ID", stdin="hidden-value", **env)
    assert done.code == 0, done.err
    pushed = await program.run("archive", "push", "--all", "--json", **env)
    assert pushed.code == 0, pushed.err


async def test_doctor_fails_where_the_archive_is_away_and_says_what_else_is_well(
    program: Program,
) -> None:
    doctor = await program.run(
        *("doctor", "--json"),
        CODETETHER_S3_BUCKET="runs",
        CODETETHER_S3_ENDPOINT="http://127.0.0.1:9",
        CODETETHER_S3_ACCESS_KEY="a",
        CODETETHER_S3_SECRET_KEY="b",
    )
    assert doctor.code == 1
    checks = {c["name"]: c for c in doctor.json["checks"]}
    assert checks["archive"]["state"] == "fail"
    assert "cannot be reached" in checks["archive"]["detail"]
    assert checks["git"]["state"] == "ok"
