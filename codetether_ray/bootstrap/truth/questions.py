"""What may be asked of a truth by HTTP: a name for each question, and the form of what it takes.

Nothing but these can be asked, and values travel as plain JSON (`core.codec`): no function is
named, nothing is pickled. Who answers is `ingress.answers`.
"""

import base64
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from types import MappingProxyType
from typing import Any, Literal, Union, get_args, get_origin

from codetether_ray.bootstrap import top
from codetether_ray.bootstrap.truth import identity, okrs, pieces, runs
from codetether_ray.bootstrap.truth.pieces import Held, Piece
from codetether_ray.bootstrap.truth.runs import Standing
from codetether_ray.core.codec import JsonObject, JsonValue, decode, encode
from codetether_ray.core.errors import UsageError
from codetether_ray.core.measures import KrReading
from codetether_ray.core.okrs import ApprovalDecision, Okr, OkrRun

RESUME = f"{__name__}:okrs.resume"
"""An ingress alone can be asked to start what an OKR's run needs: the id of its relay."""
Reader = Callable[[Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question. `function` is what `Truth.ask` calls it."""

    function: str
    takes: tuple[Any, ...] = ()
    """The type of each argument."""
    answer: Reader = lambda data: data
    """Reads the answer's JSON."""


def _each(cls: Any) -> Reader:
    return lambda data: tuple(decode(cls, one) for one in data)


def _these(*readers: Reader) -> Reader:
    return lambda data: tuple(read(one) for read, one in zip(readers, data, strict=True))


def _of(cls: Any) -> Reader:
    return lambda data: None if data is None else decode(cls, data)


def _piece(data: Any) -> Piece:
    found = base64.b64decode(data["data"])
    return Piece(fits=data["fits"], data=found, is_last=data["is_last"])


_PAIR = _these(_of(Okr), _of(OkrRun))
_NAME, _MAYBE = str, str | None

QUESTIONS: Mapping[str, Question] = MappingProxyType(
    {
        "identity": Question(function=identity.__name__ + ":identity"),
        "top": Question(function=top.LOOK),
        "runs.rows": Question(function=runs.ROWS, takes=(int | None, _NAME, _MAYBE, float)),
        "runs.every": Question(function=runs.ALL),
        "runs.find": Question(function=runs.FIND, takes=(_NAME,)),
        "runs.sums": Question(
            function=runs.SUMS,
            takes=(_MAYBE, float, bool),
            answer=lambda data: (data[0], tuple(data[1])),
        ),
        "runs.standing": Question(function=runs.STANDING, takes=(_NAME,), answer=_of(Standing)),
        "runs.reread": Question(function=runs.REREAD, takes=(_NAME, int)),
        "runs.cancel": Question(function=runs.CANCEL, takes=(_NAME, _NAME)),
        "runs.times": Question(function=runs.RUN_TIMES),
        "files.listing": Question(
            function=pieces.LISTING, takes=(_NAME,), answer=lambda data: list(_each(Held)(data))
        ),
        "files.piece": Question(
            function=pieces.PIECE, takes=(_NAME, int, int, _NAME), answer=_piece
        ),
        "okrs.every": Question(function=okrs.ALL, answer=_these(_each(Okr), _each(OkrRun))),
        "okrs.find": Question(function=okrs.FIND, takes=(_NAME,), answer=_PAIR),
        "okrs.readings": Question(function=okrs.READINGS, takes=(_NAME,), answer=_each(KrReading)),
        "okrs.add": Question(function=okrs.ADD, takes=(Okr, OkrRun | None), answer=_PAIR),
        "okrs.decide": Question(
            function=okrs.DECIDE, takes=(_NAME, ApprovalDecision, int | None), answer=_PAIR
        ),
        "okrs.edit": Question(function=okrs.EDIT, takes=(_NAME, Okr, int, _NAME), answer=_PAIR),
        "okrs.resume": Question(function=RESUME, takes=(_NAME,)),
        "okrs.cancel": Question(function=okrs.CANCEL, takes=(_NAME, _NAME), answer=_PAIR),
    }
)
"""By the names in their URLs."""
NAMES: Mapping[str, str] = MappingProxyType({one.function: name for name, one in QUESTIONS.items()})
_LONGEST = 100_000  # characters of a text


def sent(arguments: tuple[Any, ...]) -> JsonValue:
    """Arguments as JSON."""
    return [encode(one) for one in arguments]


def taken(name: str, arguments: list[Any]) -> tuple[Any, ...]:
    """The arguments of a question from JSON, each of the type that it must have.

    Raises:
        UsageError: they are others, too few or too many.
    """
    hints = QUESTIONS[name].takes
    if len(arguments) != len(hints):
        raise UsageError(f"{name} takes {len(hints)} arguments, not {len(arguments)}")
    found = []
    for number, (hint, data) in enumerate(zip(hints, arguments, strict=True), 1):
        try:
            value = decode(hint, data)
            is_sound = is_of(hint, value)
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
            is_sound = False
        if not is_sound:
            raise UsageError(f"argument {number} of {name} is not what it takes")
        found.append(value)
    return tuple(found)


def told(answer: Any) -> JsonValue:
    """An answer as JSON."""
    if isinstance(answer, Piece):
        data = base64.b64encode(answer.data).decode("ascii")
        return {"fits": answer.fits, "data": data, "is_last": answer.is_last}
    return encode(answer)


def is_of(hint: Any, value: Any) -> bool:
    """Whether a value that was decoded has the type that is declared, all of its members too."""
    origin = get_origin(hint)
    if hint is Any or hint in (JsonObject, JsonValue):
        return True
    if origin in (Union, types.UnionType):
        return any(is_of(one, value) for one in get_args(hint))
    if origin is Literal:
        return value in get_args(hint)
    if origin in (tuple, list, frozenset):
        return isinstance(value, origin) and all(is_of(get_args(hint)[0], one) for one in value)
    if origin is dict:
        of_key, of_value = get_args(hint)
        pairs = value.items() if isinstance(value, dict) else ((None, None),)
        return all(is_of(of_key, key) and is_of(of_value, one) for key, one in pairs)
    if is_dataclass(hint):
        return isinstance(value, typing.cast("type", hint)) and _has_sound_members(hint, value)
    return _is_scalar(hint, value)


def _has_sound_members(cls: Any, value: Any) -> bool:
    hints = typing.get_type_hints(cls, localns={"JsonValue": Any})
    return all(is_of(hints[f.name], getattr(value, f.name)) for f in fields(cls))


def _is_scalar(hint: Any, value: Any) -> bool:
    if hint is str:
        return isinstance(value, str) and len(value) <= _LONGEST and _is_text(value)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e15
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53
    if hint is bool or hint is type(None):
        return isinstance(value, hint)
    return True


def _is_text(value: str) -> bool:
    """Whether it has no half characters, and no NUL, which no file and no path can hold."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value
