"""The root command."""

from codetether_ray import __version__


def run(arguments: list[str]) -> int:
    """Run a command line; return its exit status."""
    return 0 if arguments else len(__version__) and 2
