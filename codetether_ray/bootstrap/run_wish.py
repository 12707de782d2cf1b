"""What a command asks of any run of several agents, and the terms that this comes to."""

import asyncio
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypedDict, TypeVar

from codetether_ray.bootstrap.models import ChosenModel
from codetether_ray.bootstrap.principal import this_principal
from codetether_ray.bootstrap.run_request import RunRequest
from codetether_ray.bootstrap.running import with_model_of_today
from codetether_ray.config.settings import Settings, load_settings
from codetether_ray.core.errors import ConfigError
from codetether_ray.core.usage import Budget, Price
from codetether_ray.ports.admission import Placement
from codetether_ray.ports.pool import PoolTerms

R = TypeVar("R", bound=RunRequest)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWish:
    """What a run was asked for. None leaves a choice to the settings."""

    directory: Path
    resume: str | None = None
    """Go on with this run (`resuming.NEWEST`: with the one to resume); what it was asked for and
    its terms hold, its budget too, but for what is given."""
    model: str | None = None
    max_steps: int | None = None
    timeout_s: float | None = None
    retry_for_s: float | None = None
    wait_quota_s: float | None = None
    budget: Budget = field(default_factory=Budget)
    deliver: bool = False
    record: Path | None = None
    address: str | None = None
    """What `--address` says."""
    is_local: bool = False
    """In this process, whatever cluster is there."""
    dashboard: bool = False


class Terms(TypedDict):
    """Those members of a `RunRequest` that every kind of run takes alike."""

    data_dir: str
    principal: str
    model: str
    base_url: str
    context_window: int | None
    price: Price | None
    max_tool_calls: int
    placement: Placement
    labels: tuple[tuple[str, str], ...]
    pool: PoolTerms
    retry_for_s: float
    wait_quota_s: float
    setup: str
    copy: tuple[str, ...]
    hooks: bool
    deliver: bool


def new_terms(wish: RunWish, settings: Settings, model: ChosenModel, data_dir: Path) -> Terms:
    """The terms of a run that has yet to begin.

    Raises:
        ConfigError: a label is not NAME=VALUE.
    """
    agent, workspace = settings.agent, settings.workspace
    return Terms(
        data_dir=str(data_dir),
        principal=this_principal(),
        model=str(model),
        base_url=model.base_url,
        context_window=model.context_window,
        price=model.price,
        max_tool_calls=agent.max_tool_calls,
        placement="pack" if settings.swarm.placement == "pack" else "spread",
        labels=_labels(settings.swarm.labels),
        pool=settings.pool,
        retry_for_s=agent.retry_for_s if wish.retry_for_s is None else wish.retry_for_s,
        wait_quota_s=agent.wait_quota_s if wish.wait_quota_s is None else wish.wait_quota_s,
        setup=workspace.setup,
        copy=workspace.copy,
        hooks=workspace.hooks,
        deliver=wish.deliver,
    )


async def on_terms_of_today(
    old: R, wish: RunWish, may_change: tuple[str, ...], data_dir: Path
) -> R:
    """A request that is resumed: a setup command may have been put right since.

    `may_change` names the members that the wish gives anew, where it has them.
    """
    now = await with_model_of_today(old, wish.model, wish.budget, data_dir)
    settings = await asyncio.to_thread(load_settings, Path(old.directory), os.environ)
    workspace = settings.workspace
    given = {name: value for name in may_change if (value := getattr(wish, name)) is not None}
    return replace(
        now,
        **given,
        setup=workspace.setup,
        copy=workspace.copy,
        hooks=workspace.hooks,
        deliver=wish.deliver or old.deliver,
    )


def _labels(words: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    for word in words:
        if not all(word.partition("=")):
            raise ConfigError(f"swarm.labels: {word!r} is not NAME=VALUE")
    return tuple(sorted((name, value) for name, _, value in (w.partition("=") for w in words)))
