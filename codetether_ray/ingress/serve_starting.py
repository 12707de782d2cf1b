"""Starts the ingress on a cluster that this process has joined, tells what runs, and ends it."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any

from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from codetether_ray.actors import tasks
from codetether_ray.actors.calls import reason
from codetether_ray.bootstrap.truth.reach import Reach
from codetether_ray.core.errors import ClusterError, ConfigError, ServesAlreadyError, UsageError
from codetether_ray.ingress.checks import CHECKED
from codetether_ray.ingress.options import IngressOptions
from codetether_ray.ingress.serve_app import APPLICATION, DEPLOYMENT, build

_START_S = 180.0
"""For all replicas, on a busy machine with a cold disk."""
_POLL_S = 0.25
_RUNNING, _FAILED, _GONE = "RUNNING", "DEPLOY_FAILED", "NOT_STARTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """The ingress that runs on a cluster."""

    options: IngressOptions
    status: str
    """Serve's word: `RUNNING`, `DEPLOYING`, `UNHEALTHY`, `DEPLOY_FAILED`, `DELETING`."""
    since: float
    """Seconds since the epoch: when it was deployed last."""
    replicas: int
    """How many of them answer."""
    message: str = ""
    is_new: bool = False

    @property
    def is_well(self) -> bool:
        """Whether all replicas answer."""
        return self.status == _RUNNING and self.replicas >= self.options.replicas

    @property
    def where(self) -> str:
        """Where it answers, for people."""
        return f"{self.options.hostname}:{self.options.port}"

    @property
    def since_words(self) -> str:
        """When, for people: UTC."""
        return datetime.fromtimestamp(self.since, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


async def start(
    options: IngressOptions, reach: Reach, notice: Callable[[str], None] | None = None
) -> Serving:
    """Deploy the ingress, and return when all its replicas answer.

    Where it runs already with these settings, it is left as it is. `notice` is told how far it
    is. Cancelled, or where it fails, nothing is left behind.

    Raises:
        ServesAlreadyError: one runs with other settings.
        PortTakenError: somebody else listens on a port.
        ClusterError: it does not start; the sentence says why.
        CodetetherError: the options make no sense on the head.
    """
    found = await find()
    if found is not None:
        return _the_same(found, options)
    chosen = IngressOptions(**await reach.truth.ask(CHECKED, asdict(options)))
    try:
        await asyncio.to_thread(_deploy, chosen)
        return await _until_running(chosen, notice or _ignore)
    except BaseException:
        await asyncio.shield(stop())
        raise


async def find() -> Serving | None:
    """The ingress that runs on the cluster; None where none does.

    Raises:
        ClusterError: Serve does not answer.
    """
    details = await asyncio.to_thread(_details)
    application = (details or {}).get("applications", {}).get(APPLICATION)
    if application is None or str(_word(application["status"])) == _GONE:
        return None
    deployment = application.get("deployments", {}).get(DEPLOYMENT)
    settings = (deployment or {}).get("deployment_config", {}).get("user_config") or {}
    replicas = (deployment or {}).get("replicas", [])
    return Serving(
        options=_options(settings),
        status=str(_word(application["status"])),
        since=float(application.get("last_deployed_time_s") or 0),
        replicas=sum(1 for one in replicas if _word(one["state"]) == _RUNNING),
        message=str((deployment or {}).get("message") or application.get("message") or ""),
    )


async def stop() -> Serving | None:
    """End the ingress: what is under way has some seconds. Serve itself ends with its last
    application. None where none ran.

    Raises:
        ClusterError: it still ends after a minute.
    """
    found = await find()
    if found is not None:
        await asyncio.to_thread(_delete)
    return found


def _deploy(options: IngressOptions) -> None:
    _hush()
    serve.start(proxy_location="Disabled")
    target = serve.RunTarget(
        target=build(asdict(options)),
        name=APPLICATION,
        route_prefix=None,
    )
    serve.run_many(
        [target],
        wait_for_ingress_deployment_creation=False,
        wait_for_applications_running=False,
    )


async def _until_running(wanted: IngressOptions, notice: Callable[[str], None]) -> Serving:
    deadline, told, found = time.monotonic() + _START_S, -1, None
    while time.monotonic() < deadline:
        found = await find()
        if found is not None and (found.status == _FAILED or _is_final(found.message)):
            raise ClusterError(f"the ingress does not start: {_reason(found.message)}")
        if found is not None and found.options == wanted and found.is_well:
            return replace(found, is_new=True)
        if found is not None and found.replicas != told:
            told = found.replicas
            notice(f"{told} of {wanted.replicas} replicas answer")
        await asyncio.sleep(_POLL_S)
    if wanted.is_spread and told >= 0:
        raise ClusterError(
            f"{told} of {wanted.replicas} replicas answer after {_START_S:.0f} s; with --spread "
            "each needs a node of its own, where its ports are free"
        )
    why = f" ({_reason(found.message)})" if found is not None and found.message else ""
    raise ClusterError(
        f"the ingress does not answer after {_START_S:.0f} s{why}; the logs of its replicas are in "
        "Ray's session directory, under logs/serve"
    )


def _the_same(found: Serving, options: IngressOptions) -> Serving:
    """What runs, if it is what is wanted; a port that may be any one is."""
    wanted, has = asdict(options), asdict(found.options)
    differs = [
        name
        for name in wanted
        if wanted[name] != has[name] and not (name in ("port", "grpc_port") and not wanted[name])
    ]
    if differs:
        where = f"{has['hostname']}:{has['port']} and {has['hostname']}:{has['grpc_port']} (gRPC)"
        words = ", ".join(name.replace("_", "-") for name in differs)
        raise ServesAlreadyError(where, found.since_words, words)
    return found


def _details() -> dict[str, Any] | None:
    """What Serve's controller knows; None where there is none."""
    from ray.serve.context import _get_global_client

    _hush()
    try:
        client = _get_global_client(raise_if_no_controller_running=False)
        return client.get_serve_details() if client is not None else None
    except (RayError, RayServeException) as error:
        raise ClusterError(f"Serve does not answer: {reason(error)}") from error


def _delete() -> None:
    try:
        serve.delete(APPLICATION)
    except TimeoutError as error:
        raise ClusterError("the ingress still ends after 60 s; look with `codetether serve "
                           "status`") from error  # fmt: skip
    tasks.end_all()
    if not serve.status().applications:
        serve.shutdown()


def _options(settings: dict[str, Any]) -> IngressOptions:
    """Options as Serve's JSON has them; those of another version of this program that are unknown
    here are left out."""
    known = {one.name for one in fields(IngressOptions)}
    found: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in settings.items()
        if name in known
    }
    return IngressOptions(**found)


def _word(status: Any) -> str:
    return str(getattr(status, "value", status))


def _reason(message: str) -> str:
    """The sentence of a replica's error, out of Serve's message with its stack trace."""
    errors = _errors(message)
    if errors:
        return errors[-1].partition(": ")[2]
    lines = message.split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "Serve gives no reason")


def _is_final(message: str) -> bool:
    """Whether a replica's error is one of settings: Serve tries again, and nothing comes of it."""
    name = next((line.partition(":")[0] for line in reversed(_errors(message))), "")
    return name.rpartition(".")[2] in (ConfigError.__name__, UsageError.__name__)


def _errors(message: str) -> list[str]:
    """The lines of a message that name an error of ours."""
    lines = map(str.strip, message.splitlines())
    return [line for line in lines if line.startswith("codetether_ray.") and ": " in line]


def _hush() -> None:
    """Serve tells this process' terminal nothing; its own logs have it."""
    logging.getLogger("ray.serve").setLevel(logging.ERROR)


def _ignore(_: str) -> None:
    """Nobody wants to know."""
