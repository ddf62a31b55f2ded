"""How many cores this process may use."""

import os
from math import ceil
from pathlib import Path

CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


def cores(*, cpu_max: Path = CPU_MAX) -> int:
    """The cores that the scheduler gives this process, or fewer if its control group (version 2) has a lower limit; a
    part of one counts as one."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = cpu_max.read_text().split()
        return min(allowed, max(1, ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # there is no such file, or no limit
        return allowed
