"""A reply as the server-sent events of each wire format."""

import json
from collections.abc import Iterator
from typing import Any

from codetether_ray.core.usage import Usage
from codetether_ray.testing.model_reply import Fault, Reply, ToolUse
from codetether_ray.testing.model_request import ModelCall

_BYTES_PER_TOKEN = 4


def frames(call: ModelCall, reply: Reply) -> list[bytes]:
    """The events of a whole answer, terminator last."""
    made = _anthropic(call, reply) if call.wire == "anthropic" else _openai(call, reply)
    return list(made)


def unterminated(call: ModelCall, reply: Reply) -> list[bytes]:
    """The answer without what says that it is whole."""
    if call.wire == "anthropic":
        return frames(call, reply)[:-1]
    ended = [i for i, e in enumerate(frames(call, reply)) if b'"finish_reason":null' not in e]
    return frames(call, reply)[: ended[0]]


def error_body(call: ModelCall, fault: Fault) -> bytes:
    """The error object of a wire format."""
    error: dict[str, Any] = {"type": fault.error_type, "message": fault.message}
    if call.wire == "anthropic":
        return _json({"type": "error", "error": error})
    return _json({"error": {**error, "code": fault.error_type}})


def error_event(call: ModelCall, fault: Fault) -> bytes:
    """The same as an event in the middle of a stream."""
    head = b"event: error\n" if call.wire == "anthropic" else b""
    return head + b"data: " + error_body(call, fault) + b"\n\n"


def usage_of(call: ModelCall, reply: Reply) -> Usage:
    """The tokens that the answer reports."""
    if reply.usage is not None:
        return reply.usage
    said = len(reply.text) + len(reply.reasoning) + sum(len(use.json) for use in reply.calls)
    return Usage(
        prompt_tokens=len(_json(call.body)) // _BYTES_PER_TOKEN,
        completion_tokens=max(said // _BYTES_PER_TOKEN, 1),
        reasoning_tokens=len(reply.reasoning) // _BYTES_PER_TOKEN,
    )


def _json(data: Any) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()


def _pieces(text: str, size: int) -> Iterator[str]:
    for start in range(0, len(text), max(size, 1)):
        yield text[start : start + max(size, 1)]


def _call_id(call: ModelCall, use: ToolUse, index: int) -> str:
    return use.id or f"call_{call.step}_{index}"


def _openai(call: ModelCall, reply: Reply) -> Iterator[bytes]:
    head = {
        "id": f"chatcmpl-{call.number}",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": call.model,
    }

    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return b"data: " + _json({**head, "choices": [choice], **more}) + b"\n\n"

    yield chunk({"role": "assistant", "content": ""})
    for piece in _pieces(reply.reasoning, reply.piece):
        yield chunk({"reasoning_content": piece})
    for piece in _pieces(reply.text, reply.piece):
        yield chunk({"content": piece})
    for index, use in enumerate(reply.calls):
        start = {
            "index": index,
            "id": _call_id(call, use, index),
            "type": "function",
            "function": {"name": use.name, "arguments": ""},
        }
        yield chunk({"tool_calls": [start]})
        for piece in _pieces(use.json, reply.piece):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield chunk({}, reply.finish or ("tool_calls" if reply.calls else "stop"))
    if (call.body.get("stream_options") or {}).get("include_usage"):
        counted = _openai_usage(usage_of(call, reply))
        yield b"data: " + _json({**head, "choices": [], "usage": counted}) + b"\n\n"
    yield b"data: [DONE]\n\n"


def _openai_usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def _event(data: dict[str, Any]) -> bytes:
    return f"event: {data['type']}\n".encode() + b"data: " + _json(data) + b"\n\n"


def _anthropic(call: ModelCall, reply: Reply) -> Iterator[bytes]:
    usage = usage_of(call, reply)
    cached = usage.cache_read_tokens + usage.cache_write_tokens
    started: dict[str, Any] = {
        "id": f"msg_{call.number}",
        "type": "message",
        "role": "assistant",
        "model": call.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": usage.prompt_tokens - cached,
            "cache_read_input_tokens": usage.cache_read_tokens,
            "cache_creation_input_tokens": usage.cache_write_tokens,
            "output_tokens": 1,
        },
    }
    yield _event({"type": "message_start", "message": started})
    yield _event({"type": "ping"})
    for index, (block, deltas) in enumerate(_blocks(call, reply)):
        yield _event({"type": "content_block_start", "index": index, "content_block": block})
        for delta in deltas:
            yield _event({"type": "content_block_delta", "index": index, "delta": delta})
        yield _event({"type": "content_block_stop", "index": index})
    reason = reply.finish or ("tool_use" if reply.calls else "end_turn")
    yield _event(
        {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": None},
            "usage": {"output_tokens": usage.completion_tokens},
        }
    )
    yield _event({"type": "message_stop"})


def _blocks(call: ModelCall, reply: Reply) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    if reply.reasoning:
        block: dict[str, Any] = {"type": "thinking", "thinking": "", "signature": ""}
        thoughts: list[dict[str, Any]] = [
            {"type": "thinking_delta", "thinking": p} for p in _pieces(reply.reasoning, reply.piece)
        ]
        yield block, [*thoughts, {"type": "signature_delta", "signature": reply.signature}]
    if reply.text:
        texts = [{"type": "text_delta", "text": p} for p in _pieces(reply.text, reply.piece)]
        yield {"type": "text", "text": ""}, texts
    for index, use in enumerate(reply.calls):
        call_id = _call_id(call, use, index)
        parts = [
            {"type": "input_json_delta", "partial_json": p} for p in _pieces(use.json, reply.piece)
        ]
        yield {"type": "tool_use", "id": call_id, "name": use.name, "input": {}}, parts
