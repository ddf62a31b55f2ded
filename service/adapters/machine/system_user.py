"""The user of the machine that the embedded PostgreSQL runs as where Relevo runs as root, as PostgreSQL does not.

Its library looks the user up and makes it with `useradd` if there is none. While one is at that, another finds no user,
or one that is not whole yet, or makes a second one of the same name: only one at a time may look.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOCK = Path("/var/run/relevo-user.lock")  # where only root writes


@contextmanager
def looked_up_by_one() -> Iterator[None]:
    """As root, hold the machine's lock. One that has no room for it is read-only: there nobody makes a user."""
    if os.geteuid() != 0:
        yield
        return
    try:
        lock = os.open(_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        yield
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
