"""What a command will need, loaded beside what it does first.

Importing the HTTP client reads the system's certificates twice, 50 ms in which it leaves the
interpreter to others.
"""

import threading
from contextlib import suppress


def load_client() -> None:
    """Begin to import the HTTP client; whoever needs it then waits for the rest at most."""
    threading.Thread(target=_load, name="load-client").start()


def _load() -> None:
    with suppress(Exception):  # who needs it meets the error again, and tells it
        import aiohttp  # noqa: F401
