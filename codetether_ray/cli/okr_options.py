"""Options that several `okr` commands have, and how they reach what they name."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from codetether_ray.bootstrap.truth.reading import Source
    from codetether_ray.core.okrs import Okr, OkrRun

F = TypeVar("F", bound=Callable[..., Any])

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON alone.")


def id_option(*, is_required: bool = False) -> Callable[[F], F]:
    """`--id`: of an OKR, a run of one, or a relay; its beginning is enough."""
    kept: dict[str, Any] = {"required": True} if is_required else {"default": ""}
    return click.option(
        "-i",
        "--id",
        "id",
        **kept,
        callback=_given if is_required else None,
        metavar="ID",
        help="An OKR, a run of one, or its relay (rly_…); the beginning is enough.",
    )


def _given(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if not value.strip():
        raise click.UsageError("--id is empty; `codetether okr runs` shows ids")
    return value


def opened(address: str | None) -> "AbstractContextManager[Source]":
    """Where the OKRs are."""
    from codetether_ray.bootstrap.truth.reading import reading
    from codetether_ray.cli.style import say

    return reading(address, say)


def everything(source: "Source", id: str = "") -> "tuple[list[Okr], list[OkrRun]]":
    """All OKRs and runs; with an id that OKR with its runs, or that run with its OKR.

    Raises:
        UnknownOkrError: nothing, or more than one thing, is meant.
    """
    from codetether_ray.bootstrap.truth.okrs import ALL, FIND

    okrs, runs = source.ask(ALL)
    if not id:
        return list(okrs), list(runs)
    okr, run = source.ask(FIND, id)
    mine = [one for one in runs if one.okr_id == okr.id]
    return [okr], mine if run is None else [run]


def waiting(source: "Source", id: str) -> "tuple[Okr, OkrRun]":
    """The run that an id means; of an OKR, the newest that waits for approval, or the newest.

    Raises:
        UnknownOkrError: there is none.
    """
    from codetether_ray.core.errors import UnknownOkrError

    okrs, runs = everything(source, id)
    if not runs:
        raise UnknownOkrError(id, "run of OKR")
    pending = [run for run in runs if run.status == "pending_approval"]
    return okrs[0], (pending or runs)[-1]


def refuse_keys(source: "Source", okr: "Okr") -> None:
    """Refuse an OKR that holds a key which is stored here: models and the record get it.

    Raises:
        UsageError: it does.
    """
    import asyncio
    import os

    from codetether_ray.bootstrap.known_secrets import holds_any, values_here
    from codetether_ray.core.errors import UsageError

    if holds_any(asyncio.run(values_here(os.environ, source.paths.data)), str(okr)):
        raise UsageError(
            "the OKR holds a key that is stored here; take it out, for models and the record get "
            "what it says"
        )


def principal() -> str:
    """Who decides."""
    from codetether_ray.bootstrap.principal import this_principal

    return this_principal()
