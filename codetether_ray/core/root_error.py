"""The root of this project's errors; they stand with their noun, and `errors` has them all.

All constructor arguments go to `super().__init__`, because an exception is rebuilt from `args` when
it crosses processes; `__str__` words the sentence: what happened, what helps. `exit_code` is what
the command line ends with.
"""

from typing import ClassVar


class CodetetherError(Exception):
    """Root of the project's errors."""

    exit_code: ClassVar[int] = 1
