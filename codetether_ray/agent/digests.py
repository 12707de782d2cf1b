"""Digests that tell two prompts apart: of the stable prefix, and chained over the messages."""

import hashlib
from collections.abc import Sequence

from codetether_ray.core.jsontext import json_text
from codetether_ray.core.messages import Message
from codetether_ray.core.models import ToolSchema

_SHORT = 16


def prefix_digest(system: str, tools: Sequence[ToolSchema]) -> str:
    """SHA-256 of the system prompt and the tools, in hexadecimal."""
    return hashlib.sha256(_bytes([system, list(tools)])).hexdigest()


def part_digests(system: str, tools: Sequence[ToolSchema]) -> tuple[str, ...]:
    """16 hex digits each, of the system prompt and of every tool."""
    whole = hashlib.sha256(_bytes(system)).hexdigest(), *(tool.digest for tool in tools)
    return tuple(digest[:_SHORT] for digest in whole)


class MessageChain:
    """Each message's digest covers those before it, so that only new ones are computed."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._messages: list[Message] = []
        self._digests: list[str] = []

    def parts(self) -> tuple[str, ...]:
        """16 hex digits at each message from the last answer on, of those digested last."""
        start = len(self._messages) - 1
        while start > 0 and self._messages[start].role != "assistant":
            start -= 1
        return tuple(digest[:_SHORT] for digest in self._digests[max(start, 0) :])

    def digest(self, messages: Sequence[Message]) -> str:
        """SHA-256 over the prefix and `messages`, in hexadecimal."""
        known = 0
        for mine, given in zip(self._messages, messages, strict=False):
            if mine is not given:
                break
            known += 1
        del self._messages[known:], self._digests[known:]
        last = self._digests[-1] if self._digests else self._prefix
        for message in messages[known:]:
            last = hashlib.sha256(last.encode() + _bytes(message)).hexdigest()
            self._messages.append(message)
            self._digests.append(last)
        return last


def _bytes(value: object) -> bytes:
    return json_text(value).encode("utf-8", "surrogatepass")
