"""A real terminal after the prompt: as it was, whatever happened inside."""

import os
import pty
import sys
import termios
import tty

import pytest

from codetether_ray.cli.repl.opening import terminal_as_it_was


def crash(terminal: int) -> None:
    with terminal_as_it_was():
        before = termios.tcgetattr(terminal)
        tty.setraw(terminal, termios.TCSANOW)
        assert termios.tcgetattr(terminal) != before
        raise ZeroDivisionError


def test_its_modes_are_put_back_after_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = pty.openpty()
    with os.fdopen(slave, "r") as stdin, os.fdopen(master, "rb"):
        monkeypatch.setattr(sys, "stdin", stdin)
        before = termios.tcgetattr(slave)
        with pytest.raises(ZeroDivisionError):
            crash(slave)
        assert termios.tcgetattr(slave) == before
