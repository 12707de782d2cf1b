"""What `codetether spawn` does: a whole ingress in this process, without Ray, that has peers."""

import asyncio
import fcntl
import hashlib
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from codetether_ray.bootstrap.tokens import AUTH_TOKEN, OWN_FILE, settle
from codetether_ray.bootstrap.truth.address import LOCAL, Address
from codetether_ray.bootstrap.truth.place import truth_here
from codetether_ray.bootstrap.truth.reach import Reach
from codetether_ray.core.errors import ConfigError, UsageError
from codetether_ray.ingress.checks import settled
from codetether_ray.ingress.options import IngressOptions
from codetether_ray.ingress.parts import Parts

Notice = Callable[[str], None]

GRACE_S = 10.0
_ROOM, _LOCK, _SECRETS = "peers", "lock", "secrets"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TELEMETRY = "OTEL_INSTRUMENTATION_A2A_SDK_ENABLED"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerWish:
    """A peer that is wanted."""

    options: IngressOptions
    """`data_dir` is that of its user; its own is below."""
    peers: tuple[str, ...] = ()
    """URLs to begin with."""
    interval_s: float = 15.0
    """How often peers are looked at."""
    introduces: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Spawned:
    """A peer that answers."""

    parts: Parts
    data_dir: Path
    token_file: str
    """Where its token is; empty: CODETETHER_AUTH_TOKEN counts."""


@asynccontextmanager
async def spawned(
    wish: PeerWish, notice: Notice, env: Mapping[str, str] | None = None
) -> AsyncIterator[Spawned]:
    """A peer that answers, and looks for others, until the end.

    Raises:
        UsageError: one of that name runs here already.
        CodetetherError: it cannot listen, or what it needs cannot be opened.
    """
    os.environ[_TELEMETRY] = "false"  # the SDK reads it when it is imported
    from codetether_ray.bootstrap.a2a.discovery import Discovery, Me
    from codetether_ray.bootstrap.a2a.peer_tokens import PeerTokens
    from codetether_ray.bootstrap.heap import settle_heap
    from codetether_ray.ingress.cards import public_url
    from codetether_ray.ingress.listening import Listening
    from codetether_ray.ingress.opening import opened_parts
    from codetether_ray.local.clock import SystemClock

    env = os.environ if env is None else env
    user_data = Path(wish.options.data_dir)
    folder = peer_folder(user_data, wish.options.name)
    async with AsyncExitStack() as closing:
        closing.enter_context(_alone(folder, wish.options.name))
        _lend_keys(user_data, folder)
        given = replace(wish.options, data_dir=str(folder), instance=uuid4().hex)
        options = await asyncio.to_thread(settled, given)
        truth = truth_here(folder)
        await settle(truth, env)
        token_file = await truth.ask(OWN_FILE)
        os.environ.pop(AUTH_TOKEN, None)  # no command of an agent is to see it
        reach = Reach(address=Address(value=LOCAL), truth=truth)
        parts = await closing.enter_async_context(opened_parts(options, reach))
        discovery = Discovery(
            Me(name=options.name, url=public_url(options), instance=options.instance),
            wish.peers,
            PeerTokens.of(env),
            folder,
            SystemClock(),
            interval_s=wish.interval_s,
            introduces=wish.introduces,
            notice=notice,
        )
        parts.peers = discovery
        listening = await Listening.start(parts)
        closing.push_async_callback(listening.stop, GRACE_S)
        closing.push_async_callback(discovery.close)
        await discovery.start()
        settle_heap()
        yield Spawned(parts=parts, data_dir=folder, token_file=token_file)


def peer_folder(data_dir: Path, name: str) -> Path:
    """A peer's own data directory, by its name: it finds its tasks again."""
    if _PLAIN.fullmatch(name):
        return data_dir / _ROOM / name
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:40]
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return data_dir / _ROOM / f"{plain or 'peer'}-{digest}"


@contextmanager
def _alone(folder: Path, name: str) -> Iterator[None]:
    """Be the only process with a peer's data directory.

    Raises:
        UsageError: another one has it.
        ConfigError: it cannot be written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"a peer named {name!r} runs here already; give this one another --name"
            ) from None
        yield
    finally:
        os.close(descriptor)


def _lend_keys(user_data: Path, folder: Path) -> None:
    """Have a peer's agents find the user's keys of providers: by a link, not by a copy.

    Raises:
        ConfigError: it cannot be made.
    """
    link = folder / _SECRETS
    try:
        if not link.is_symlink() and not link.exists():
            link.symlink_to(user_data / _SECRETS)
    except OSError as error:
        raise ConfigError(f"{link} cannot be made: {error.strerror}") from error
