"""The texts and messages of a page, within what a browser can hold."""

from collections.abc import Sequence

from codetether_ray.core.codec import JsonValue
from codetether_ray.core.messages import Message
from codetether_ray.replay.text import part_text

MOST = 60_000
"""Characters of one text; `codetether replay --full` prints all."""
ROOM = 24_000_000
"""Characters of all texts together, beyond which only the beginning of each is kept."""
_BEGINNING = 300


class Shelf:
    """Takes texts until it is full, and the beginnings of all that come later."""

    def __init__(self, room: int = ROOM) -> None:
        self._left = room
        self._numbers: dict[int, tuple[Message, int]] = {}
        self.messages: list[JsonValue] = []
        """[role, text] of each message that a model was sent."""
        self.lists: list[list[int]] = []
        """Numbers of the messages of requests; a request is the beginning of one of them."""
        self.cuts = 0
        """Texts of which the beginning alone is there because the shelf is full."""

    @property
    def is_full(self) -> bool:
        """Whether there is no more room."""
        return self._left <= 0

    def text(self, text: str) -> str:
        """What there is room for."""
        most = MOST
        if self.is_full:
            most = _BEGINNING
            self.cuts += len(text) > most
        if len(text) > most:
            text = f"{text[:most]}\n… {len(text) - most} more characters"
        self._left -= len(text)
        return text

    def request(self, sent: Sequence[Message], before: "Sent") -> "Sent":
        """Where the messages of a request are, of which many were in the one `before`."""
        numbers = [self._message(message) for message in sent]
        which, known = before
        if which < 0 or list(known) != numbers[: len(known)]:
            which, known = len(self.lists), ()
            self.lists.append([])
        self.lists[which].extend(numbers[len(known) :])
        return which, tuple(numbers)

    def _message(self, message: Message) -> int:
        """The number of a message in the page's table."""
        known = self._numbers.get(id(message))
        if known is not None:
            return known[1]
        number = len(self.messages)
        self._numbers[id(message)] = message, number  # held, so that its id stays its own
        text = "\n".join(part_text(part) for part in message.parts)
        self.messages.append([message.role, self.text(text)])
        return number


Sent = tuple[int, Sequence[int]]
"""A list of messages by its number, and the messages in it."""
NOT_SENT: Sent = (-1, ())
