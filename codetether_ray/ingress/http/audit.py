"""`/v1/audit`: what was done, by whom, and how it ended; a run's events in ranges of bytes."""

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query

from codetether_ray.bootstrap.control import records
from codetether_ray.bootstrap.control.records import AuditPage
from codetether_ray.ingress.control import control_of
from codetether_ray.ingress.http.shapes.audit import AuditEvents, AuditPageBody, SegmentBody

if TYPE_CHECKING:
    from codetether_ray.ingress.parts import Parts

_RunId = Annotated[str, Query(min_length=1, max_length=200, description="Id of a run or session.")]
_Offset = Annotated[int, Query(ge=0, le=2**53)]


def router(parts: "Parts") -> APIRouter:
    """The routes of the audit log."""
    made = APIRouter(tags=["audit"])
    control = control_of(parts)

    async def page(asked: AuditEvents) -> AuditPageBody:
        found: AuditPage = await control.ask(
            records.AUDITED, asked.query(), asked.cursor, asked.limit
        )
        return AuditPageBody(entries=list(found.entries), next=found.next or None)

    @made.get("/v1/audit/events")
    async def events(asked: Annotated[AuditEvents, Query()]) -> AuditPageBody:
        """Entries that match, newest first."""
        return await page(asked)

    @made.post("/v1/audit/query")
    async def query(asked: AuditEvents) -> AuditPageBody:
        """The same, with the question in the body."""
        return await page(asked)

    @made.get("/v1/audit/replay")
    async def replay(
        session_id: _RunId,
        start_offset: _Offset = 0,
        end_offset: Annotated[int | None, Query(ge=0, le=2**53)] = None,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
        tool_name: Annotated[str, Query(max_length=200)] = "",
    ) -> list[dict[str, Any]]:
        """A run's recorded events whose line begins in a range of bytes of its stream."""
        asked = (session_id, start_offset, end_offset, limit, tool_name)
        found: list[dict[str, Any]] = await control.ask(records.REPLAYED, *asked)
        return found

    @made.get("/v1/audit/replay/index")
    async def index(session_id: _RunId) -> list[SegmentBody]:
        """The files of a run's stream, with the ranges that they hold."""
        found = await control.ask(records.INDEXED, session_id)
        return [SegmentBody.model_validate(one) for one in found]

    return made
