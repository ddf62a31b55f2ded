"""Whether an organisation lives in a database, by its row there. Only where there are several databases.

A process may have an old choice of the database. So what it does there begins with a look at this row, in the same
transaction or statement. Whoever changes a row to what is none of RESIDENTS has to wait, before it reads what the
organisation has there, until every transaction has ended that began before the change was committed.
"""

from collections.abc import Callable
from dataclasses import dataclass

from service.adapters.postgres.server.statements import Statement
from service.domain.ids import OrgId
from service.domain.moves import SET_ASIDE

HERE = "here"
LEAVING = "leaving"  # lives here, but nothing more is sent from here: it will soon live elsewhere
STOPPED = "stopped"  # is on its way
GONE = "gone"  # lives elsewhere
ARRIVING, RETURNING = "arriving", "returning"  # is on its way to here, for the first time or after it was gone
RESIDENTS = frozenset({HERE, LEAVING})

ASIDE = f"interval '{SET_ASIDE.days} days'"


def of_residents(accept: Statement) -> Statement:
    """The statement that accepts messages, where there are several databases. An application is found only if its
    organisation lives here; of one that is leaving nothing is born leased, and what it owes is set aside."""
    due, ready = "coalesce(w.deliver_at, now())", "coalesce(e.throttle_rate, a.throttle_rate) IS NULL"
    aside = f"CASE WHEN {_residence_of('w')} = '{LEAVING}' THEN {ASIDE} ELSE interval '0' END"
    return (
        accept.altered(") a ON true", f") a ON {_residence_of('i')} IN ('{HERE}', '{LEAVING}')")
        .altered(ready, f"{ready} AND {_residence_of('e')} = '{HERE}'")
        .altered(due, f"{due} + {aside}")
    )


def _residence_of(row: str) -> str:
    """That of the organisation of a row. No `EXISTS`, for which a plan may read the whole table."""
    return f"(SELECT residence FROM organisation o WHERE o.org_id = {row}.org_id)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Residence:
    """The organisation whose transaction it is. `moved` is called when it does not live in the database."""

    org_id: OrgId
    moved: Callable[[OrgId], None]
