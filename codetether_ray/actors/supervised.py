"""A run's supervisor as a driver sees it: started or found, followed through its restarts."""

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, RayActorError, RayError, RayTaskError

from codetether_ray.actors.awaited import told_of
from codetether_ray.actors.calls import reason, translated
from codetether_ray.actors.classes import made_remote
from codetether_ray.actors.cluster import NAMESPACE
from codetether_ray.actors.dossier import Dossier, Job
from codetether_ray.actors.nodes import is_node_dead, on_node, this_node
from codetether_ray.actors.pulse import Body, asked, patiently, plain
from codetether_ray.actors.services import Services
from codetether_ray.actors.supervisor import News, Question, Supervisor
from codetether_ray.actors.truth import FarDossier
from codetether_ray.core.errors import ClusterError, RunBusyError, RunLostError
from codetether_ray.sandbox.environment import tool_environment

_CALLS_AT_ONCE = 20_000
"""A parent that waits for a child holds one; so this bounds agents that wait, far away."""
_MAX_RESTARTS = 10
_WAIT_S = 10.0
"""How long the supervisor keeps a question for news."""
_PAUSE_S = 0.2
_NODE_PATIENCE_S = 5.0
"""Before it is asked whether the node is dead: a cluster that is dead as a whole is found first."""
_RESTART_PATIENCE_S = 90.0
"""For a process that Ray starts again, on a busy machine."""


def _ignore(*_: Any) -> None:
    """Nobody wants to know."""


class RaySupervisor:
    """One run's supervisor."""

    def __init__(
        self, run_id: str, actor: Any, dossier: Dossier | FarDossier, job: Job, node: str = ""
    ) -> None:
        self.run_id = run_id
        self.actor = actor
        self._dossier = dossier
        self._job = job
        self._body: Body | None = None
        self._node = node or this_node()
        self._wait_s = min(_WAIT_S, job.lease_s)

    @classmethod
    def start(
        cls,
        run_id: str,
        services: Services,
        job: Job,
        dossier: Dossier | FarDossier,
        node: str = "",
    ) -> "RaySupervisor":
        """Make the actor on `node` (this one), where the run's files are; it begins at once.

        It sees those variables of this process that a tool may see, unless its files are others.
        It ends with this process, unless the job says that it lasts.

        Raises:
            RunBusyError: there is one already.
            ClusterError: its files cannot be written.
        """
        if find(run_id) is not None:
            raise RunBusyError(run_id, "its supervisor")
        environ = job.environ if job.is_far else {**tool_environment(os.environ), **job.environ}
        job = replace(job, environ=environ, token=secrets.token_hex(8))
        dossier.open(job)
        try:
            actor = (
                made_remote(Supervisor)
                .options(
                    name=_name(run_id),
                    namespace=NAMESPACE,
                    lifetime="detached" if job.lasts else "non_detached",
                    num_cpus=0,
                    max_restarts=_MAX_RESTARTS,
                    max_task_retries=0,
                    max_concurrency=_CALLS_AT_ONCE,
                    scheduling_strategy=on_node(node or this_node()),
                )
                .remote(run_id, services, str(dossier.folder))
            )
        except ValueError as error:  # another driver was faster
            raise RunBusyError(run_id, "its supervisor") from error
        return cls(run_id, actor, dossier, job, node)

    @classmethod
    def join(
        cls, run_id: str, dossier: Dossier | FarDossier, node: str = ""
    ) -> "RaySupervisor | None":
        """The supervisor of a run that is under way on this cluster; None if there is none.

        Raises:
            ClusterError: its files cannot be read.
        """
        actor = find(run_id)
        return None if actor is None else cls(run_id, actor, dossier, dossier.job(), node)

    async def result(
        self,
        ask: Callable[[Any], Awaitable[Any]],
        on_restart: Callable[[str], None] = _ignore,
        on_wait: Callable[[str], None] = _ignore,
    ) -> Any:
        """The run's plain result, through restarts of its supervisor; `ask` answers questions.

        A question that a successor repeats is not asked again: it gets the word that was given.

        `on_restart` is told, in a sentence, when the supervisor was replaced; `on_wait`, what
        it waits for, while the supervisor is not up.

        Raises:
            CodetetherError: what the run raised.
            RunLostError: the supervisor is gone for good.
            ClusterError: the run was cancelled and gave no result.
        """
        known, words, answering = "", _Words(ask), set[asyncio.Task[None]]()
        try:
            while (news := await self._news(known, on_restart, on_wait)).ended is None:
                if news.question is not None and news.question.id != known:
                    known = news.question.id
                    answering.add(asyncio.create_task(self._answer(news.question, words)))
        finally:
            words.close()
            for task in answering:
                task.cancel()
            await asyncio.gather(*answering, return_exceptions=True)
        if news.ended.error is not None:
            raise news.ended.error
        return news.ended.value

    def cancel(self) -> None:
        """Cancel the run, now or after a restart of its supervisor; `result` tells how it ended."""
        self._dossier.cancel()
        self.actor.cancel.remote()

    def end(self) -> None:
        """End the actor and, with it, every agent of the run."""
        ray.kill(self.actor)
        self._dossier.remove(self._job)

    async def _news(
        self, known: str, on_restart: Callable[[str], None], on_wait: Callable[[str], None]
    ) -> News:
        loop = asyncio.get_running_loop()
        missed_since = None
        while True:
            wait_s = self._wait_s if self._body is not None else 0.0
            answer = asked(self.actor.news.remote(known, wait_s))
            if not await self._is_heard(answer, on_wait):
                answer.cancel()
                self._end_silent(on_restart)
                continue
            try:
                news: News = answer.result()
            except ActorUnavailableError:
                missed_since = missed_since or loop.time()
                await self._check_is_restarting(loop.time() - missed_since)
                await asyncio.sleep(_PAUSE_S)
                continue
            except RayTaskError as error:
                raise translated(error, f"the supervisor of {self}") from error
            except RayError as error:
                raise RunLostError(self.run_id, reason(error)) from error
            self._see(news, on_restart)
            return news

    async def _is_heard(
        self, answer: "asyncio.Future[Any]", on_wait: Callable[[str], None]
    ) -> bool:
        """Whether it answers in time; who waits for its first word is told why."""
        if self._body is not None:
            return await patiently(answer, self._patience_s)

        def tell(why: str) -> None:
            on_wait(f"the supervisor of {self} {why}")

        return await told_of(answer, self._patience_s, self.actor, tell)

    async def _check_is_restarting(self, missed_s: float) -> None:
        """The supervisor lives on one node, where its files are; it does not outlive that."""
        if missed_s > _RESTART_PATIENCE_S:
            raise RunLostError(self.run_id, "Ray does not start it again")
        if missed_s > _NODE_PATIENCE_S and await is_node_dead(self._node, _NODE_PATIENCE_S):
            raise RunLostError(self.run_id, "its node died")

    @property
    def _patience_s(self) -> float:
        if self._body is None:  # its process has yet to start
            return self._wait_s + _RESTART_PATIENCE_S
        return self._wait_s + self._job.lease_s

    def _end_silent(self, on_restart: Callable[[str], None]) -> None:
        on_restart(f"the supervisor of {self} gives no sign of life, so it is replaced")
        body, self._body = self._body, None
        if body is not None and body.process is not None:
            with suppress(ClusterError):  # its node may be gone with it
                self._dossier.kill(body.process)
        ray.kill(self.actor, no_restart=False)

    def _see(self, news: News, on_restart: Callable[[str], None]) -> None:
        if self._body is not None and self._body != news.body:
            on_restart(f"the process of {self} died; another one goes on from the journal")
        self._body = news.body

    async def _answer(self, question: Question, words: "_Words") -> None:
        value = await words.on(question.value)
        while True:
            try:
                await plain(self.actor.answer.remote(question.id, value))
            except ActorUnavailableError:
                await asyncio.sleep(_PAUSE_S)
            except RayActorError:
                return
            else:
                return

    def __str__(self) -> str:
        return self.run_id


class _Words:
    """What was answered, or is being asked, by question."""

    def __init__(self, ask: Callable[[Any], Awaitable[Any]]) -> None:
        self._ask = ask
        self._asked: list[tuple[Any, asyncio.Future[Any]]] = []

    async def on(self, question: Any) -> Any:
        """The word on a question, asked for once."""
        for known, word in self._asked:
            if known == question:
                return await asyncio.shield(word)
        word = asyncio.ensure_future(self._ask(question))
        self._asked.append((question, word))
        return await asyncio.shield(word)

    def close(self) -> None:
        """Nobody waits any more."""
        for _, word in self._asked:
            word.cancel()


def find(run_id: str) -> Any:
    """The actor of a run's supervisor; None if there is none."""
    try:
        return ray.get_actor(_name(run_id), namespace=NAMESPACE)
    except ValueError:
        return None


def _name(run_id: str) -> str:
    return f"{run_id} supervisor"
