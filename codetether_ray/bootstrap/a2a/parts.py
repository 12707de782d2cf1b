"""An A2A message as a session's agent gets it, and the files that come with it. Pure."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from a2a.types import Message as A2AMessage
from a2a.types import Part
from google.protobuf.json_format import MessageToDict

from codetether_ray.bootstrap.a2a.workspaces import INBOX, InboxFile
from codetether_ray.core.errors import UsageError
from codetether_ray.core.messages import Message, user

MOST_FILES = 32
MOST_BYTES = 32_000_000
"""Of all files of one message."""
_LONGEST_NAME = 100
_LONGEST_URL = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What a message comes to."""

    message: Message
    files: tuple[InboxFile, ...] = ()


def received(message: A2AMessage) -> Received:
    """The words for the agent, and the files to put into its workspace first.

    Raises:
        UsageError: there is nothing in it, or too much.
    """
    files = tuple(_files(message.parts))
    names = iter(files)
    words = [_words(part, names) for part in message.parts]
    text = "\n\n".join(word for word in words if word)
    if not text.strip():
        raise UsageError("the message is empty; say in a text part what is to be done")
    return Received(message=user(text), files=files)


def _words(part: Part, files: Iterator[InboxFile]) -> str:
    kind = part.WhichOneof("content")
    if kind == "text":
        return part.text
    if kind == "raw":
        file = next(files)
        what = f", {file.media_type}" if file.media_type else ""
        return f"[A file came with this: {INBOX}/{file.name} ({len(file.content)} bytes{what})]"
    if kind == "url":
        name = f" ({plain_name(part.filename)})" if part.filename else ""
        url = " ".join(part.url.split())[:_LONGEST_URL]
        return f"[A link came with this, which nobody has opened: {url}{name}]"
    if kind == "data":
        data = json.dumps(MessageToDict(part.data), ensure_ascii=False, indent=2)
        return f"```json\n{data}\n```"
    return ""


def _files(parts: Iterable[Part]) -> Iterator[InboxFile]:
    taken: set[str] = set()
    size = 0
    for part in parts:
        if part.WhichOneof("content") != "raw":
            continue
        size += len(part.raw)
        if len(taken) == MOST_FILES or size > MOST_BYTES:
            raise UsageError(
                f"too much comes with the message: at most {MOST_FILES} files and "
                f"{MOST_BYTES // 1_000_000} MB together"
            )
        name = _untaken(plain_name(part.filename), taken)
        taken.add(name.casefold())
        yield InboxFile(name=name, content=part.raw, media_type=_plain_type(part.media_type))


def plain_name(name: str) -> str:
    """A name without directories, control characters and leading dots; never empty."""
    last = PurePosixPath(name.replace("\\", "/")).name
    cleaned = re.sub(r"[^\w.+ -]+", "_", last).strip(" .")
    return _cut(cleaned) or "file"


def _cut(name: str) -> str:
    """No longer than a file system takes; the ending stays."""
    if len(name.encode()) <= _LONGEST_NAME:
        return name
    stem, dot, ending = name.rpartition(".")
    if not dot or len(ending) > 10:
        stem, dot, ending = name, "", ""
    room = _LONGEST_NAME - len(f"{dot}{ending}".encode())
    return stem.encode()[: max(room, 1)].decode("utf-8", "ignore") + dot + ending


def _untaken(name: str, taken: set[str]) -> str:
    if name.casefold() not in taken:
        return name
    stem, dot, ending = name.rpartition(".")
    if not stem:
        stem, dot, ending = name, "", ""
    number = 2
    while (found := f"{stem}-{number}{dot}{ending}").casefold() in taken:
        number += 1
    return found


def _plain_type(media_type: str) -> str:
    return media_type if re.fullmatch(r"[\w.+-]{1,60}/[\w.+-]{1,60}", media_type) else ""
