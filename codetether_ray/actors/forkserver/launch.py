"""A launcher of workers, for Rays that this program starts: `python -I -S launch.py WORKER.py …`.

The hook, without what a Python usually imports at its start: half of a launcher's cost. Where the
worker must start as Ray meant it to, this process becomes it.
"""

import posix
import sys

sys.path.insert(0, __file__.rpartition("/codetether_ray/")[0])

from codetether_ray.actors.forkserver.hook import run

run()
posix.execv(sys.executable, [sys.executable, *sys.argv[1:]])
