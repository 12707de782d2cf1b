"""`codetether.v1.Control`: the control plane over gRPC, thin over what the routes ask as well.

Requests are checked by the shapes of the routes' bodies, so that both take the same.
"""

import json
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, TypeVar

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from pydantic import BaseModel, ValidationError

from codetether_ray.bootstrap.control import okrs as asked
from codetether_ray.bootstrap.control import owned
from codetether_ray.bootstrap.control.owned import Page
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import CodetetherError, UsageError
from codetether_ray.core.okrs import Okr, OkrRun
from codetether_ray.ingress.control import Control, Started, control_of
from codetether_ray.ingress.http.shapes.okrs import Decision, NewOkr, WorkBody
from codetether_ray.ingress.http.shapes.runs import RunQuery
from codetether_ray.ingress.http.shapes.swarms import NewPrd, NewSwarm, json_text
from codetether_ray.okr.json_form import okr_json, run_json
from codetether_ray.okr.progress import total_progress
from codetether_ray.pb.codetether.v1 import control_pb2 as pb
from codetether_ray.pb.codetether.v1 import control_pb2_grpc as stubs

if TYPE_CHECKING:
    from codetether_ray.ingress.parts import Parts

SERVICE = "codetether.v1.Control"
B = TypeVar("B", bound=BaseModel)
_LONGEST = 200  # characters of an id


def add_to(server: Any, parts: "Parts") -> None:
    """Have a server answer for the control plane of an ingress."""
    stubs.add_ControlServicer_to_server(ControlServicer(control_of(parts)), server)  # type: ignore[no-untyped-call]


class ControlServicer(stubs.ControlServicer):
    """The RPCs; each in the name of its caller. Errors are spelt by `grpc.errors`."""

    def __init__(self, control: Control) -> None:
        self._control = control

    # -- runs

    async def SubmitSwarm(self, request: Any, context: Any) -> Any:  # noqa: N802 - the RPC's name
        """Start a swarm."""
        return _started(await self._control.submit_swarm(_body(NewSwarm, request).order()))

    async def SubmitPrd(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Start the work on a PRD."""
        prd = _object(request.prd_json, "prd_json") if request.prd_json else None
        body = _body(NewPrd, request, without=("prd_json",), prd=prd)
        return _started(await self._control.submit_prd(body.order()))

    async def GetRun(self, request: Any, context: Any) -> Any:  # noqa: N802
        """One run."""
        owner = await self._control.owner()
        found = await self._control.ask(owned.ONE, _id(request.run_id), owner, time.time())
        return _run(found)

    async def ListRuns(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Runs, newest first."""
        body = _body(RunQuery, request)
        owner = await self._control.owner()
        terms = (body.kind or "", body.state or "", body.limit, body.before, time.time())
        page: Page = await self._control.ask(owned.PAGE, owner, *terms)
        return pb.ListRunsResponse(runs=[_run(row) for row in page.rows], next=page.next)

    async def FollowRun(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """A run's records, to its end."""
        after = request.after if request.HasField("after") else -1
        async for record in self._control.follow(_id(request.run_id), after):
            yield _record(record)

    async def CancelRun(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Tell a run to end."""
        was_running = await self._control.cancel(_id(request.run_id))
        return pb.CancelRunResponse(was_running=was_running)

    # -- bundles

    async def UploadBundle(self, request_iterator: Any, context: Any) -> Any:  # noqa: N802
        """Keep a bundle for the caller's orders."""
        found = await self._control.upload(_pieces(request_iterator))
        return pb.Bundle(id=found.id, size=found.size, sha256=found.sha256, refs=found.refs)

    async def FetchBundle(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """The branches that a run has made."""
        bundle = await self._control.pack(_id(request.run_id), _id(request.since))
        async for data in self._control.pieces(bundle):
            yield pb.BundlePiece(data=data)

    # -- OKRs

    async def ListOkrs(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The caller's OKRs."""
        okrs, runs = await self._control.ask(asked.ALL, await self._control.owner())
        found = [_okr(okr, tuple(r for r in runs if r.okr_id == okr.id)) for okr in okrs]
        return pb.ListOkrsResponse(okrs=found)

    async def GetOkr(self, request: Any, context: Any) -> Any:  # noqa: N802
        """One OKR."""
        owner = await self._control.owner()
        okr, runs = await self._control.ask(asked.FIND, _id(request.id), owner)
        return _okr(okr, runs)

    async def CreateOkr(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Write an OKR."""
        results = [_key_result(one) for one in request.key_results]
        body = _body(NewOkr, request, without=("key_results",), key_results=results)
        work = body.work.work() if body.work else None
        okr, run = await self._control.create_okr(body.draft(), work)
        return _okr(okr, (run,))

    async def ApproveOkr(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Approve the run that waits."""
        okr, run = await self._decided(request, "approved")
        answer = pb.DecidedOkr(okr=_okr(okr, (run,)))
        try:
            begun = await self._control.start_approved(run)
        except CodetetherError as error:
            answer.not_started = str(error)
            return answer
        if begun is not None:
            answer.started.CopyFrom(_started(begun))
        return answer

    async def DenyOkr(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Deny the run that waits."""
        okr, run = await self._decided(request, "denied")
        return pb.DecidedOkr(okr=_okr(okr, (run,)))

    async def ResumeOkr(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Start an approved run, or have it go on."""
        work = _body(WorkBody, request.work).work() if request.HasField("work") else None
        return _started(await self._control.resume_okr(_id(request.id), work))

    async def CancelOkr(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Give a run up for good."""
        okr, run, was_running = await self._control.cancel_okr(_id(request.id))
        return pb.DecidedOkr(okr=_okr(okr, (run,)), was_running=was_running)

    async def _decided(self, request: Any, decision: str) -> tuple[Okr, OkrRun]:
        said = _body(Decision, request, without=("id",))
        return await self._control.decide(_id(request.id), decision, said.reason, said.version)


# -- reading --------------------------------------------------------------------------------------


def _body(cls: type[B], request: Message, *, without: tuple[str, ...] = (), **more: Any) -> B:
    """A request in the shape of the route's body.

    Raises:
        UsageError: it has not that shape.
    """
    given = MessageToDict(request, preserving_proto_field_name=True)
    fields = {name: value for name, value in given.items() if name not in without}
    try:
        return cls.model_validate({**fields, **more})
    except ValidationError as error:
        said = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:5])
        raise UsageError("; ".join(said)) from None


def _key_result(one: Any) -> dict[str, Any]:
    fields = MessageToDict(one, preserving_proto_field_name=True)
    text = fields.pop("measure_json", "")
    return {**fields, "measure": _object(text, "measure_json")} if text else fields


def _object(text: str, name: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise UsageError(f"{name} is not JSON") from None
    if not isinstance(found, dict):
        raise UsageError(f"{name} is no JSON object")
    json_text(found)
    return found


def _id(text: str) -> str:
    if len(text) > _LONGEST:
        raise UsageError("that is no id: it is too long")
    return text


async def _pieces(requests: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    async for request in requests:
        yield request.data


# -- answering ------------------------------------------------------------------------------------


def _started(run: Started) -> Any:
    return pb.StartedRun(run_id=run.run_id, notes=run.notes)


def _record(record: Any) -> Any:
    names = ("seq", "time", "agent", "kind")
    return pb.RunRecord(**{name: record[name] for name in names}, json=_json(record))


def _run(row: JsonObject) -> Any:
    names = ("id", "kind", "title", "state", "outcome", "principal")
    return pb.Run(**{name: str(row[name] or "") for name in names}, json=_json(row))


def _okr(okr: Okr, runs: tuple[OkrRun, ...]) -> Any:
    return pb.Okr(
        id=okr.id,
        title=okr.title,
        status=okr.status,
        progress=total_progress(okr),
        version=okr.version,
        runs=[
            pb.OkrRun(
                id=run.id,
                status=run.status,
                relay_id=run.relay_id or "",
                json=_json(run_json(run)),
            )
            for run in runs
        ],
        json=_json(okr_json(okr)),
    )


def _json(value: JsonObject) -> str:
    return json.dumps(value, ensure_ascii=False)
