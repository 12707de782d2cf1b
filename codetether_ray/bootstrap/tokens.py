"""Tokens where the truth is, and the book of them that each replica keeps in memory.

A replica holds digests alone. It asks again when what it knows is a second old, in the background,
waits for the answer when it is five seconds old, and lets in nobody by what is older: a token that
was revoked opens nothing five seconds later, wherever the head is.
"""

import asyncio
import hmac
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from codetether_ray.bootstrap.policies import SETTLE_POLICY, settings_of
from codetether_ray.bootstrap.truth.identity import Home
from codetether_ray.bootstrap.truth.place import Truth
from codetether_ray.core.codec import JsonObject, decode, encode
from codetether_ray.core.errors import AuthUnavailableError, CodetetherError, ConfigError
from codetether_ray.core.principals import Principal
from codetether_ray.ports.tokens import NamedToken
from codetether_ray.stores.tokens import FileTokens, digest_of

AUTH_TOKEN = "CODETETHER_AUTH_TOKEN"
SERVER_USER = "bearer-token-user"
"""As whom the server's own token comes; the reference's word, for policies written for it."""
SERVER_ROLE = "admin"

_NEWS_S = 1.0
_STALE_S = 5.0
_NEW_TOKEN_S = 0.1
"""How old the book may be for somebody whose token is not in it."""
_LONGEST_TOKEN = 4096  # characters


# -- asked of the truth ---------------------------------------------------------------------------


def standing(home: Home, known: str) -> JsonObject:
    """What decides who comes in: digests, named tokens; only its `mark` where `known` is it."""
    store = FileTokens(home.data_dir)
    store.server_digest()  # the file is made, then its mark is taken
    mark = store.mark()
    if mark == known:
        return {"mark": mark}
    return {
        "mark": mark,
        "server": store.server_digest(),
        "is_settled": store.is_settled(),
        "tokens": [encode(token) for token in store.named()],
    }


def give(home: Home, digest: str) -> None:
    """See `FileTokens.give`."""
    FileTokens(home.data_dir).give(digest)


def add(home: Home, token: JsonObject) -> None:
    """See `FileTokens.add`."""
    FileTokens(home.data_dir).add(decode(NamedToken, token))


def revoke(home: Home, name: str, now: float) -> bool:
    """See `FileTokens.revoke`."""
    return FileTokens(home.data_dir).revoke(name, now)


def listed(home: Home) -> list[JsonObject]:
    """The named tokens, without their digests."""
    tokens = FileTokens(home.data_dir).named()
    return [{k: v for k, v in _fields(token).items() if k != "digest"} for token in tokens]


def server_file(home: Home) -> str:
    """The path of the server's own token there; it is made if need be."""
    return str(FileTokens(home.data_dir).make_server_token())


def own_file(home: Home) -> str:
    """The same, where it is the one that counts; else empty."""
    store = FileTokens(home.data_dir)
    return "" if store.is_given() else str(store.make_server_token())


_HERE = "codetether_ray.bootstrap.tokens"
STANDING, GIVE, ADD = f"{_HERE}:standing", f"{_HERE}:give", f"{_HERE}:add"
REVOKE, LISTED, SERVER_FILE = f"{_HERE}:revoke", f"{_HERE}:listed", f"{_HERE}:server_file"
OWN_FILE = f"{_HERE}:own_file"


def _fields(token: NamedToken) -> JsonObject:
    found = encode(token)
    return found if isinstance(found, dict) else {}


# -- the server's own -----------------------------------------------------------------------------


async def settle(truth: Truth, env: Mapping[str, str]) -> str:
    """Say, before an ingress is started, which its own token is; where that is found, in words.

    CODETETHER_AUTH_TOKEN of `env` crosses as its digest alone; without it, the one in the truth's
    data directory counts, which is made if need be. Which policy decides is said as well.

    Raises:
        ConfigError: a variable is not what it must be, or a file cannot be used.
        ClusterError: the head does not answer.
    """
    token = given_token(env)
    await truth.ask(GIVE, digest_of(token) if token else "")
    await truth.ask(SETTLE_POLICY, settings_of(env))
    return await whereabouts(truth)


async def whereabouts(truth: Truth) -> str:
    """Where the server's own token is found, in words; never the token.

    Raises:
        ConfigError: that cannot be read.
        ClusterError: the head does not answer.
    """
    path = await truth.ask(OWN_FILE)
    if not path:
        return f"the token is the {AUTH_TOKEN} that it was started with"
    return f"the token is in {path} (`codetether auth token show-path`)"


def given_token(env: Mapping[str, str]) -> str:
    """CODETETHER_AUTH_TOKEN, empty where it is not set.

    Raises:
        ConfigError: it holds what no header can carry; its value is not repeated.
    """
    token = env.get(AUTH_TOKEN, "").strip()
    if len(token) > _LONGEST_TOKEN or not all("!" <= letter <= "~" for letter in token):
        raise ConfigError(
            f"{AUTH_TOKEN} must be one word of visible ASCII letters, {_LONGEST_TOKEN} at most"
        )
    return token


# -- the book -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Page:
    """What is known of the tokens, and since when."""

    mark: str = ""
    server: str = ""
    """The digest of the server's own."""
    is_settled: bool = False
    """Whether `server` counts whatever this process' environment says."""
    named: Mapping[str, NamedToken] = field(default_factory=dict)
    """By digest. Who guesses knows the digests of guesses and not of tokens, so what a look-up
    takes says nothing of a token: that is why it need not take constant time."""
    read_at: float = float("-inf")


class TruthTokens:
    """A `TokenBook` of the truth's data directory."""

    def __init__(
        self,
        truth: Truth,
        env: Mapping[str, str] | None = None,
        *,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        """Know the tokens of `truth`, and CODETETHER_AUTH_TOKEN of `env` (None: this process's).

        The variable counts where nothing was settled: replicas have the environment in which their
        cluster was started, and `codetether serve` says what its user's has.

        Raises:
            ConfigError: that variable holds what no header can carry.
        """
        own = given_token(os.environ if env is None else env)
        self._own = digest_of(own) if own else ""
        self._truth, self._clock, self._ticks = truth, clock, ticks
        self._page = _Page()
        self._reading: asyncio.Task[None] | None = None

    async def principal_of(self, token: str) -> Principal | None:
        """See `TokenBook.principal_of`."""
        if len(token) > _LONGEST_TOKEN:
            return None
        digest = digest_of(token)
        if self._own and not self._page.is_settled and self._is_servers(digest):
            if self._ticks() - self._page.read_at >= _NEWS_S:
                self._read_soon()
            return _SERVER
        await self._fresh_for(digest)
        if self._is_servers(digest):
            return _SERVER
        page = self._page
        named = page.named.get(digest)
        if named is None or not named.is_valid(self._clock()):
            return None
        return Principal(
            user_id=named.name,
            roles=named.roles,
            tenant_id=named.tenant_id,
            scopes=named.scopes,
        )

    async def read(self) -> None:
        """Learn the tokens now, so that what is wrong with them is told at the start.

        Raises:
            ConfigError: they cannot be read.
            ClusterError: the head does not answer.
        """
        await self._read_soon()

    async def close(self) -> None:
        """End a reading that is under way."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    def _is_servers(self, digest: str) -> bool:
        """Whether that is the server's own token, by the page as it is."""
        page = self._page
        server = page.server if page.is_settled or not self._own else self._own
        return bool(page.mark) and hmac.compare_digest(digest, server)

    async def _fresh_for(self, digest: str) -> None:
        """Have the page as new as is needed for a token of that digest."""
        age = self._ticks() - self._page.read_at
        is_known = digest in self._page.named or digest == self._page.server
        if age < (_NEWS_S if is_known else _NEW_TOKEN_S):
            return
        reading = self._read_soon()
        if is_known and age < _STALE_S:
            return
        try:
            async with asyncio.timeout(_STALE_S):
                await asyncio.shield(reading)
        except (CodetetherError, TimeoutError, OSError):
            if self._ticks() - self._page.read_at >= _STALE_S:
                raise AuthUnavailableError from None

    def _read_soon(self) -> "asyncio.Task[None]":
        """The reading that is under way, or a new one."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.get_running_loop().create_task(self._read())
            self._reading.add_done_callback(lambda done: done.cancelled() or done.exception())
        return self._reading

    async def _read(self) -> None:
        began = self._ticks()
        found = await self._truth.ask(STANDING, self._page.mark)
        page = self._page
        if found["mark"] == page.mark:
            self._page = replace(page, read_at=began)
            return
        tokens = (decode(NamedToken, item) for item in found["tokens"])
        named = {token.digest: token for token in tokens}
        self._page = _Page(
            mark=found["mark"],
            server=found["server"],
            is_settled=found["is_settled"],
            named=named,
            read_at=began,
        )


_SERVER = Principal(user_id=SERVER_USER, roles=(SERVER_ROLE,), auth_source="static_token")
