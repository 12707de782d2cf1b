"""The gate before a relay of `/go`: an OKR is drafted, shown, and begun only if it is approved.

Who decided is in the store of OKRs, which lets one decision win; the run's journal holds what was
said. A relay that is resumed finds both, and nobody is asked twice.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, cast

from codetether_ray.bootstrap.auditing.opening import audited
from codetether_ray.bootstrap.home import RunHome
from codetether_ray.bootstrap.okr_store import Okrs
from codetether_ray.bootstrap.relay.request import RelayRequest
from codetether_ray.bootstrap.run_home import Ask, Place
from codetether_ray.core import failpoints
from codetether_ray.core.codec import JsonObject, decode, encode_object
from codetether_ray.core.errors import (
    OkrChangedError,
    OkrTransitionError,
    UnknownOkrError,
    UsageError,
)
from codetether_ray.core.events import Event, OkrAnswered, Warned
from codetether_ray.core.okrs import Okr, OkrRun
from codetether_ray.core.spec import AgentSpec, Correlation
from codetether_ray.okr.drafting import Denied, draft_okr
from codetether_ray.okr.stamps import moment, seeded
from codetether_ray.okr.transitions import submit
from codetether_ray.ports.audit import Action

_NAME = 80
_MOST_DRAFTS = 20
Word = Literal["approve", "deny", "edit", "nobody"]
"""What is answered to a draft; `nobody`: there is nobody who could."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OkrQuestion:
    """A draft that somebody has to decide on, as it travels to who drives the run."""

    okr: Okr
    run: OkrRun
    number: int
    relay_id: str

    def to_json(self) -> JsonObject:
        """As `from_json` reads it."""
        return {"question": "okr", **encode_object(self)}

    @classmethod
    def from_json(cls, data: JsonObject) -> "OkrQuestion":
        """Read `to_json`'s form."""
        return decode(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class OkrAnswer:
    """What was said to it. `intent`: denied, and another draft is wanted for this."""

    word: Word
    intent: str = ""
    reason: str = ""
    okr: Okr | None = None
    """As it was edited."""
    by: str = ""

    def to_json(self) -> JsonObject:
        """As `from_json` reads it."""
        return encode_object(self)

    @classmethod
    def from_json(cls, data: JsonObject | bool) -> "OkrAnswer":
        """Read `to_json`'s form; who only knows yes and no may say that."""
        if isinstance(data, bool):
            return cls(word="approve" if data else "nobody")
        return decode(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What came out: `run.status` says whether it was approved."""

    okr: Okr
    run: OkrRun


class Gate:
    """Settles what a relay works towards."""

    def __init__(
        self, home: RunHome, request: RelayRequest, place: Place, okrs: Okrs, ask: Ask
    ) -> None:
        self._home = home
        self._request = request
        self._place = place
        self._okrs = okrs
        self._ask = ask
        self._voice = home.voices.of_run()

    async def settle(self) -> Settled:
        """Draft, ask, and ask again until it is approved, denied, or nobody can be asked.

        Raises:
            InvalidOkrError: no draft that can be used was made.
            CodetetherError: the store or the runtime fails.
        """
        if self._request.okr_run_id:
            return await self._decided(await self._stored(self._request.okr_run_id), 1)
        intent = self._request.task
        denied: list[Denied] = []
        for number in range(1, _MOST_DRAFTS + 1):
            draft = await self._draft(number, intent, denied)
            said = await self._said(number)
            if said is None:
                draft = await self._decided(draft, number)
                said = await self._said(number)
            elif draft.run.status == "pending_approval":  # it was said, and not stored yet
                draft = await self._store(draft, said)
            if said is None or said.answer != "redraft" or draft.run.status != "denied":
                return draft
            denied.append(Denied(okr=draft.okr, reason=said.intent))
            intent = said.intent or intent
        raise UsageError(f"{_MOST_DRAFTS} drafts were denied; say the intent in another way")

    async def _said(self, number: int) -> OkrAnswered | None:
        """What is on record as said to a draft."""
        answers = [e for e in await self._voice.history() if isinstance(e, OkrAnswered)]
        return next((e for e in reversed(answers) if e.number == number), None)

    async def _draft(self, number: int, intent: str, denied: list[Denied]) -> Settled:
        """The draft of that number, drafted if it was not, stored as waiting for approval."""
        new_id, now = seeded(self._request.relay_id), moment(self._home.clock.now())
        ids = self._request.correlated(number)
        run_id = ids.okr_run_id
        try:
            return await self._stored(run_id)
        except UnknownOkrError:
            pass
        request = self._request
        drafted = await draft_okr(
            intent,
            self._home.runtime,
            replace(_template(request, self._place), correlation=ids),
            new_id=new_id,
            now=lambda: now,
            tools=request.tools()["planner"],
            denied=denied,
        )
        failpoints.hit("okr.drafted")
        run = OkrRun(
            id=run_id,
            okr_id=drafted.okr.id,
            name=" ".join(drafted.okr.title.split())[:_NAME],
            correlation_id=request.relay_id,
            relay_id=request.relay_id,
            session_id=request.origin.session_id or None,
            updated_at=now,
        )
        await self._okrs.add(drafted.okr, submit(run, now))
        failpoints.hit("okr.stored")
        return await self._stored(run_id)

    async def _stored(self, run_id: str) -> Settled:
        run = await self._okrs.get_run(run_id)
        return Settled(okr=await self._okrs.get(run.okr_id), run=run)

    async def _decided(self, draft: Settled, number: int) -> Settled:
        """Ask until it is decided, by whom ever; as it is where nobody can be asked."""
        while draft.run.status == "pending_approval":
            answer = await self._answer(draft, number)
            if answer.word == "nobody":
                draft = await self._stored(draft.run.id)  # somebody may have, elsewhere
                if draft.run.status != "pending_approval":
                    await self._note_decision(draft, number)
                return draft
            if answer.word == "edit" and answer.okr is not None:
                draft = await self._edited(draft, answer.okr)
                continue
            event = _event(draft, number, answer, self._request.principal)
            if event.answer == "redraft":
                self._voice.correlate(_ids(self._request, draft.okr.id, draft.run.id))
                await self._voice.record(event)
                failpoints.hit("okr.answered")
            draft = await self._store(draft, event)
            if draft.run.status != "pending_approval" and event.answer != "redraft":
                await self._note_decision(draft, number)
        return draft

    async def _answer(self, draft: Settled, number: int) -> OkrAnswer:
        if self._request.is_approved:
            return OkrAnswer(word="approve", by="--yes")
        question = OkrQuestion(
            okr=draft.okr, run=draft.run, number=number, relay_id=self._request.relay_id
        )
        return OkrAnswer.from_json(await self._ask(question.to_json()))

    async def _store(self, draft: Settled, event: OkrAnswered) -> Settled:
        """Have a decision count, unless another one did first; what is stored then."""
        run, seen = draft.run, draft.okr.version
        is_approved = event.answer == "approved"
        try:
            async with audited(self._place.audit, self._action(draft)) as done:
                done.outcome = "success" if is_approved else "denied"
                if is_approved:
                    await self._okrs.approve(run.id, event.by, seen=seen)
                else:
                    await self._okrs.deny(run.id, event.by, reason=event.intent, seen=seen)
        except (OkrTransitionError, OkrChangedError) as error:
            self._tell(str(error))
        failpoints.hit("okr.decided")
        return await self._stored(run.id)

    async def _note_decision(self, draft: Settled, number: int) -> None:
        """What the store holds, whoever said it."""
        made = draft.run.approval
        is_denied = draft.run.status == "denied"
        self._voice.correlate(_ids(self._request, draft.okr.id, draft.run.id))
        await self._voice.record(
            OkrAnswered(
                number=number,
                okr_id=draft.okr.id,
                okr_run_id=draft.run.id,
                answer="denied" if is_denied else "approved",
                by=(made.approver if made is not None else None) or "",
            )
        )

    async def _edited(self, draft: Settled, okr: Okr) -> Settled:
        try:
            await self._okrs.edit(draft.run.id, okr, seen=draft.okr.version)
        except (OkrTransitionError, OkrChangedError) as error:
            self._tell(str(error))
        return await self._stored(draft.run.id)

    def _tell(self, sentence: str) -> None:
        self._voice.emit(Warned(text=sentence))

    def _action(self, draft: Settled) -> Action:
        text = json.dumps(encode_object(draft.okr), sort_keys=True, separators=(",", ":"))
        return Action(
            category="okr",
            action="okr.decide",
            resource=hashlib.sha256(text.encode()).hexdigest(),
            correlation=_ids(self._request, draft.okr.id, draft.run.id),
        )


def drafts(history: Iterable[Event]) -> int:
    """The number of the draft that a relay is about: those before it were to be drafted anew."""
    said = (e.number for e in history if isinstance(e, OkrAnswered) and e.answer == "redraft")
    return max(said, default=0) + 1


def _ids(request: RelayRequest, okr_id: str, okr_run_id: str) -> Correlation:
    return replace(request.correlation, okr_id=okr_id, okr_run_id=okr_run_id)


def _event(draft: Settled, number: int, answer: OkrAnswer, principal: str) -> OkrAnswered:
    word = "approved" if answer.word == "approve" else "redraft" if answer.intent else "denied"
    return OkrAnswered(
        number=number,
        okr_id=draft.okr.id,
        okr_run_id=draft.run.id,
        answer=cast("Literal['approved', 'denied', 'redraft']", word),
        intent=answer.intent or answer.reason,
        by=answer.by or principal,
    )


def _template(request: RelayRequest, place: Place) -> AgentSpec:
    return replace(request.template("relay", "aide"), root=place.directory)
