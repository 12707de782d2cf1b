"""What `codetether run` prints: the answer on stdout, everything else on stderr."""

import asyncio
import io
import json
import math
import sys
import time
from typing import Protocol, TextIO

from codetether_ray.bootstrap.resuming import continue_command
from codetether_ray.bootstrap.session.home import SessionResult
from codetether_ray.cli import words
from codetether_ray.cli.options import Format
from codetether_ray.cli.style import paint, say
from codetether_ray.core import events as e
from codetether_ray.core.events import Record

__all__ = ["Output", "go_on", "open_output", "say"]

_ERROR_LINES = 60


class Output(Protocol):
    """Shows a session while it runs, and its end."""

    def show(self, record: Record) -> None:
        """One event, as it comes."""
        ...

    def finish(self, result: SessionResult) -> None:
        """The end."""
        ...


def open_output(form: Format) -> Output:
    """The output of a format, on this process's streams."""
    if form == "text":
        return TextOutput(sys.stdout, sys.stderr)
    if form == "json":
        return JsonOutput(sys.stdout, sys.stderr)
    return StreamJsonOutput(sys.stdout, sys.stderr)


def go_on(result: SessionResult) -> str:
    """The command that goes on with a session: with what is unfinished, or with something new."""
    if result.turn.outcome == "needs_decision":
        return continue_command(result.session_id, "your answer")
    if not result.resume:
        return continue_command(result.session_id)
    more = " with a higher --max-tokens or --budget" if result.turn.outcome == "budget" else ""
    return result.resume + more


class Countdown:
    """A line on a terminal that counts the time down until a model call is made again."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._timer: asyncio.TimerHandle | None = None
        self._until = 0.0

    def start(self, delay_s: float) -> None:
        """Count from here; off a terminal nothing is counted."""
        if self._stream.isatty():
            self._until = time.monotonic() + delay_s
            self._tick()

    def stop(self) -> None:
        """Clear the line."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _tick(self) -> None:
        left = max(math.ceil(self._until - time.monotonic()), 0)
        span = f"{left} s" if left < 60 else words.seconds(left)
        self._stream.write(f"\r\x1b[K  again in {span}")
        self._stream.flush()
        self._timer = asyncio.get_running_loop().call_later(1, self._tick)


class Notes:
    """Lines on stderr: what the agent does, apart from answering."""

    def __init__(self, stream: TextIO, *, counts_down: bool = True) -> None:
        """`counts_down`: a line may be drawn anew in place, if `stream` is a terminal."""
        self._stream = stream
        self._countdown = Countdown(stream if counts_down else io.StringIO())

    def write(self, text: str, colour: str = "dim") -> None:
        """One line."""
        self._countdown.stop()
        self._stream.write(paint(text, colour, self._stream) + "\n")
        self._stream.flush()

    def hush(self) -> None:
        """Take back what is not a line yet."""
        self._countdown.stop()

    def show(self, record: Record) -> None:
        """The line of an event, where it has one."""
        self.hush()
        who = "" if record.agent == "main" else f"{record.agent}: "
        match record.event:
            case e.ModelResponded(response=response):
                for call in response.message.tool_calls:
                    self.write(f"{who}· {words.tool_call(call)}")
            case e.ToolFinished(result=result) if result.is_error:
                self.write(f"{who}! {result.name}: {words.one_line(result.content, 160)}", "yellow")
            case e.Retrying(next_in_s=delay, reason=reason, attempt=attempt):
                why = words.one_line(reason, 160)
                self.write(f"{who}retry {attempt} in {words.seconds(delay)}: {why}", "yellow")
                self._countdown.start(delay)
            case e.Compacted():
                self.write(f"{who}the conversation was shortened")
            case e.AgentRestarted(reason=reason):
                self.write(f"{who}restarted: {words.one_line(reason, 160)}", "yellow")
            case e.Warned(text=text):
                self.write(f"{who}warning: {text}", "yellow")
            case e.Queued(reason=reason, next_in_s=None):
                self.write(f"{who}queued: {reason}")
            case e.Queued(reason=reason, next_in_s=float(delay)):
                self.write(f"{who}waiting {words.seconds(delay)} for {reason}", "yellow")
                self._countdown.start(delay)
            case _:
                pass

    def close(self, result: SessionResult) -> None:
        """How it ended, what it used, and how to go on."""
        turn = result.turn
        if not turn.is_success and turn.outcome != "needs_decision":  # then the text is a question
            sentence = turn.error or f"the agent ended with outcome {turn.outcome}"
            if sentence != turn.outcome:
                self._tell(f"{turn.outcome}: {sentence}")
        used = f"{words.tokens(turn.usage)} · {words.dollars(turn.cost_usd)}"
        self.write(f"{turn.outcome} · {used} · {words.seconds(turn.elapsed_s)}")
        verb = "answer" if turn.outcome == "needs_decision" else "go on"
        self.write(f"{verb}: {go_on(result)}")

    def _tell(self, sentence: str) -> None:
        """An error; a tape's difference has lines of its own."""
        lines = sentence.splitlines()
        for line in lines[:_ERROR_LINES]:
            self.write(words.one_line(line, 2000), "red")
        if len(lines) > _ERROR_LINES:
            self.write(f"… {len(lines) - _ERROR_LINES} more lines", "red")


class TextOutput:
    """The answer as text.

    On a terminal it is shown as it streams; a pipe gets the last message alone, at the end.
    """

    def __init__(self, stdout: TextIO, stderr: TextIO) -> None:
        self._stdout, self._notes = stdout, Notes(stderr)
        self._is_live = stdout.isatty()
        self._shown = ""  # of the step that streams now
        self._is_mid_line = False

    def show(self, record: Record) -> None:
        """Stream the answer's text; say the rest on stderr."""
        self._notes.hush()
        if self._is_live and record.agent == "main":
            self._stream(record)
        self._notes.show(record)

    def _stream(self, record: Record) -> None:
        match record.event:
            case e.TextStreamed(text=text):
                self._stdout.write(text)
                self._stdout.flush()
                self._shown += text
                self._is_mid_line = not text.endswith("\n")
            case e.Retrying():
                self._shown = ""  # void: the call is made again
                self._end_line()
            case e.ModelResponded():
                self._end_line()
            case e.ModelRequested():
                self._shown = ""
            case _:
                pass

    def _end_line(self) -> None:
        if self._is_mid_line:
            self._stdout.write("\n")
            self._stdout.flush()
        self._is_mid_line = False

    def finish(self, result: SessionResult) -> None:
        """Print the answer, unless it was shown already."""
        text = result.turn.text
        if text and text != self._shown:
            self._stdout.write(text if text.endswith("\n") else text + "\n")
            self._stdout.flush()
        self._notes.close(result)


class JsonOutput:
    """One object on stdout at the end."""

    def __init__(self, stdout: TextIO, stderr: TextIO) -> None:
        self._stdout, self._notes = stdout, Notes(stderr)

    def show(self, record: Record) -> None:
        """Say on stderr what happens."""
        self._notes.show(record)

    def finish(self, result: SessionResult) -> None:
        """Print the object."""
        self._stdout.write(json.dumps(result.to_json(), indent=2, ensure_ascii=False) + "\n")
        self._stdout.flush()
        self._notes.close(result)


class StreamJsonOutput:
    """Each event one JSON line on stdout; the last line is the result, of kind `result`."""

    def __init__(self, stdout: TextIO, stderr: TextIO) -> None:
        self._stdout, self._notes = stdout, Notes(stderr)

    def show(self, record: Record) -> None:
        """One line."""
        self._line(record.to_json())

    def finish(self, result: SessionResult) -> None:
        """The last line."""
        self._line({"kind": "result", **result.to_json()})
        self._notes.close(result)

    def _line(self, value: object) -> None:
        self._stdout.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")
        self._stdout.flush()
