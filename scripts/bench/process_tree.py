"""CPU and memory of a process and all its descendants, sampled from outside.

    python scripts/bench/process_tree.py PID [--weigh]

prints a JSON line per sample until its standard input closes: seconds of CPU used so far (processes
that have ended included, as last seen) and, with `--weigh`, PSS in bytes. Not counted: this process
itself. The kernel takes milliseconds to weigh a process and stops it meanwhile: of a hundred
processes that is a core, so what is weighed is not to be timed.
"""

import json
import os
import select
import sys

import psutil

from codetether_ray.actors.processes import descendants

_PERIOD_S = 0.4


def main() -> None:
    """Sample until standard input closes."""
    root, weighs = psutil.Process(int(sys.argv[1])), "--weigh" in sys.argv
    cpu: dict[tuple[int, float], float] = {}
    while True:
        pss = 0
        for pid in [root.pid, *(found.pid for found in descendants(root.pid))]:
            if pid == os.getpid():
                continue
            try:
                process = psutil.Process(pid)
                times = process.cpu_times()
                cpu[process.pid, process.create_time()] = times.user + times.system
                pss += process.memory_full_info().pss if weighs else 0
            except psutil.Error:
                continue
        print(json.dumps({"cpu_s": sum(cpu.values()), "pss": pss}), flush=True)
        if select.select([sys.stdin], [], [], _PERIOD_S)[0]:
            return


if __name__ == "__main__":
    main()
