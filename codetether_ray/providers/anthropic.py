"""Anthropic's Messages wire format.

Format: https://platform.claude.com/docs/en/api/messages. Thinking blocks go back byte for byte, and
only to the model that thought them. Two cache marks: the end of the stable prefix (tools and system
prompt) and the end of the conversation.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from codetether_ray.core.errors import MalformedResponseError
from codetether_ray.core.messages import File, Image, Message, Part, Reasoning, Text, ToolCall
from codetether_ray.core.models import (
    FinishReason,
    ModelRequest,
    ModelResponse,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
    ToolSchema,
)
from codetether_ray.core.usage import Usage
from codetether_ray.providers.failures import failure_in_body
from codetether_ray.providers.memo import Memo, Pieces
from codetether_ray.providers.profiles import Profile
from codetether_ray.providers.sse import SseEvent
from codetether_ray.providers.wire import (
    EMPTY_TEXT,
    arguments_json,
    dump,
    extras,
    is_strict,
    load,
    schema_instruction,
    wants_native_schema,
)

_MARK = b',"cache_control":{"type":"ephemeral"}}'
_FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}
_CONTINUED = dump({"type": "text", "text": "(the conversation goes on)"})


class AnthropicWire:
    """Encodes requests for one profile, remembering what it encoded."""

    path = "/v1/messages"

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._memo = Memo()

    def encode(self, request: ModelRequest) -> bytes:
        """The request's body; equal prefixes give equal bytes."""
        fields: dict[str, Any] = {
            "model": request.model,
            "max_tokens": request.max_tokens,
            "stream": True,
            **extras(self._profile, request),
        }
        if self._is_native(request):
            schema = {"type": "json_schema", "schema": request.output_schema}
            fields["output_config"] = {**fields.get("output_config", {}), "format": schema}
        body = [dump(fields)[:-1]]
        system = self._system(request)
        if request.tools:
            tools = [self._tool(tool) for tool in request.tools]
            if not system:
                tools[-1] = _marked(tools[-1])
            body += [b',"tools":[', b",".join(tools), b"]"]
        if system:
            body += [b',"system":[', _marked(system), b"]"]
        body += [b',"messages":[', b",".join(self._messages(request)), b"]}"]
        return b"".join(body)

    def assembler(self, request: ModelRequest, body_bytes: int) -> "AnthropicAssembler":
        """An assembler for the answer."""
        return AnthropicAssembler(self._profile.id, request)

    def _is_native(self, request: ModelRequest) -> bool:
        return wants_native_schema(self._profile, request) and is_strict(request.output_schema)

    def _system(self, request: ModelRequest) -> bytes:
        text, schema = request.system, request.output_schema
        if schema is not None and not self._is_native(request):
            return dump({"type": "text", "text": text + schema_instruction(schema)})
        if not text.strip():
            return b""
        return self._memo.get(text, "system", lambda: (dump({"type": "text", "text": text}),))[0]

    def _tool(self, tool: ToolSchema) -> bytes:
        return self._memo.get(tool, "tool", lambda: (_encode_tool(tool),))[0]

    def _messages(self, request: ModelRequest) -> Iterator[bytes]:
        """Turns of alternating roles: neighbours of one role become one message."""
        origin = f"{self._profile.id}/{request.model}"
        turns: list[tuple[str, list[bytes]]] = []
        for message in request.messages:
            role = "assistant" if message.role == "assistant" else "user"
            if not turns and role == "assistant":
                turns.append(("user", [_CONTINUED]))
            if not turns or turns[-1][0] != role:
                turns.append((role, []))
            turns[-1][1].extend(self._blocks(message, origin))
        for place, (role, blocks) in enumerate(turns):
            if place == len(turns) - 1:
                blocks[-1] = _marked(blocks[-1])
            yield b'{"role":"%s","content":[%s]}' % (role.encode(), b",".join(blocks))

    def _blocks(self, message: Message, origin: str) -> Pieces:
        return self._memo.get(message, origin, lambda: _encode_blocks(message, origin))


def _marked(block: bytes) -> bytes:
    return block[:-1] + _MARK


def _encode_tool(tool: ToolSchema) -> bytes:
    return dump(
        {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}
    )


def _encode_blocks(message: Message, origin: str) -> Pieces:
    if message.role == "tool":
        return tuple(
            dump(
                {
                    "type": "tool_result",
                    "tool_use_id": result.call_id,
                    "content": result.content,
                    **({"is_error": True} if result.is_error else {}),
                }
            )
            for result in message.tool_results
        )
    blocks = [block for part in message.parts for block in _encode_part(part, origin)]
    has_content = any(isinstance(part, ToolCall) for part in message.parts) or message.text.strip()
    if not blocks or (message.role == "assistant" and not has_content):
        blocks.append(dump({"type": "text", "text": EMPTY_TEXT}))
    return tuple(blocks)


def _encode_part(part: Part, origin: str) -> Iterator[bytes]:
    if isinstance(part, Text):
        if part.text.strip():
            yield dump({"type": "text", "text": part.text})
    elif isinstance(part, ToolCall):
        head = dump({"type": "tool_use", "id": part.id, "name": part.name})
        yield head[:-1] + b',"input":' + arguments_json(part.arguments) + b"}"
    elif isinstance(part, Reasoning):
        if part.opaque and part.origin == origin:
            yield part.opaque.encode()
    elif isinstance(part, (Image, File)):
        yield dump(_attachment(part))


def _attachment(part: Image | File) -> dict[str, Any]:
    if isinstance(part, Image):
        source = {"type": "base64", "media_type": part.media_type, "data": part.data or ""}
        return {
            "type": "image",
            "source": {"type": "url", "url": part.url} if part.url else source,
        }
    if part.data is not None:
        source = {"type": "base64", "media_type": part.media_type, "data": part.data}
        return {"type": "document", "source": source, "title": part.name}
    return {"type": "text", "text": f'<file name="{part.name}">\n{part.content or ""}\n</file>'}


class AnthropicAssembler:
    """Puts one streamed message together."""

    def __init__(self, provider: str, request: ModelRequest) -> None:
        self._provider = provider
        self._origin = f"{provider}/{request.model}"
        self._blocks: dict[int, dict[str, Any]] = {}
        self._pieces: dict[int, list[str]] = {}
        self._usage: dict[str, Any] = {}
        self._finish = ""
        self._id: str | None = None
        self._is_done = False

    @property
    def is_complete(self) -> bool:
        """Whether `message_stop` came."""
        return self._is_done

    def ends(self) -> bool:
        """A stream that is over without `message_stop` was cut."""
        return False

    def feed(self, event: SseEvent) -> Iterable[StreamEvent]:
        """Take an event in."""
        data = load(self._provider, event.data)
        kind = data.get("type")
        if kind == "error":
            raise failure_in_body(self._provider, data)
        try:
            return self._take(str(kind), data)
        except (KeyError, TypeError, AttributeError) as error:
            detail = f"a {kind} event without {error}"
            raise MalformedResponseError(self._provider, detail) from error

    def response(self) -> ModelResponse:
        """The whole answer."""
        usage = self._usage
        read = usage.get("cache_read_input_tokens") or 0
        write = usage.get("cache_creation_input_tokens") or 0
        details = usage.get("output_tokens_details") or {}
        return ModelResponse(
            message=Message(role="assistant", parts=tuple(self._parts())),
            finish_reason=_FINISH.get(self._finish, "stop"),
            usage=Usage(
                prompt_tokens=(usage.get("input_tokens") or 0) + read + write,
                completion_tokens=usage.get("output_tokens") or 0,
                cache_read_tokens=read,
                cache_write_tokens=write,
                reasoning_tokens=details.get("thinking_tokens") or 0,
            ),
            response_id=self._id,
        )

    def _take(self, kind: str, data: dict[str, Any]) -> Iterable[StreamEvent]:
        if kind == "content_block_delta":
            return self._delta(data["index"], data["delta"])
        if kind == "content_block_start":
            return self._open(data["index"], data["content_block"])
        if kind == "message_start":
            self._id = data["message"].get("id")
            self._usage.update(data["message"].get("usage") or {})
        elif kind == "message_delta":
            self._finish = data["delta"].get("stop_reason") or self._finish
            counted = (data.get("usage") or {}).items()
            self._usage.update({name: count for name, count in counted if count is not None})
        elif kind == "message_stop":
            self._is_done = True
        return ()

    def _open(self, index: int, block: dict[str, Any]) -> Iterable[StreamEvent]:
        self._blocks[index] = dict(block)
        self._pieces[index] = []
        if block["type"] == "tool_use":
            return (ToolCallDelta(index=index, name=block["name"]),)
        if block["type"] == "text" and block.get("text"):
            return self._delta(index, {"type": "text_delta", "text": block["text"]})
        return ()

    def _delta(self, index: int, delta: dict[str, Any]) -> Iterable[StreamEvent]:
        kind, pieces = delta["type"], self._pieces[index]
        if kind == "text_delta":
            pieces.append(delta["text"])
            return (TextDelta(text=delta["text"]),)
        if kind == "input_json_delta":
            pieces.append(delta["partial_json"])
            return (ToolCallDelta(index=index, arguments=delta["partial_json"]),)
        if kind == "thinking_delta":
            pieces.append(delta["thinking"])
            return (ReasoningDelta(text=delta["thinking"]),) if delta["thinking"] else ()
        if kind == "signature_delta":
            block = self._blocks[index]
            block["signature"] = block.get("signature", "") + delta["signature"]
        return ()

    def _parts(self) -> Iterator[Part]:
        for index, block in sorted(self._blocks.items()):
            said = "".join(self._pieces[index])
            kind = block["type"]
            if kind == "text" and said:
                yield Text(text=said)
            elif kind == "tool_use":
                arguments = said or dump(block.get("input") or {}).decode()
                yield ToolCall(id=block["id"], name=block["name"], arguments=arguments)
            elif kind == "thinking":
                whole = {**block, "thinking": block.get("thinking", "") + said}
                opaque = dump(whole).decode()
                yield Reasoning(text=whole["thinking"], opaque=opaque, origin=self._origin)
            elif kind == "redacted_thinking":
                yield Reasoning(text="", opaque=dump(block).decode(), origin=self._origin)
