"""What a vendor would refuse: conversations that break a wire format's rules."""

from collections.abc import Iterator
from typing import Any

from codetether_ray.testing.model_request import Wire


def complaint(wire: Wire, body: dict[str, Any]) -> str:
    """Why a vendor would answer 400 to this body; empty where it would not."""
    checks = _anthropic(body) if wire == "anthropic" else _openai(body)
    return next(checks, "")


def _common(body: dict[str, Any]) -> Iterator[str]:
    if not isinstance(body.get("model"), str) or not body["model"]:
        yield "model is required"
    if not isinstance(body.get("messages"), list) or not body["messages"]:
        yield "messages must not be empty"
    if body.get("stream") is not True:
        yield "this server only streams"


def _openai(body: dict[str, Any]) -> Iterator[str]:
    yield from _common(body)
    open_calls: set[str] = set()
    for place, message in enumerate(body["messages"]):
        role = message.get("role")
        if role == "tool":
            if message.get("tool_call_id") not in open_calls:
                yield f"messages.{place}: a tool message must answer a preceding tool call"
            open_calls.discard(message.get("tool_call_id"))
            continue
        if open_calls:
            yield f"messages.{place}: tool calls {sorted(open_calls)} have no response"
        if role == "assistant":
            calls = message.get("tool_calls")
            if calls == []:
                yield f"messages.{place}: tool_calls must not be empty"
            open_calls = {call["id"] for call in calls or ()}
            if not calls and not message.get("content"):
                yield f"messages.{place}: an assistant message needs content or tool calls"
        elif not message.get("content"):
            yield f"messages.{place}: content must not be empty"
    if open_calls:
        yield f"tool calls {sorted(open_calls)} have no response"


def _anthropic(body: dict[str, Any]) -> Iterator[str]:
    yield from _common(body)
    if not isinstance(body.get("max_tokens"), int):
        yield "max_tokens is required"
    yield from _cache_marks(body)
    previous = ""
    open_calls: list[str] = []
    for place, message in enumerate(body["messages"]):
        role, blocks = message.get("role"), _blocks_of(message)
        if role not in ("user", "assistant"):
            yield f"messages.{place}: role must be user or assistant"
        if role == previous:
            yield f"messages.{place}: roles must alternate"
        if not previous and role != "user":
            yield "messages.0: the first message must be the user's"
        yield from _block_faults(place, blocks)
        answered = [b["tool_use_id"] for b in blocks if b["type"] == "tool_result"]
        if sorted(answered) != sorted(open_calls):
            yield f"messages.{place}: tool_use {open_calls} needs its tool_result next"
        open_calls = [b["id"] for b in blocks if b["type"] == "tool_use"]
        previous = role
    if open_calls:
        yield f"tool_use {open_calls} needs its tool_result next"


def _blocks_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    return [{"type": "text", "text": content}] if isinstance(content, str) else content or []


def _block_faults(place: int, blocks: list[dict[str, Any]]) -> Iterator[str]:
    if not blocks:
        yield f"messages.{place}: content must not be empty"
    seen_other = False
    for block in blocks:
        if block["type"] == "text" and not block["text"].strip():
            yield f"messages.{place}: text content blocks must contain non-whitespace text"
        if block["type"] == "tool_result" and seen_other:
            yield f"messages.{place}: tool_result blocks must come first"
        seen_other = seen_other or block["type"] != "tool_result"
        if block["type"] == "tool_use" and not isinstance(block["input"], dict):
            yield f"messages.{place}: tool_use.input must be an object"


def _cache_marks(body: dict[str, Any]) -> Iterator[str]:
    system = body.get("system")
    marked = [*(body.get("tools") or ()), *(system if isinstance(system, list) else ())]
    for message in body["messages"]:
        marked += _blocks_of(message)
    if sum("cache_control" in block for block in marked) > 4:
        yield "a maximum of 4 blocks with cache_control may be provided"
