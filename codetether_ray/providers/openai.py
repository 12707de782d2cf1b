"""The chat completions wire format, as OpenAI and its many imitators speak it.

Format: https://platform.openai.com/docs/api-reference/chat, plus what others add to it:
`reasoning_content` (Moonshot, Z.AI, vLLM) or `reasoning` and `reasoning_details` (OpenRouter),
usage inside a choice (Moonshot), arguments as an object (Z.AI), errors inside a stream.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import ConnectionLostError, MalformedResponseError
from codetether_ray.core.messages import (
    File,
    Image,
    Message,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
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

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "model_context_window_exceeded": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "sensitive": "content_filter",
}
_BROKEN_OFF = ("error", "network_error")
_BYTES_PER_TOKEN = 4  # for servers that count nothing


class OpenAIWire:
    """Encodes requests for one profile, remembering what it encoded."""

    path = "/chat/completions"

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._memo = Memo()

    def encode(self, request: ModelRequest) -> bytes:
        """The request's body; equal prefixes give equal bytes."""
        origin = f"{self._profile.id}/{request.model}"
        messages = [self._system(request)]
        for message in request.messages:
            messages += self._pieces(message, origin)
        fields: dict[str, Any] = {
            "model": request.model,
            "stream": True,
            "stream_options": {"include_usage": True},
            self._profile.max_tokens_field: request.max_tokens,
            **extras(self._profile, request),
        }
        if request.output_schema is not None and wants_native_schema(self._profile, request):
            fields["response_format"] = _response_format(request.output_schema)
        body = [dump(fields)[:-1], b',"messages":[', b",".join(messages), b"]"]
        if request.tools:
            body += [b',"tools":[', *self._tools(request.tools), b"]"]
        return b"".join((*body, b"}"))

    def assembler(self, request: ModelRequest, body_bytes: int) -> "OpenAIAssembler":
        """An assembler for the answer."""
        return OpenAIAssembler(self._profile.id, request, body_bytes)

    def _pieces(self, message: Message, origin: str) -> Pieces:
        return self._memo.get(message, origin, lambda: tuple(self._message(message, origin)))

    def _system(self, request: ModelRequest) -> bytes:
        text, schema = request.system, request.output_schema
        if schema is not None and not wants_native_schema(self._profile, request):
            return _encode_system(text + schema_instruction(schema))
        return self._memo.get(text, "system", lambda: (_encode_system(text),))[0]

    def _tools(self, tools: tuple[ToolSchema, ...]) -> Pieces:
        return self._memo.get(tools, "tools", lambda: (b",".join(map(_encode_tool, tools)),))

    def _message(self, message: Message, origin: str) -> Iterator[bytes]:
        if message.role == "tool":
            for result in message.tool_results:
                yield dump(
                    {"role": "tool", "tool_call_id": result.call_id, "content": result.content}
                )
        elif message.role == "assistant":
            yield dump(self._assistant(message, origin))
        else:
            yield dump({"role": "user", "content": _user_content(message.parts)})

    def _assistant(self, message: Message, origin: str) -> dict[str, Any]:
        calls = [_encode_call(call) for call in message.tool_calls]
        out: dict[str, Any] = {"role": "assistant", "content": message.text or None}
        if calls:
            out["tool_calls"] = calls
        elif not message.text:
            out["content"] = EMPTY_TEXT
        if self._profile.reasoning_field:
            out.update(self._reasoning(message, origin, has_calls=bool(calls)))
        return out

    def _reasoning(self, message: Message, origin: str, *, has_calls: bool) -> dict[str, Any]:
        """Past thinking, for the model that thought it."""
        field = self._profile.reasoning_field
        own = [p for p in message.parts if isinstance(p, Reasoning) and p.origin == origin]
        details = [load(origin, p.opaque)["reasoning_details"] for p in own if p.opaque]
        if details:
            return {"reasoning_details": [block for blocks in details for block in blocks]}
        if own or (has_calls and field == "reasoning_content"):
            return {field: "".join(part.text for part in own)}  # some want it on every call
        return {}


def _encode_system(text: str) -> bytes:
    return dump({"role": "system", "content": text or EMPTY_TEXT})


def _encode_tool(tool: ToolSchema) -> bytes:
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
    }
    return dump({"type": "function", "function": function})


def _encode_call(call: ToolCall) -> dict[str, Any]:
    arguments = arguments_json(call.arguments).decode()
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }


def _user_content(parts: tuple[Part, ...]) -> str | list[dict[str, Any]]:
    if all(isinstance(part, Text) for part in parts):
        return "\n\n".join(part.text for part in parts if isinstance(part, Text)) or EMPTY_TEXT
    return [_user_part(part) for part in parts]


def _user_part(part: Part) -> dict[str, Any]:
    if isinstance(part, Image):
        url = part.url or f"data:{part.media_type};base64,{part.data or ''}"
        return {"type": "image_url", "image_url": {"url": url}}
    if isinstance(part, File) and part.data is not None:
        data = f"data:{part.media_type};base64,{part.data}"
        return {"type": "file", "file": {"filename": part.name, "file_data": data}}
    if isinstance(part, File):
        text = f'<file name="{part.name}">\n{part.content or ""}\n</file>'
        return {"type": "text", "text": text}
    if isinstance(part, ToolResult):
        return {"type": "text", "text": part.content or EMPTY_TEXT}
    return {"type": "text", "text": getattr(part, "text", "") or EMPTY_TEXT}


def _response_format(schema: JsonObject) -> dict[str, Any]:
    named: dict[str, Any] = {"name": "answer", "schema": schema}
    if is_strict(schema):
        named["strict"] = True
    return {"type": "json_schema", "json_schema": named}


class _Call:
    """A tool call as far as it has come."""

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []


class OpenAIAssembler:
    """Puts one streamed chat completion together."""

    def __init__(self, provider: str, request: ModelRequest, body_bytes: int) -> None:
        self._provider = provider
        self._request = request
        self._body_bytes = body_bytes
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._details: list[dict[str, Any]] = []
        self._calls: dict[int, _Call] = {}
        self._usage: dict[str, Any] | None = None
        self._finish = ""
        self._id: str | None = None
        self._is_done = False

    @property
    def is_complete(self) -> bool:
        """Whether `[DONE]` came, or (from servers that leave it away) a finish reason."""
        return self._is_done

    def feed(self, event: SseEvent) -> Iterable[StreamEvent]:
        """Take a chunk in."""
        if event.data == "[DONE]":
            self._is_done = bool(self._finish)
            if not self._is_done:
                raise MalformedResponseError(self._provider, "the answer ended without a reason")
            return ()
        data = load(self._provider, event.data)
        if data.get("error"):
            raise failure_in_body(self._provider, data)
        self._id = data.get("id") or self._id
        self._usage = data.get("usage") or self._usage
        found: list[StreamEvent] = []
        for choice in data.get("choices") or ():
            self._usage = choice.get("usage") or self._usage
            found += self._delta(choice.get("delta") or {})
            self._end(choice.get("finish_reason"))
        return found

    def ends(self) -> bool:
        """Whether an answer whose stream is over, without `[DONE]`, is whole all the same."""
        return bool(self._finish)

    def response(self) -> ModelResponse:
        """The whole answer."""
        finish = _FINISH.get(self._finish, "stop")
        if self._calls and finish == "stop":
            finish = "tool_calls"
        cost = (self._usage or {}).get("cost")
        return ModelResponse(
            message=Message(role="assistant", parts=tuple(self._parts())),
            finish_reason=finish,
            usage=self._counted(),
            cost_usd=float(cost) if isinstance(cost, (int, float)) else None,
            response_id=self._id,
        )

    def _end(self, reason: str | None) -> None:
        if reason in _BROKEN_OFF:
            raise ConnectionLostError(self._provider, f"the provider broke off ({reason})")
        self._finish = reason or self._finish

    def _delta(self, delta: dict[str, Any]) -> Iterator[StreamEvent]:
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if thought:
            self._thoughts.append(thought)
            yield ReasoningDelta(text=thought)
        for detail in delta.get("reasoning_details") or ():
            _merge(self._details, detail)
        text = delta.get("content") or delta.get("refusal")
        if text:
            if delta.get("refusal"):
                self._finish = "content_filter"
            self._texts.append(text)
            yield TextDelta(text=text)
        for place, piece in enumerate(delta.get("tool_calls") or ()):
            yield self._call_delta(piece, place)

    def _call_delta(self, piece: dict[str, Any], place: int) -> ToolCallDelta:
        index = self._index(piece, place)
        call = self._calls.setdefault(index, _Call())
        function = piece.get("function") or {}
        arguments = function.get("arguments") or ""
        if not isinstance(arguments, str):
            arguments = dump(arguments).decode()
        name = "" if call.name else function.get("name") or ""
        call.id = call.id or piece.get("id") or ""
        call.name = call.name or name
        call.arguments.append(arguments)
        return ToolCallDelta(index=index, name=name, arguments=arguments)

    def _index(self, piece: dict[str, Any], place: int) -> int:
        """Which call a piece belongs to; some servers number none of them."""
        index = piece.get("index")
        if index is not None:
            return int(index)
        known = [i for i, call in self._calls.items() if call.id and call.id == piece.get("id")]
        if known:
            return known[0]
        return len(self._calls) if piece.get("id") else max(len(self._calls) - 1, place)

    def _parts(self) -> Iterator[Part]:
        thought, details = "".join(self._thoughts), self._details
        if thought or details:
            opaque = dump({"reasoning_details": details}).decode() if details else None
            origin = f"{self._provider}/{self._request.model}"
            yield Reasoning(text=thought, opaque=opaque, origin=origin)
        if text := "".join(self._texts):
            yield Text(text=text)
        for index, call in sorted(self._calls.items()):
            if not call.name:
                raise MalformedResponseError(self._provider, f"tool call {index} has no name")
            made_id = call.id or f"call_{self._request.step}_{index}"
            yield ToolCall(id=made_id, name=call.name, arguments="".join(call.arguments))

    def _counted(self) -> Usage:
        usage = self._usage
        if usage is None:
            said = sum(map(len, self._texts)) + sum(map(len, self._thoughts))
            said += sum(len(a) for call in self._calls.values() for a in call.arguments)
            return Usage(
                prompt_tokens=self._body_bytes // _BYTES_PER_TOKEN,
                completion_tokens=said // _BYTES_PER_TOKEN,
            )
        taken = usage.get("prompt_tokens_details") or {}
        given = usage.get("completion_tokens_details") or {}
        return Usage(
            prompt_tokens=usage.get("prompt_tokens") or 0,
            completion_tokens=usage.get("completion_tokens") or 0,
            cache_read_tokens=taken.get("cached_tokens") or usage.get("cached_tokens") or 0,
            cache_write_tokens=taken.get("cache_write_tokens") or 0,
            reasoning_tokens=given.get("reasoning_tokens") or 0,
        )


def _merge(details: list[dict[str, Any]], piece: dict[str, Any]) -> None:
    """Join a streamed piece of `reasoning_details` to the block that it goes on with."""
    last = details[-1] if details else None
    if last is None or (last.get("type"), last.get("index")) != (
        piece.get("type"),
        piece.get("index"),
    ):
        details.append(dict(piece))
        return
    for key, value in piece.items():
        if key in ("text", "summary") and isinstance(last.get(key), str) and value:
            last[key] += value
        elif value is not None:
            last[key] = value
