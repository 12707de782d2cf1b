"""What the scripted model server was asked, read from either wire format into our own words."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from codetether_ray.core.messages import Image, Message, Part, Reasoning, Text, ToolCall, ToolResult
from codetether_ray.core.messages import tool_results as tool_message

Wire = Literal["openai", "anthropic"]


@dataclass(frozen=True, kw_only=True)
class ModelCall:
    """One request as the server got it. `number` counts all requests of the server from 0."""

    wire: Wire
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    number: int = 0

    @property
    def model(self) -> str:
        """The model that was asked."""
        return str(self.body.get("model", ""))

    @cached_property
    def system(self) -> str:
        """The system prompt."""
        if self.wire == "anthropic":
            return _text(self.body.get("system", ""))
        return "".join(
            _text(m["content"])
            for m in self.body["messages"]
            if m["role"] in ("system", "developer")
        )

    @cached_property
    def messages(self) -> tuple[Message, ...]:
        """The conversation without the system prompt; consecutive tool results are one message."""
        read = _from_anthropic if self.wire == "anthropic" else _from_openai
        return read(self.body["messages"])

    @cached_property
    def tools(self) -> tuple[str, ...]:
        """Names of the tools offered, in order."""
        return tuple(
            str(t["name"] if self.wire == "anthropic" else t["function"]["name"])
            for t in self.body.get("tools", ())
        )

    @property
    def first_user_text(self) -> str:
        """The text of the first user message: who asks can be told from it."""
        return next((m.text for m in self.messages if m.role == "user"), "")

    @property
    def last_user_text(self) -> str:
        """The text of the last user message."""
        return next((m.text for m in reversed(self.messages) if m.role == "user"), "")

    @property
    def step(self) -> int:
        """How many answers the model has given in this conversation so far."""
        return sum(m.role == "assistant" for m in self.messages)

    @property
    def step_in_turn(self) -> int:
        """How many answers the model has given since the last user message."""
        count = 0
        for message in reversed(self.messages):
            if message.role == "user":
                break
            count += message.role == "assistant"
        return count

    @property
    def last_results(self) -> tuple[ToolResult, ...]:
        """The tool results that the conversation ends with; none if it ends otherwise."""
        return self.messages[-1].tool_results if self.messages else ()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the body: equal for equal requests."""
        return hashlib.sha256(json.dumps(self.body, sort_keys=True).encode()).hexdigest()


def _text(content: Any) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(str(block.get("text", "")) for block in content)


def _from_openai(messages: list[dict[str, Any]]) -> tuple[Message, ...]:
    names: dict[str, str] = {}
    found: list[Message] = []
    for message in messages:
        role = message["role"]
        if role in ("system", "developer"):
            continue
        if role == "tool":
            call_id = str(message["tool_call_id"])
            result = ToolResult(
                call_id=call_id, name=names.get(call_id, ""), content=_text(message["content"])
            )
            _add_results(found, (result,))
        elif role == "assistant":
            calls = tuple(
                ToolCall(
                    id=call["id"],
                    name=call["function"]["name"],
                    arguments=call["function"]["arguments"],
                )
                for call in message.get("tool_calls", ())
            )
            names.update((call.id, call.name) for call in calls)
            said = _text(message.get("content"))
            texts: tuple[Part, ...] = (Text(text=said),) if said else ()
            found.append(Message(role="assistant", parts=(*texts, *calls)))
        else:
            found.append(Message(role="user", parts=_openai_user(message["content"])))
    return tuple(found)


def _openai_user(content: Any) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(text=content),)
    return tuple(
        _image(block["image_url"]["url"])
        if block["type"] == "image_url"
        else Text(text=str(block.get("text", "")))
        for block in content
    )


def _image(url: str) -> Image:
    if not url.startswith("data:"):
        return Image(media_type="", url=url)
    head, _, data = url.partition(";base64,")
    return Image(media_type=head.removeprefix("data:"), data=data)


def _from_anthropic(messages: list[dict[str, Any]]) -> tuple[Message, ...]:
    names: dict[str, str] = {}
    found: list[Message] = []
    for message in messages:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        results = tuple(
            ToolResult(
                call_id=block["tool_use_id"],
                name=names.get(block["tool_use_id"], ""),
                content=_text(block.get("content", "")),
                is_error=bool(block.get("is_error", False)),
            )
            for block in blocks
            if block["type"] == "tool_result"
        )
        if results:
            _add_results(found, results)
        others = tuple(
            _anthropic_part(block, names) for block in blocks if block["type"] != "tool_result"
        )
        if others:
            found.append(Message(role=message["role"], parts=others))
    return tuple(found)


def _anthropic_part(block: dict[str, Any], names: dict[str, str]) -> Part:
    kind = block["type"]
    if kind == "tool_use":
        names[block["id"]] = block["name"]
        return ToolCall(id=block["id"], name=block["name"], arguments=json.dumps(block["input"]))
    if kind in ("thinking", "redacted_thinking"):
        return Reasoning(text=str(block.get("thinking", "")), opaque=json.dumps(block))
    if kind == "image":
        source = block["source"]
        return Image(
            media_type=source.get("media_type", ""), data=source.get("data"), url=source.get("url")
        )
    return Text(text=str(block.get("text", "")))


def _add_results(found: list[Message], results: tuple[ToolResult, ...]) -> None:
    if found and found[-1].role == "tool":
        found[-1] = tool_message(*found[-1].tool_results, *results)
    else:
        found.append(tool_message(*results))
