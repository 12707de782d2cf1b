"""`python -m codetether_ray` and the `codetether` command."""

import gc
import sys

from codetether_ray import __version__

_NEW_OBJECTS = 20_000  # imports leave next to no cycles: looking at every 700 took a tenth of them


def main() -> None:
    """Run the command line and exit with its status."""
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-V"]):  # answered without importing click
        sys.stdout.write(f"codetether {__version__}\n")
        return
    gc.set_threshold(_NEW_OBJECTS, 50, 100)
    from codetether_ray.cli.main import run

    sys.exit(run(arguments))


if __name__ == "__main__":
    main()
