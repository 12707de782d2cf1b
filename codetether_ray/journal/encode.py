"""A record's members as JSON text, and back: the half of a line that is not framing."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from codetether_ray.core.codec import JsonObject, JsonValue
from codetether_ray.core.errors import JournalError
from codetether_ray.core.events import Record, correlation_members
from codetether_ray.core.jsontext import json_text
from codetether_ray.core.spec import Correlation
from codetether_ray.journal.bigints import INTS, has_big_int, quote_ints, with_int
from codetether_ray.journal.blobs import INLINE_BYTES, Blob, make_blob
from codetether_ray.journal.files import RunFiles

_FRAMING = frozenset({"v", "gen", "off", "prev", "crc", INTS})
_loads = json.JSONDecoder().decode


def members(
    record: Record, agent_seq: int, time: float | None = None
) -> tuple[str, str, Blob | None]:
    """The members of a record's line but `seq`, its payload's text, and the blob.

    The same members as `Record.to_json`, in the same order, without building the object. There
    is a blob where the payload is too big for a line. `time` is the record's own in microseconds'
    steps, where the caller has it.

    Raises:
        JournalError: the event has no JSON form (NaN is none).
        UnicodeEncodeError: a text holds a lone surrogate.
    """
    tag = record.kind
    try:
        text = record.payload_text()
    except (TypeError, ValueError) as error:
        raise JournalError(f"an event {tag} cannot be written as JSON: {error}") from error
    blob, ints, kept = None, "", text
    if has_big_int(text):
        kept, ints = quote_ints(text)
    body = f'{ints}"payload":{kept}'
    if len(kept) * 4 > INLINE_BYTES and len(data := kept.encode()) > INLINE_BYTES:
        blob = make_blob(data)
        body = f'{ints}"blob":{{"sha256":"{blob.digest}","bytes":{len(data)}}}'
    time = round(record.time, 6) if time is None else time
    line = (
        f'{correlation_members(record.correlation)}"agent_seq":{agent_seq},'
        f'"time":{time!r},"agent":{json_text(record.agent)},"kind":"{tag}",{body}'
    )
    return line, text, blob


def control_members(kind: str, correlation: Correlation, now: float, payload: JsonObject) -> str:
    """The members of a control line."""
    return (
        f'{correlation_members(correlation)}"time":{round(now, 6)!r},"agent":"","kind":"{kind}",'
        f'"payload":{json_text(payload)}'
    )


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


def restore(data: Mapping[str, Any], files: RunFiles | Path) -> Record:
    """The record of a parsed line; its payload comes from a blob where it was big.

    `files` is where the blobs are: a run's files, or its directory.

    Raises:
        BlobError: the blob is missing or damaged.
        ValueError: this program knows no such event.
    """
    own = {name: value for name, value in data.items() if name not in _FRAMING}
    blob = own.pop("blob", None)
    if blob is not None:
        own["payload"] = load_payload(str(blob["sha256"]), files)
    for path in data.get(INTS, ()):
        own["payload"] = with_int(own["payload"], path)
    return Record.from_json(own)


def load_payload(digest: str, files: RunFiles | Path) -> Any:
    """The payload that a blob holds.

    Raises:
        BlobError: the blob is missing or damaged.
    """
    held = files if isinstance(files, RunFiles) else RunFiles(files)
    return _loads(held.blob(digest).decode())
