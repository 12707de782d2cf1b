"""The token on other hosts: put there, compared, changed. Over ssh; it is never in an argument.

A change is made in two steps: the new token is laid beside the old one on every host, and only
where all of them have it does it take the old one's place.
"""

import shlex
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from codetether_ray.bootstrap.token.hosts import Host
from codetether_ray.bootstrap.token.place import DEFAULT, Token, fingerprint, new_text, write
from codetether_ray.core.errors import UsageError

_PATIENCE_S = 30.0
_MOST_AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a host answered."""

    host: str
    is_well: bool
    detail: str
    """Its token's fingerprint, or why there is none."""


def spread(token: Token, hosts: Sequence[Host], remote: str = DEFAULT) -> tuple[Told, ...]:
    """Give the token to each host; one that fails keeps nobody from it."""
    return _each(hosts, lambda host: _put(host, token.text, remote))


def compare(hosts: Sequence[Host], remote: str = DEFAULT) -> tuple[Told, ...]:
    """The fingerprint of the token that each host has."""
    return _each(hosts, lambda host: _look(host, remote))


def rotate(
    old: Token, hosts: Sequence[Host], remote: str = DEFAULT
) -> tuple[Token, tuple[Told, ...]]:
    """Make a new token here and on all hosts.

    Raises:
        UsageError: the old one is in a variable, or a host cannot be given the new one: then
            nothing has changed.
    """
    if old.path is None:
        raise UsageError(
            f"the token is in {old.source}, not in a file: unset it, or change it where it is set"
        )
    text = new_text()
    staged = _each(hosts, lambda host: _stage(host, text, remote))
    failed = [told for told in staged if not told.is_well]
    if failed:
        _each(hosts, lambda host: _run(host, f"rm -f {_next(remote)}"))
        words = "; ".join(f"{told.host}: {told.detail}" for told in failed)
        raise UsageError(f"the token was not changed, since not every host took it ({words})")
    done = _each(hosts, lambda host: _run(host, f"mv {_next(remote)} {_quoted(remote)}"))
    return write(old.path, text), tuple(
        Told(host=t.host, is_well=t.is_well, detail=fingerprint(text) if t.is_well else t.detail)
        for t in done
    )


def _put(host: Host, text: str, remote: str) -> Told:
    staged = _stage(host, text, remote)
    if not staged.is_well:
        return staged
    moved = _run(host, f"mv {_next(remote)} {_quoted(remote)}")
    return moved if not moved.is_well else staged


def _stage(host: Host, text: str, remote: str) -> Told:
    """Lay the token beside the place where it shall be."""
    folder = _quoted(remote.rpartition("/")[0] or ".")
    lay = f"umask 077; mkdir -p {folder} && cat > {_next(remote)} && test -s {_next(remote)}"
    told = _run(host, lay, text)
    return Told(host=told.host, is_well=True, detail=fingerprint(text)) if told.is_well else told


def _look(host: Host, remote: str) -> Told:
    told = _run(host, f"if test -f {_quoted(remote)}; then cat {_quoted(remote)}; fi")
    if not told.is_well:
        return told
    if not told.detail:
        return Told(host=told.host, is_well=False, detail="it has no token")
    return Told(host=told.host, is_well=True, detail=fingerprint(told.detail))


def _run(host: Host, command: str, stdin: str = "") -> Told:
    try:
        done = subprocess.run(
            [*host.command, command],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )
    except FileNotFoundError:
        return Told(host=host.name, is_well=False, detail="there is no ssh here; install it")
    except subprocess.TimeoutExpired:
        return Told(host=host.name, is_well=False, detail=f"no answer within {_PATIENCE_S:.0f} s")
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        why = lines[-1] if lines else f"ssh ended with {done.returncode}"
        return Told(host=host.name, is_well=False, detail=why)
    return Told(host=host.name, is_well=True, detail=done.stdout.strip())


def _each(hosts: Sequence[Host], do: Callable[[Host], Told]) -> tuple[Told, ...]:
    if not hosts:
        return ()
    with ThreadPoolExecutor(min(len(hosts), _MOST_AT_ONCE)) as pool:
        return tuple(pool.map(do, hosts))


def _next(remote: str) -> str:
    return _quoted(f"{remote}.next")


def _quoted(remote: str) -> str:
    return shlex.quote(remote)
