"""The prompt itself: reads lines, starts what they ask for, and shows it above the line."""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import click
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import Completer
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import History
from prompt_toolkit.input import Input
from prompt_toolkit.output import Output
from prompt_toolkit.styles import Style

from codetether_ray.cli import exit_codes, words
from codetether_ray.cli.crash import write_report
from codetether_ray.cli.repl import commands, conversation, leaving
from codetether_ray.cli.repl.conversation import Conversation
from codetether_ray.cli.repl.jobs import Job, Jobs, Work
from codetether_ray.cli.repl.keys import bindings, clear_or
from codetether_ray.cli.repl.lines import Line, parse
from codetether_ray.cli.repl.questions import Desk
from codetether_ray.cli.repl.screen import Screen, rows_of
from codetether_ray.cli.repl.tally import Tally
from codetether_ray.cli.repl.toolbar import toolbar
from codetether_ray.core.errors import CodetetherError

_STYLE = Style.from_dict(
    {"bottom-toolbar": "noreverse fg:ansibrightblack", "question": "bold", "prompt": "bold"}
)
_MENU_ROWS = 5
_TICK_S = 1.0
_PATIENCE_S = 10.0


class Repl:
    """One prompt: its session, its jobs, its questions. All in one event loop."""

    def __init__(
        self,
        directory: Path,
        data_dir: Path,
        *,
        input: Input,
        output: Output,
        history: History | None = None,
    ) -> None:
        self.data_dir = data_dir
        self.screen = Screen(output, self._redraw)
        self.desk = Desk(is_typing=self._is_typing, changed=self._redraw)
        self.jobs = Jobs(ended=self._ended)
        self.talk = Conversation(directory)
        self.tally = Tally()
        self.queued: list[str] = []
        """Lines that wait until nothing is in front."""
        self.leaves_when_done = False
        self.left_behind: tuple[str, ...] = ()
        """Commands that follow what goes on without this prompt."""
        self.exit_code = exit_codes.SUCCESS
        self._entering = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = asyncio.Event()
        self._asks = True
        self._is_lent = self._is_ending = False
        self._loop = asyncio.get_running_loop()
        self._session: PromptSession[str] = PromptSession(
            message=self._message,
            multiline=True,
            key_bindings=bindings(interrupt=self.interrupt),
            history=history,
            complete_while_typing=False,
            complete_in_thread=True,
            bottom_toolbar=lambda: toolbar(self),
            prompt_continuation="  ",
            style=_STYLE,
            input=input,
            output=output,
            reserve_space_for_menu=_MENU_ROWS,
            enable_suspend=True,
        )

    def complete_with(self, completer: Completer) -> None:
        """What Tab offers."""
        self._session.completer = completer

    # -- its life -----------------------------------------------------------------------------

    async def run(self) -> int:
        """Read lines until it is left; the exit code."""
        ticking = asyncio.create_task(self._tick())
        try:
            while not self._closed.is_set():
                await self._read()
        finally:
            ticking.cancel()
        await self.screen.settle()
        if not self.left_behind:
            self.jobs.stop_all()
            await self.jobs.wait(_PATIENCE_S)
            await self.screen.settle()
        return self.exit_code

    async def leave(self) -> None:
        """Close, or ask first what becomes of what is under way."""
        await leaving.leave(self)

    def close(self) -> None:
        """Read no more lines."""
        self._closed.set()
        self._end_line_of_input()

    def stop_asking(self) -> None:
        """Show no prompt any more; what is said is still shown."""
        self._asks = False
        self._end_line_of_input()

    def end(self, *, is_hung_up: bool) -> None:
        """Close, as a signal asks, once: stop everything, or leave what can go on by itself."""
        if not self._is_ending:
            self._is_ending = True
            self.exit_code = exit_codes.INTERRUPTED
            self.spawn(leaving.hang_up(self) if is_hung_up else leaving.cancel_all(self))

    def _end_line_of_input(self) -> None:
        app = self._session.app
        if app.is_running and not app.is_done:
            app.exit(result="")

    async def _read(self) -> None:
        if not self._asks:
            await self._closed.wait()
            return
        try:
            typed = await self._session.prompt_async(
                set_exception_handler=False, handle_sigint=False
            )
        except EOFError:
            self._end_of_input()
            await asyncio.sleep(0)
            return
        except OSError:  # the terminal was closed
            self._asks = False
            self.end(is_hung_up=True)
            return
        if self._asks and not self._closed.is_set():
            self.enter(typed)

    def _end_of_input(self) -> None:
        if self.desk.current is not None:
            self.desk.end_of_input()
        else:
            self.spawn(self.leave())

    # -- lines --------------------------------------------------------------------------------

    def enter(self, typed: str) -> None:
        """Do what a line says: answer the question that is shown, run a command, begin a turn."""
        line = parse(typed)
        if self.desk.current is not None and not line.command:
            if not self.desk.take(typed) and typed.strip():
                self.say(f"an answer is {self.desk.current.hint}")
            return
        self.desk.show()
        if not line.command and not line.text:
            return
        self.leaves_when_done = False
        command = commands.find(line.command) if line.command else None
        if line.command and command is None:
            self.say(commands.unknown(line.command))
            return
        needs_front = not line.in_background and (command is None or command.in_front)
        if needs_front and (self.jobs.front is not None or self._entering):
            self.queued.append(typed)
            self._redraw()
            return
        self._start(command, line)

    def _start(self, command: commands.Command | None, line: Line) -> None:
        if command is None:
            text = line.text
            self.begin_turn(lambda job: self._turn(job, text), text)
            return
        self._entering += command.in_front
        self.spawn(self._commanded(command, line))

    async def _commanded(self, command: commands.Command, line: Line) -> None:
        try:
            await command.run(self, line)
        finally:
            self._entering -= command.in_front
            self.next_line()

    async def _turn(self, job: Job, text: str) -> None:
        await conversation.turn(self, job, self.talk.wish(text))

    def next_line(self) -> None:
        """Take the next line that waits, where nothing is in front."""
        if self.queued and self.jobs.front is None and not self._entering:
            self.enter(self.queued.pop(0))

    # -- jobs ---------------------------------------------------------------------------------

    def begin(
        self,
        work: Work,
        title: str,
        *,
        kind: str = "session",
        lasts: bool = False,
        in_background: bool = False,
    ) -> Job:
        """Start a job; what goes wrong in it is said in a sentence.

        `lasts`: it lives on a head that stays when this prompt is left.

        Raises:
            CodetetherError: something is in front already.
        """
        if not in_background and self.jobs.front is not None:
            raise CodetetherError(f"{self.jobs.front.name} is in front; `&` starts it behind")

        async def guarded(job: Job) -> None:
            await self._guarded(work(job), job)

        return self.jobs.start(guarded, title, in_background=in_background, kind=kind, lasts=lasts)

    def begin_turn(self, work: Work, title: str) -> Job:
        """Start a turn of the session, in front."""
        return self.begin(work, title, lasts=self.would_last(None))

    def would_last(self, address: str | None) -> bool:
        """Whether a run that is started now goes on without this process."""
        from codetether_ray.bootstrap.truth.reach import run_lasts

        try:
            return run_lasts(address, self.data_dir)
        except CodetetherError:  # the run itself will say why
            return False

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something short beside the prompt."""
        task = asyncio.get_running_loop().create_task(self._guarded(work, None))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def lasts(self, job: Job) -> bool:
        """Whether a job goes on when this process is gone."""
        return job.lasts and bool(job.run_id)

    def interrupt(self) -> None:
        """Ctrl-C on an empty line: what is in front stops, never what is behind."""
        question = self.desk.current
        if question is not None and (question.job == 0 or self._is_behind(question.job)):
            self._put_off()
            return
        job = self.jobs.interrupt()
        if job is None:
            self.leaves_when_done = False
            self.say("nothing is in front; Ctrl-D or /quit leaves, /cancel stops what is behind")
        elif job.stops == 1:
            self.say("stopping; Ctrl-C once more does not wait for it")
        if self.queued:
            self.say(f"not sent: {words.plural(len(self.queued), 'line')} that waited")
            self.queued.clear()

    def signalled(self) -> None:
        """SIGINT, which a terminal sends while it is lent, or somebody else: as Ctrl-C."""
        if self._is_lent:
            return
        buffer = self._session.default_buffer
        clear_or(buffer.text, buffer.reset, self.interrupt)

    @contextlib.contextmanager
    def lending(self) -> Iterator[None]:
        """Somebody else has the terminal: its Ctrl-C is theirs."""
        self._is_lent = True
        try:
            with self.screen.held():
                yield
        finally:
            self._is_lent = False

    def _put_off(self) -> None:
        question = self.desk.current
        if question is not None and question.job == 0:
            self.desk.take(leaving.STAY.word)
        else:
            self.desk.set_aside()
            self.say("the question waits; /answer shows it again")

    def _is_behind(self, number: int) -> bool:
        return any(job.number == number for job in self.jobs.behind)

    def _ended(self, job: Job) -> None:
        self._redraw()
        self._loop.call_soon(self._after)

    def _after(self) -> None:
        self.next_line()
        self.leave_if_done()

    def leave_if_done(self) -> None:
        """Close, where that was asked for and nothing is under way any more."""
        if self.leaves_when_done and not self.jobs.under_way and not self.queued:
            self.close()

    async def _guarded(self, work: Coroutine[Any, Any, None], job: Job | None) -> None:
        try:
            await work
        except asyncio.CancelledError:
            is_hard = job is not None and job.stops > 1
            kept = "not waited for; what was finished is kept"
            self.tell(job, kept if is_hard else "stopped before anything had begun", "yellow")
        except click.exceptions.Exit:
            pass
        except click.ClickException as error:
            self.tell(job, error.format_message(), "red")
        except CodetetherError as error:
            self.tell(job, str(error), "red")
        except Exception as error:  # noqa: BLE001 - the prompt stays, whatever a job does
            said = words.one_line(f"{type(error).__name__}: {error}", 300)
            self.tell(job, f"unexpected {said} (traceback: {write_report(error)})", "red")

    # -- what is said -------------------------------------------------------------------------

    def say(self, sentence: str) -> None:
        """A sentence of the program itself."""
        self.screen.aside(f"codetether: {sentence}", "dim")

    def say_from_thread(self, sentence: str) -> None:
        """The same, from another thread."""
        self._loop.call_soon_threadsafe(self.say, sentence)

    def tell(self, job: Job | None, text: str, colour: str = "") -> None:
        """A line of a job; of one in the background with its number, beside what streams."""
        if job is None:
            self.screen.aside(f"codetether: {text}", colour)
        elif job.in_background:
            self.screen.aside(f"[{job.number}] {text}", colour)
        else:
            self.screen.line(text, colour)

    def _message(self) -> StyleAndTextTuples:
        question = self.desk.current
        shown: StyleAndTextTuples = []
        if self.screen.live and not self._session.app.is_done:  # what is done stays on the screen
            rows = rows_of(self.screen.live, self.screen.width)
            shown += [("", row + "\n") for row in rows]
        if question is not None:
            by = f"{question.by}: " if question.by else ""
            shown.append(("class:question", f"{by}{question.text} {question.hint}".rstrip() + "\n"))
        return [*shown, ("class:prompt", "> " if question is None else "? ")]

    def _is_typing(self) -> bool:
        return bool(self._session.default_buffer.text)

    def _redraw(self) -> None:
        app = self._session.app
        if app.is_running:
            app.invalidate()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            if self.jobs.under_way:
                self._redraw()
