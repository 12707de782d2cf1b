"""What `codetether send` prints: the agent's words without what could steer a terminal."""

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING

import click

from codetether_ray.cli.style import paint
from codetether_ray.cli.words import one_line

if TYPE_CHECKING:
    from codetether_ray.a2a.said import Said
    from codetether_ray.bootstrap.a2a.peer_cards import Card

_MOST_LINE, _MOST_ANSWER = 200, 65_536


def plain(text: str) -> str:
    """Text without control characters but line ends and tabs: nothing that steers a terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)


class View:
    """Shows an answer as it grows, or one JSON object at its end."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._shown: dict[str, str] = {}
        self._state = ""
        self._is_line_open = False
        self._words = ""
        self._has_ids = False

    def show(self, said: "Said") -> None:
        """What is new."""
        if self._as_json:
            return
        for id_, (name, text) in said.artifacts.items():
            self._show_artifact(id_, name, text)
        if said.state != self._state:
            self._state = said.state
            self._status(said)

    def finish(self, name: str, url: str, said: "Said") -> None:
        """The end: the words of the last status, or the object."""
        if self._as_json:
            told = {
                "agent": name, "url": url, "state": said.state, "text": said.text,
                "task_id": said.task_id or None, "context_id": said.context_id or None,
            }  # fmt: skip
            click.echo(json.dumps(told))
            return
        known = [text.strip() for text in self._shown.values()]
        if said.words.strip() and said.words.strip() not in (*known, self._words):
            self._print_whole(said.words)
        self._end_line()

    def card(self, card: "Card") -> None:
        """An agent's card."""
        if self._as_json:
            click.echo(json.dumps(card.data, indent=2))
            return
        peer = card.peer
        click.echo(f"{peer.name}  {peer.url}")
        if peer.description:
            click.echo(f"  {peer.description}")
        for skill in peer.skills:
            click.echo(f"  * {skill.name}: {skill.description}")
        from codetether_ray.a2a.clients import read_card

        for one in read_card(card.base, card.data).supported_interfaces:
            words = f"{one.protocol_binding} {one.protocol_version}  {one.url}"
            click.echo(f"  {one_line(words, _MOST_LINE)}")

    async def ask(self, question: str) -> str:
        """The answer of whoever sits there; empty: none. Cancelled, it leaves no thread behind."""
        self._end_line()
        if question.strip() != self._words:
            self._print_whole(question)
            self._words = question.strip()
        sys.stdout.write("> ")
        sys.stdout.flush()
        loop, descriptor = asyncio.get_running_loop(), sys.stdin.fileno()
        line: asyncio.Future[bytes] = loop.create_future()

        def read() -> None:
            if not line.done():
                line.set_result(os.read(descriptor, _MOST_ANSWER))

        loop.add_reader(descriptor, read)
        try:
            return (await line).decode("utf-8", "replace").strip()
        finally:
            loop.remove_reader(descriptor)

    def _show_artifact(self, id_: str, name: str, text: str) -> None:
        before = self._shown.get(id_)
        if before == text:
            return
        self._shown[id_] = text
        if before is not None and text.startswith(before):
            self._print(text[len(before) :])
            return
        self._end_line()
        if name not in ("", "response"):
            self._note(f"{name}:")
        self._print(text)

    def _status(self, said: "Said") -> None:
        words = one_line(said.words, _MOST_LINE) if said.state not in _ENDS else ""
        state = said.state.replace("_", " ")
        ids = "" if self._has_ids or not said.task_id else f" ({_ids(said)})"
        self._has_ids = bool(said.task_id)
        self._note(f"{state}{ids}{': ' if words else ''}{words}")

    def _note(self, sentence: str) -> None:
        """A line on stderr; what goes to a file or a pipe stays whole."""
        if sys.stdout.isatty():
            self._end_line()
        sys.stderr.write(paint(sentence, "dim", sys.stderr) + "\n")
        sys.stderr.flush()

    def _print_whole(self, text: str) -> None:
        self._end_line()
        self._print(text)
        self._end_line()

    def _print(self, text: str) -> None:
        if text:
            sys.stdout.write(plain(text))
            sys.stdout.flush()
            self._is_line_open = not text.endswith("\n")

    def _end_line(self) -> None:
        if self._is_line_open:
            sys.stdout.write("\n")
            sys.stdout.flush()
            self._is_line_open = False


def _ids(said: "Said") -> str:
    return f"task {one_line(said.task_id, 100)}, context {one_line(said.context_id, 100)}"


_ENDS = frozenset({"completed", "failed", "canceled", "rejected", "answered", "input_required"})
