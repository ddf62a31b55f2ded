"""`relevo migrate` and `relevo reencrypt`: maintenance of the database."""

import os
from argparse import Namespace

from service.commands.streams import say


def migrate(_: Namespace) -> int:
    """Bring the database, or each of several, to this release's schema."""
    from service.commands.execution import run, waits
    from service.runtime.configuration import configured
    from service.runtime.database import migrate as migrated

    settings = configured(os.environ)

    async def work() -> None:
        await migrated(settings, tell=waits, done=say)

    return run(work)


def reencrypt(_: Namespace) -> int:
    """Encrypt all stored secrets again with the first of RELEVO_SECRET_KEYS."""
    from service.commands.execution import run, waits
    from service.runtime.configuration import configured
    from service.runtime.database import KeyMissing
    from service.runtime.database import reencrypt as reencrypted

    settings = configured(os.environ)

    async def work() -> None:
        outcome = await reencrypted(settings, tell=waits)
        say(f"{outcome.resealed} values were encrypted anew with the first key.")
        if outcome.unreadable:
            raise KeyMissing(outcome.unreadable)

    return run(work)
