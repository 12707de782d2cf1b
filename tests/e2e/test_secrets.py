"""Where a key must not be seen when one agent runs: Vault holds it, nothing else does."""

import asyncio
from collections.abc import Iterator

import pytest

from codetether_ray.core.messages import ToolResult
from codetether_ray.testing.leaks import find_leaks
from codetether_ray.testing.model_server import ModelCall, ModelServer, Reply, call, fail, say
from tests.e2e.program import Ended, Program
from tests.unit.secrets.vault_server import TOKEN, Vault, serve_vault

OLD = "plain-marked-key-1-of-the-vault"
NEW = "plain-marked-key-2-of-the-vault"
MODEL = ("--model", "openai/some-model")


@pytest.fixture
def vault() -> Iterator[Vault]:
    with serve_vault(Vault(mount="kv")) as running:
        yield running


async def _ask(program: Program, vault: Vault, *arguments: str, stdin: str = "") -> Ended:
    return await program.run(
        *arguments,
        stdin=stdin,
        VAULT_ADDR=vault.address,
        VAULT_TOKEN=TOKEN,
        VAULT_MOUNT="kv",
        VAULT_SECRETS_PATH="team/models",
        CODETETHER_AUTH_TOKEN="marked-auth-token",
        AWS_SECRET_ACCESS_KEY="marked-cloud-key",
    )


def _script(asked: ModelCall) -> Reply:
    if "refuse" in asked.messages[-1].text:
        return fail(401, f"the key {asked.headers['Authorization']} is not valid")
    if asked.messages[-1].role == "tool":
        return say("seen")
    return call("bash", command="env; tr '\\0' '\\n' < /proc/self/environ; cat /proc/$PPID/cmdline")


async def test_a_key_in_vault_is_used_and_seen_nowhere_also_when_it_is_replaced(
    program: Program, vault: Vault
) -> None:
    async with ModelServer(_script) as server:
        for key in (OLD, NEW):
            stored = await _ask(
                *(program, vault, "auth", "set", "openai", "--base-url", server.url), stdin=key
            )
            assert stored.code == 0, stored.err
            ended = await _ask(program, vault, "run", "look around", "--continue", *MODEL)
            assert (ended.code, ended.out) == (0, "seen\n"), ended.err
        refused = await _ask(program, vault, "run", "refuse", *MODEL, "--format", "stream-json")
    sent = [request.headers["Authorization"] for request in server.requests]
    assert sent == [f"Bearer {OLD}"] * 2 + [f"Bearer {NEW}"] * 3
    assert (refused.code, refused.lines[-1]["outcome"]) == (4, "failed")
    assert "[masked] is not valid" in refused.lines[-1]["error"]
    assert set(vault.versions) == {"team/models/openai"}

    seen = [p for m in server.requests[-2].messages for p in m.parts if isinstance(p, ToolResult)]
    assert "PATH=" in seen[-1].content
    for marked in (OLD, NEW, TOKEN, "marked-auth-token", "marked-cloud-key"):
        assert marked not in seen[-1].content
        assert marked not in refused.out + refused.err
        found = await asyncio.to_thread(find_leaks, marked, [program.home, program.project])
        assert found == [], marked
    for name in ("VAULT_TOKEN", "CODETETHER_AUTH_TOKEN", "AWS_SECRET_ACCESS_KEY"):
        assert name not in seen[-1].content


async def test_a_stored_key_in_the_users_own_words_reaches_neither_the_model_nor_the_disk(
    program: Program,
) -> None:
    key = "plain-marked-key-of-the-store"
    await program.run("auth", "set", "openai", stdin=key)
    async with ModelServer(lambda _: say("seen")) as server:
        for command in ("run", "swarm"):
            ended = await program.run(
                *(command, f"log in with {key} please", "--model", "local/some-model"),
                CODETETHER_LOCAL_BASE_URL=server.url,
            )
            assert "your words hold a key" in ended.err
    asked = [part for request in server.requests for part in request.messages[0].parts]
    assert "log in with [masked] please" in repr(asked)
    assert key not in repr(asked)
    found = await asyncio.to_thread(find_leaks, key, [program.home, program.project])
    assert found == []
