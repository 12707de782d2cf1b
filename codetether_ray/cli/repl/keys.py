"""Keys of the prompt."""

from collections.abc import Callable

from prompt_toolkit.filters import Condition
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from codetether_ray.cli.repl.lines import goes_on


def bindings(*, interrupt: Callable[[], None]) -> KeyBindings:
    """Enter, Alt-Enter, Ctrl-C and Ctrl-D.

    `interrupt` is called by Ctrl-C on an empty line. Ctrl-D on an empty line ends the input, in a
    line it deletes.
    """
    keys = KeyBindings()

    @keys.add("enter")
    def enter(event: KeyPressEvent) -> None:
        """Send, or go on below where the line ends with a backslash."""
        buffer = event.current_buffer
        if buffer.document.is_cursor_at_the_end and goes_on(buffer.text):
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
            return
        buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def more(event: KeyPressEvent) -> None:
        """One more line."""
        event.current_buffer.insert_text("\n")

    @keys.add("c-c")
    @keys.add("<sigint>")
    def clear(event: KeyPressEvent) -> None:
        """Clear the line first."""
        clear_or(event.app.current_buffer.text, event.app.current_buffer.reset, interrupt)

    @Condition
    def is_empty() -> bool:
        from prompt_toolkit.application import get_app

        return not get_app().current_buffer.text

    @keys.add("c-d", filter=is_empty)
    def leave(event: KeyPressEvent) -> None:
        """The input ends."""
        event.app.exit(exception=EOFError, style="class:exiting")

    return keys


def clear_or(text: str, clear: Callable[[], None], otherwise: Callable[[], None]) -> None:
    """What Ctrl-C does: what is typed goes first, and nothing else with it."""
    if text:
        clear()
    else:
        otherwise()
