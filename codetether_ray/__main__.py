"""`python -m codetether_ray` and the `codetether` command."""

import sys

from codetether_ray import __version__


def main() -> None:
    """Run the command line and exit with its status."""
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-V"]):  # answered without importing click
        sys.stdout.write(f"codetether {__version__}\n")
        return
    from codetether_ray.cli.main import run

    sys.exit(run(arguments))


if __name__ == "__main__":
    main()
