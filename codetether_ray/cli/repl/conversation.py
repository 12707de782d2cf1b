"""The session that is talked with at the prompt: one turn for each message."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from codetether_ray.bootstrap.resuming import is_over
from codetether_ray.bootstrap.session.home import SessionResult
from codetether_ray.bootstrap.session.run import run_session
from codetether_ray.bootstrap.session.wish import SessionWish
from codetether_ray.cli import attachments, words
from codetether_ray.cli.output import Notes
from codetether_ray.cli.progress import SwarmView
from codetether_ray.cli.repl.jobs import Job
from codetether_ray.cli.repl.lines import mentioned
from codetether_ray.cli.repl.screen import Screen, plain
from codetether_ray.core import events as e
from codetether_ray.core.events import Record
from codetether_ray.core.messages import Message

if TYPE_CHECKING:
    from codetether_ray.cli.repl.app import Repl

MAIN = "main"


@dataclass(slots=True)
class Conversation:
    """Which session the next message belongs to, and who answers it."""

    directory: Path
    session_id: str | None = None
    """None: the next message begins one."""
    model: str | None = None
    """What `/model` said; None leaves it to the session and the settings."""
    answered_by: str = field(default="")
    """The model of the latest turn."""

    def wish(self, text: str) -> SessionWish:
        """The turn that a message asks for; files that it names by @path are attached.

        Raises:
            UsageError: a file cannot be read.
        """
        return SessionWish(
            message=message_of(text, self.directory),
            directory=self.directory,
            session_id=self.session_id,
            model=self.model,
        )

    def again(self, session_id: str) -> SessionWish:
        """The turn of a session that stopped before its end, taken up."""
        return SessionWish(
            message=None, directory=self.directory, resume=session_id, model=self.model
        )


def message_of(text: str, directory: Path) -> Message:
    """A user message with the files that it names."""
    return attachments.message(text, mentioned(text, directory))


class Transcript:
    """Shows one turn: the answer as it streams, a line for each tool, what it took at the end."""

    def __init__(self, screen: Screen, job: Job, talk: Conversation) -> None:
        self._screen, self._job, self._talk = screen, job, talk
        self._notes = Notes(screen, counts_down=False)  # type: ignore[arg-type]
        self._view = SwarmView()
        self._shown = ""  # of the step that streams now
        self._began = time.time()

    def show(self, record: Record) -> None:
        """One event."""
        self._view.apply(record)
        self._note(record)
        if record.agent == MAIN:
            self._stream(record)
        if not isinstance(record.event, e.TextStreamed | e.ReasoningStreamed):
            self._notes_of(record)

    def status(self) -> str:
        """What the agent does now."""
        agent = self._view.agents.get(MAIN)
        doing = agent.doing if agent is not None and agent.doing else "starting"
        return f"{doing} · {words.seconds(time.time() - self._began)}"

    def finish(self, result: SessionResult) -> None:
        """The rest of the answer, how it ended, what it took."""
        turn, screen = result.turn, self._screen
        if turn.text and turn.text != self._shown:
            screen.line(plain(turn.text))
        screen.end_line()
        if turn.outcome == "needs_decision":
            screen.line("the agent waits for your answer", "yellow")
        elif not turn.is_success:
            sentence = turn.error or f"the agent ended with outcome {turn.outcome}"
            colour = "yellow" if turn.outcome == "cancelled" else "red"
            screen.line(words.one_line(f"{turn.outcome}: {sentence}", 2000), colour)
        used = f"{words.tokens(turn.usage)} · {words.dollars(turn.cost_usd)}"
        screen.line(f"{turn.outcome} · {used} · {words.seconds(turn.elapsed_s)}", "dim")
        if not is_over("session", turn.outcome):
            screen.line("/resume takes the turn up again, a message says something new", "dim")

    def _note(self, record: Record) -> None:
        if isinstance(record.event, e.RunStarted):
            self._job.run_id = self._talk.session_id = record.correlation.run_id
            self._talk.answered_by = record.event.model

    def _notes_of(self, record: Record) -> None:
        """Its line, below a line of the answer that was streaming."""
        if self._screen.live and isinstance(record.event, e.ModelResponded | e.Retrying):
            self._screen.end_line()
        self._notes.show(record)

    def _stream(self, record: Record) -> None:
        match record.event:
            case e.TextStreamed(text=text):
                self._screen.write(plain(text))
                self._shown += text
            case e.Retrying():
                self._shown = ""  # void: the call is made again
            case e.ModelRequested():
                self._shown = ""
            case _:
                pass


async def turn(repl: "Repl", job: Job, wish: SessionWish) -> None:
    """Do one turn and show it."""
    transcript = Transcript(repl.screen, job, repl.talk)
    job.status = transcript.status
    result = await run_session(wish, transcript.show, repl.say)
    repl.talk.session_id = result.session_id
    transcript.finish(result)
    repl.tally.add("session", result.session_id, result.turn.usage, result.turn.cost_usd)
