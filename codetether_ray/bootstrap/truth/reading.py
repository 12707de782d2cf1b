"""What reading commands read: this data directory, or the head's as far as they need it.

Where no cluster is named, nothing is joined, and neither Ray nor asyncio is imported.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codetether_ray.bootstrap.replay import all_runs, archived, find_id
from codetether_ray.bootstrap.truth.address import Address, choose_address
from codetether_ray.bootstrap.truth.place import Truth, truth_here
from codetether_ray.bootstrap.truth.reach import is_own_head, reached
from codetether_ray.config.paths import Paths, find_paths
from codetether_ray.journal.files import Fetch


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a command reads from. Its methods block."""

    truth: Truth
    label: str
    """Who says what the command prints: `this machine`, or `the head at …`."""
    paths: Paths

    @property
    def is_here(self) -> bool:
        """Whether the files are read where they are."""
        return self.truth.is_here

    def ask(self, function: str, *arguments: Any) -> Any:
        """See `Truth.ask`.

        Raises:
            CodetetherError: what the function raised, or the head does not answer.
        """
        return self.truth.ask_now(function, *arguments)

    def find(self, text: str) -> str:
        """The run that `text` names; see `find_id`.

        Raises:
            UnknownRunError: no run, or more than one, is meant.
        """
        if self.is_here:
            return find_id(self.truth.data_dir, text)
        from codetether_ray.bootstrap.truth.runs import FIND

        return str(self.ask(FIND, text))

    def runs(self) -> tuple[str, ...]:
        """Ids of all runs, oldest first."""
        if self.is_here:
            return all_runs(self.truth.data_dir)
        from codetether_ray.bootstrap.truth.runs import ALL

        return tuple(self.ask(ALL))

    def run(self, run_id: str, *, is_exact: bool = False) -> Path:
        """A data directory that holds the run as it is now; `is_exact`: every byte is compared."""
        return self._room(f"events/{run_id}", is_exact=is_exact)

    def audit(self, *, is_exact: bool = False) -> Path:
        """A data directory that holds the audit log as it is now."""
        return self._room("audit", is_exact=is_exact)

    @property
    def fetch(self) -> Fetch:
        """Gets what a run's directory lacks: from the head, from the archive."""
        if self.is_here:
            return archived()
        from codetether_ray.bootstrap.truth.mirror import fetcher

        return fetcher(self.truth, self.paths.cache, archived())

    def _room(self, room: str, *, is_exact: bool) -> Path:
        if self.is_here:
            return self.truth.data_dir
        from codetether_ray.bootstrap.truth.mirror import bring

        return bring(self.truth, self.paths.cache, room, is_exact=is_exact)


@contextmanager
def reading(given: str | None, say: Callable[[str], None]) -> Iterator[Source]:
    """The source that `--address` (`given`), the environment and the saved context mean.

    `say` is told, in a sentence, where it is another machine's.

    Raises:
        ClusterError: the cluster that is named cannot be joined, or its ingress does not answer.
    """
    paths = find_paths(os.environ)
    address = choose_address(given, os.environ)
    if not address.is_named or is_own_head(address.value, paths.data):
        yield Source(truth=truth_here(paths.data), label=_label(address), paths=paths)
        return
    truth = _by_http(address, paths)
    if truth is not None and truth.http is not None:
        with closing(truth.http):
            say(f"from {truth.source}")
            yield Source(truth=truth, label=truth.source, paths=paths)
        return
    import asyncio

    with asyncio.Runner() as runner:
        reach = reached(given, paths.data, say)
        found = runner.run(_entered(reach))
        try:
            if not found.truth.is_here:
                say(f"from {found.source}")
            yield Source(truth=found.truth, label=found.source, paths=paths)
        finally:
            runner.run(_left(reach))


def _by_http(address: Address, paths: Paths) -> Truth | None:
    """The truth behind an ingress; None where the address is none."""
    if not address.is_http:
        return None
    from codetether_ray.bootstrap.truth.http import leads_to_ingress, truth_at

    if not leads_to_ingress(address.value, paths.data):
        return None
    return truth_at(address.value, os.environ)


def _label(address: Address) -> str:
    return f"the head at {address.value}" if address.is_named else "this machine"


async def _entered(context: Any) -> Any:
    return await context.__aenter__()


async def _left(context: Any) -> None:
    await context.__aexit__(None, None, None)
