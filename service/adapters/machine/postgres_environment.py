"""The environment of the embedded PostgreSQL, whatever ours is.

Its programs refuse to run with some of what is meant for others: a locale that the machine has not, as in a container
that is given its user's, or one that is not of UTF-8; a PGPORT or PGDATESTYLE that they cannot read.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

# Of a new cluster, the first that the machine has, so that text is sorted alike on all machines. The second is
# everywhere, and knows no letters but those of ASCII.
LOCALES = ("C.UTF-8", "C")

# The environment is the process's, and the library of the embedded PostgreSQL passes on no other.
_changed_by_one = RLock()


@contextmanager
def postgres_environment(locale: str = LOCALES[0]) -> Iterator[None]:
    """PostgreSQL's programs that are started within the block get this locale, and no variables of PostgreSQL."""
    with _changed_by_one:
        before = dict(os.environ)
        for name in before:
            if name.startswith("PG"):
                del os.environ[name]
        os.environ["LC_ALL"] = locale
        try:
            yield
        finally:
            del os.environ["LC_ALL"]
            os.environ.update(before)
