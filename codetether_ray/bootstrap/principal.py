"""Who asks: the person and machine that a run, its processes and its share are for."""

import getpass
import os
import socket


def this_principal() -> str:
    """`USER@HOST` of this process."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
