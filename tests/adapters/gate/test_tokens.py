"""Tokens on disk, the book that replicas keep of them, and the commands for both."""

import asyncio
import concurrent.futures
import json
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from codetether_ray.bootstrap import tokens
from codetether_ray.bootstrap.policies import open_policy
from codetether_ray.bootstrap.tokens import SERVER_USER, TruthTokens
from codetether_ray.bootstrap.truth.place import Truth, truth_here
from codetether_ray.cli.auth import auth
from codetether_ray.core.errors import (
    AuthUnavailableError,
    ClusterError,
    ConfigError,
    UsageError,
)
from codetether_ray.core.masking import Masker
from codetether_ray.policy.local import LocalPolicy
from codetether_ray.policy.opa import OpaPolicy
from codetether_ray.ports.tokens import NamedToken
from codetether_ray.stores.tokens import FileTokens, digest_of, new_token


def _token(name: str, value: str, **more: Any) -> NamedToken:
    return NamedToken(name=name, digest=digest_of(value), created_at=100.0, **more)


# -- on disk --------------------------------------------------------------------------------------


def test_the_servers_own_token_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: FileTokens(tmp_path).make_server_token(), range(32)))
        texts = {path.read_text() for path in paths}
    assert len(texts) == 1
    assert stat.S_IMODE(paths[0].stat().st_mode) == 0o600
    assert stat.S_IMODE(paths[0].parent.stat().st_mode) == 0o700
    assert [p.name for p in paths[0].parent.iterdir()] == ["token"]
    assert len(texts.pop().strip()) >= len("ctr_server_") + 43


def test_no_two_tokens_are_alike_and_each_is_masked_wherever_it_is_written() -> None:
    made = {new_token("ctr_token_") for _ in range(100)}
    assert len(made) == 100
    for token in made:
        assert token not in Masker()(f"it said {token} to me")


def test_a_token_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = FileTokens(tmp_path).make_server_token()
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="can be read by others"):
        FileTokens(tmp_path).server_digest()


def test_of_a_named_token_its_value_is_nowhere(tmp_path: Path) -> None:
    FileTokens(tmp_path).add(_token("ann", "ctr_token_secret", roles=("viewer",)))
    texts = [p.read_text() for p in (tmp_path / "auth").iterdir()]
    assert not any("ctr_token_secret" in text for text in texts)
    assert stat.S_IMODE((tmp_path / "auth" / "tokens.json").stat().st_mode) == 0o600


def test_a_name_has_one_valid_token_and_may_have_another_when_that_one_has_ended(
    tmp_path: Path,
) -> None:
    store = FileTokens(tmp_path)
    store.add(_token("ann", "one", expires_at=150.0))
    with pytest.raises(UsageError, match="already"):
        store.add(_token("ann", "two"))
    assert store.revoke("ann", 120.0)
    assert not store.revoke("ann", 121.0)
    store.add(_token("ann", "two"))
    assert [t.digest for t in store.named()] == [digest_of("two")]


def test_many_who_make_tokens_at_once_lose_none(tmp_path: Path) -> None:
    def make(n: int) -> None:
        FileTokens(tmp_path).add(_token(f"t{n}", str(n)))

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(make, range(40)))
    assert {t.name for t in FileTokens(tmp_path).named()} == {f"t{n}" for n in range(40)}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"tokens": [{"name": "a"}]}', '{"tokens": 3}'])
def test_a_damaged_file_is_told_and_makes_nothing_valid(tmp_path: Path, text: str) -> None:
    (tmp_path / "auth").mkdir()
    (tmp_path / "auth" / "tokens.json").write_text(text)
    with pytest.raises(ConfigError, match="no named token is valid"):
        FileTokens(tmp_path).named()


# -- the book -------------------------------------------------------------------------------------


class Far:
    """A truth elsewhere, which can be out of reach; it counts what it is asked."""

    def __init__(self, data_dir: Path) -> None:
        self._truth = truth_here(data_dir)
        self.is_away = False
        self.asked = 0

    async def ask(self, function: str, *arguments: Any) -> Any:
        self.asked += 1
        if self.is_away:
            raise ClusterError("the head does not answer")
        return await self._truth.ask(function, *arguments)


class Ticks:
    """A clock that is moved by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def _book(truth: Truth | Far, ticks: Ticks, **env: str) -> TruthTokens:
    return TruthTokens(truth, env, clock=ticks, ticks=ticks)  # type: ignore[arg-type]


async def test_the_servers_token_is_the_given_one_or_its_own_and_never_both(tmp_path: Path) -> None:
    own = FileTokens(tmp_path).make_server_token().read_text().strip()
    book = _book(truth_here(tmp_path), Ticks())
    found = await book.principal_of(own)
    assert found is not None
    assert found.user_id == SERVER_USER
    given = _book(truth_here(tmp_path), Ticks(), CODETETHER_AUTH_TOKEN="given")
    assert await given.principal_of("given") == found
    assert await given.principal_of(own) is None


async def test_a_given_token_is_settled_by_its_digest_and_ends_with_the_next_start(
    tmp_path: Path,
) -> None:
    truth = truth_here(tmp_path)
    said = await tokens.settle(truth, {"CODETETHER_AUTH_TOKEN": "given-by-me"})
    assert "given-by-me" not in said
    assert "CODETETHER_AUTH_TOKEN" in await tokens.whereabouts(truth)
    for path in (tmp_path / "auth").iterdir():
        assert "given-by-me" not in path.read_text()
    assert await _book(truth, Ticks()).principal_of("given-by-me") is not None
    said = await tokens.settle(truth, {})
    own = FileTokens(tmp_path).make_server_token()
    assert str(own) in said
    assert own.read_text().strip() not in said
    assert await _book(truth, Ticks()).principal_of("given-by-me") is None
    assert await _book(truth, Ticks()).principal_of(own.read_text().strip()) is not None


async def test_what_was_settled_counts_whatever_a_replicas_environment_says(tmp_path: Path) -> None:
    truth = truth_here(tmp_path)
    own = FileTokens(tmp_path).make_server_token().read_text().strip()
    replica = {"CODETETHER_AUTH_TOKEN": "of-the-clusters-start"}

    async def opens(token: str) -> bool:
        return await _book(truth, Ticks(), **replica).principal_of(token) is not None

    assert await opens("of-the-clusters-start")
    await tokens.settle(truth, {"CODETETHER_AUTH_TOKEN": "given-now"})
    assert await opens("given-now")
    assert not await opens("of-the-clusters-start")
    await tokens.settle(truth, {})
    assert await opens(own)
    assert not await opens("of-the-clusters-start")


@pytest.mark.parametrize("value", ["two words", "\xe9", "x" * 5000, "line\nbreak"])
async def test_a_given_token_that_no_header_can_carry_is_refused_and_not_repeated(
    tmp_path: Path, value: str
) -> None:
    with pytest.raises(ConfigError) as told:
        await tokens.settle(truth_here(tmp_path), {"CODETETHER_AUTH_TOKEN": value})
    assert value not in str(told.value)


async def test_the_book_is_read_seldom_for_those_who_are_known(tmp_path: Path) -> None:
    FileTokens(tmp_path).add(_token("ann", "secret"))
    far, ticks = Far(tmp_path), Ticks()
    book = _book(far, ticks)
    for _ in range(100):
        assert await book.principal_of("secret") is not None
        ticks.now += 0.005
    assert far.asked == 1
    for _ in range(50):
        await book.principal_of("unknown")
    assert far.asked <= 3


async def test_a_token_that_was_revoked_opens_nothing_after_five_seconds(tmp_path: Path) -> None:
    FileTokens(tmp_path).add(_token("ann", "secret"))
    ticks = Ticks()
    book = _book(truth_here(tmp_path), ticks)
    assert await book.principal_of("secret") is not None
    FileTokens(tmp_path).revoke("ann", 500.0)
    ticks.now += 5.0
    assert await book.principal_of("secret") is None


async def test_a_token_expires_while_the_book_is_fresh(tmp_path: Path) -> None:
    FileTokens(tmp_path).add(_token("ann", "secret", expires_at=1000.5))
    ticks = Ticks()
    book = _book(truth_here(tmp_path), ticks)
    assert await book.principal_of("secret") is not None
    ticks.now += 0.5
    assert await book.principal_of("secret") is None


async def test_where_the_head_is_away_the_book_is_believed_for_seconds_and_then_nobody_comes_in(
    tmp_path: Path,
) -> None:
    FileTokens(tmp_path).add(_token("ann", "secret"))
    far, ticks = Far(tmp_path), Ticks()
    book = _book(far, ticks, CODETETHER_AUTH_TOKEN="given")
    assert await book.principal_of("secret") is not None
    far.is_away = True
    ticks.now += 2.0
    assert await book.principal_of("secret") is not None
    await asyncio.sleep(0)
    ticks.now += 3.0
    with pytest.raises(AuthUnavailableError):
        await book.principal_of("secret")
    with pytest.raises(AuthUnavailableError):
        await book.principal_of("unknown")
    assert await book.principal_of("given") is not None
    far.is_away = False
    assert await book.principal_of("secret") is not None
    await book.close()


# -- which policy ---------------------------------------------------------------------------------


async def test_the_sidecar_is_the_one_of_this_process_else_the_one_that_was_settled(
    tmp_path: Path,
) -> None:
    truth = truth_here(tmp_path)
    assert isinstance(await open_policy(truth, {}), LocalPolicy)
    await tokens.settle(truth, {"OPA_URL": "http://localhost:8181"})
    assert isinstance(await open_policy(truth, {}), OpaPolicy)
    assert isinstance(await open_policy(truth, {"OPA_LOCAL_MODE": "true"}), LocalPolicy)
    await tokens.settle(truth, {})
    assert isinstance(await open_policy(truth, {}), LocalPolicy)
    with pytest.raises(ConfigError, match="OPA_URL"):
        await tokens.settle(truth, {"OPA_URL": "localhost"})
    (tmp_path / "auth" / "policy.json").write_text("[")
    with pytest.raises(ConfigError, match="cannot be read"):
        await open_policy(truth, {})


# -- the commands ---------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("CODETETHER_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("TZ", "UTC")

    def called(*arguments: str) -> Any:
        return CliRunner().invoke(auth, ["token", *arguments], standalone_mode=False)

    return called


def test_a_token_is_printed_once_and_comes_in(run: Any, tmp_path: Path) -> None:
    made = run("create", "ann", "--role", "editor", "--tenant", "acme", "--expires", "30d")
    value = made.stdout.strip()
    assert value.startswith("ctr_token_")
    assert value not in made.stderr
    assert "not shown again" in made.stderr
    found = asyncio.run(TruthTokens(truth_here(tmp_path), {}).principal_of(value))
    assert found is not None
    assert (found.owner, found.roles) == ("acme/ann", ("editor",))
    (token,) = FileTokens(tmp_path).named()
    assert token.expires_at is not None
    assert 29.9 * 86400 < token.expires_at - time.time() < 30.1 * 86400
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert value.encode() not in path.read_bytes()


def test_tokens_are_listed_without_digests_and_revoked_by_name(run: Any) -> None:
    made = json.loads(run("create", "ci", "--role", "worker", "--json").stdout)
    assert made["roles"] == ["worker"]
    assert run("revoke", "ci").return_value == 0
    assert run("revoke", "ci").return_value == 1
    assert run("revoke", "nobody").return_value == 1
    (row,) = json.loads(run("list", "--json").stdout)
    assert (row["name"], row["state"]) == ("ci", "revoked")
    assert "digest" not in row
    assert made["token"] not in run("list").stdout


def test_the_path_of_the_servers_token_is_shown_and_not_the_token(run: Any, tmp_path: Path) -> None:
    shown = run("show-path")
    path = Path(shown.stdout.strip())
    assert path == tmp_path / "auth" / "token"
    assert path.read_text().strip() not in shown.stdout + shown.stderr
    assert "CODETETHER_AUTH_TOKEN" not in shown.stderr
    FileTokens(tmp_path).give(digest_of("another"))
    assert "CODETETHER_AUTH_TOKEN" in run("show-path").stderr


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("a/b", "--role", "viewer"), "NAME"),
        ((SERVER_USER, "--role", "viewer"), "the server's own"),
        (("ann", "--role", "king"), "there are viewer"),
        (("ann", "--role", "viewer", "--tenant", "a/b"), "--tenant"),
        (("ann", "--role", "viewer", "--scope", "everything"), "--scope"),
        (("ann",), "--role"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(
    run: Any, tmp_path: Path, arguments: tuple[str, ...], word: str
) -> None:
    refused = run("create", *arguments)
    assert word in str(refused.exception.format_message())
    assert not (tmp_path / "auth" / "tokens.json").exists()
