"""How long tests wait, and what they allow for a machine that has other work. `RELEVO_TEST_PATIENCE` multiplies both.

No test passes because of it: a wait ends when what is waited for is there, and these say when to call it a failure.
"""

import os
from pathlib import Path

_ASKED_FOR = float(os.environ.get("RELEVO_TEST_PATIENCE") or 1)
_NOW = Path("/proc/loadavg")
_AT_LEAST = 60.0  # seconds: only a test that fails waits so long


def patient(seconds: float) -> float:
    """Seconds until a wait that takes `seconds` at most on a quiet machine is given up."""
    return max(seconds * 4, _AT_LEAST) * _ASKED_FOR


def unhurried(seconds: float) -> float:
    """Seconds that something may take here and now, of which a quiet machine needs no more than `seconds`.

    Whoever shares a core with n others gets its nth part: the machine's load for each of its cores is the factor.
    """
    return seconds * max(1.0, _load() / (os.cpu_count() or 1)) * _ASKED_FOR


def _load() -> float:
    """How many want a core: in the last minute, or at this moment if those are more, where the system tells."""
    now = int(_NOW.read_text().split()[3].partition("/")[0]) if _NOW.exists() else 0
    return max(os.getloadavg()[0], now)
