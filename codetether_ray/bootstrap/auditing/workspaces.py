"""A run's workspace whose merges and delivery are in the audit log before they are made."""

from dataclasses import replace
from typing import Any, cast

from codetether_ray.bootstrap.auditing.opening import audited
from codetether_ray.core.spec import Correlation
from codetether_ray.ports.audit import Action, Audit, AuditCategory, about_task
from codetether_ray.ports.workspace import MergeOutcome, Tree, Workspace


def audited_workspace(
    inner: Workspace, audit: Audit, correlation: Correlation, category: AuditCategory
) -> Workspace:
    """The same workspace, audited where it changes a branch that is not an agent's own."""
    return cast("Workspace", _AuditedWorkspace(inner, audit, correlation, category))


class _AuditedWorkspace:
    """Passes everything on."""

    def __init__(
        self, inner: Workspace, audit: Audit, correlation: Correlation, category: AuditCategory
    ) -> None:
        self._category = category
        self._inner = inner
        self._audit = audit
        self._correlation = correlation

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def merge(self, theirs: str, message: str, *, into: str | None = None) -> MergeOutcome:
        """See `Workspace.merge`."""
        async with audited(self._audit, self._action("merge", theirs)) as done:
            outcome = await self._inner.merge(theirs, message, into=into)
            done.detail |= _told(outcome)
            return outcome

    async def finish_merge(
        self, tree: Tree, theirs: str, message: str, *, onto: str | None = None
    ) -> MergeOutcome:
        """See `Workspace.finish_merge`."""
        async with audited(self._audit, self._action("merge", theirs)) as done:
            outcome = await self._inner.finish_merge(tree, theirs, message, onto=onto)
            done.detail |= {**_told(outcome), "resolved": True}
            return outcome

    async def advance(self, commit: str) -> None:
        """See `Workspace.advance`."""
        async with audited(self._audit, self._action("land", commit)):
            await self._inner.advance(commit)

    async def deliver(self) -> str:
        """See `Workspace.deliver`."""
        head = await self._inner.head()
        async with audited(self._audit, self._action("deliver", head)):
            return await self._inner.deliver()

    def _action(self, name: str, commit: str) -> Action:
        task = about_task.get() or self._correlation.task_id
        return Action(
            category=self._category,
            action=f"{self._category}.{name}",
            resource=commit,
            principal="agent:run",
            correlation=replace(self._correlation, task_id=task),
        )


def _told(outcome: MergeOutcome) -> dict[str, Any]:
    return {"merge": outcome.status, "commit": outcome.commit, "conflicts": len(outcome.conflicts)}
