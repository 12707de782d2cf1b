"""A record's members as JSON text, and back: the half of a line that is not framing."""

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from codetether_ray.core.codec import JsonObject, JsonValue, encode_object
from codetether_ray.core.errors import JournalError
from codetether_ray.core.events import Record
from codetether_ray.core.spec import Correlation
from codetether_ray.journal.blobs import INLINE_BYTES, Blob, load_blob, make_blob

_FRAMING = frozenset({"v", "gen", "off", "prev", "crc"})
_dumps = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_loads = json.JSONDecoder().decode


def members(record: Record) -> tuple[str, Blob | None]:
    """The members of a record's line but `seq`, and the blob where its payload is too big.

    The same members as `Record.to_json`, in the same order, without building the object.

    Raises:
        JournalError: the event has no JSON form (NaN is none).
        UnicodeEncodeError: a text holds a lone surrogate.
    """
    event = record.event
    try:
        payload = encode_object(event)
        del payload["type"]
        text = _dumps(payload)
    except (TypeError, ValueError) as error:
        raise JournalError(f"an event {event.tag} cannot be written as JSON: {error}") from error
    blob = None
    body = f'"payload":{text}'
    if len(text) * 4 > INLINE_BYTES and len(data := text.encode()) > INLINE_BYTES:
        blob = make_blob(data)
        body = f'"blob":{{"sha256":"{blob.digest}","bytes":{len(data)}}}'
    return (
        f'{_correlation(record.correlation)}"agent_seq":{record.agent_seq},'
        f'"time":{round(record.time, 6)!r},"agent":{_dumps(record.agent)},'
        f'"kind":"{event.tag}",{body}'
    ), blob


def control_members(kind: str, correlation: Correlation, now: float, payload: JsonObject) -> str:
    """The members of a control line."""
    return (
        f'{_correlation(correlation)}"time":{round(now, 6)!r},"agent":"","kind":"{kind}",'
        f'"payload":{_dumps(payload)}'
    )


@lru_cache(maxsize=4096)
def _correlation(correlation: Correlation) -> str:
    return _dumps(encode_object(correlation))[1:-1] + ","


def without_surrogates(record: Record) -> Record:
    """The record with lone surrogates replaced by U+FFFD, which UTF-8 can hold."""
    return Record.from_json(cast("JsonObject", _clean(record.to_json())))


def _clean(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, Mapping):
        return {cast("str", _clean(k)): _clean(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return value


def restore(data: Mapping[str, Any], directory: Path) -> Record:
    """The record of a parsed line; its payload comes from a blob where it was big.

    Raises:
        BlobError: the blob is missing or damaged.
        ValueError: this program knows no such event.
    """
    own = {name: value for name, value in data.items() if name not in _FRAMING}
    blob = own.pop("blob", None)
    if blob is not None:
        own["payload"] = _loads(load_blob(directory, str(blob["sha256"])).decode())
    return Record.from_json(own)
