"""`python -m wordkit.cli WIDTH < text`: wrapped text, then the number of distinct words."""

import sys


def run(arguments, text):
    """What the command prints for `arguments` and the text on its standard input."""
    raise NotImplementedError


if __name__ == "__main__":
    sys.stdout.write(run(sys.argv[1:], sys.stdin.read()))
