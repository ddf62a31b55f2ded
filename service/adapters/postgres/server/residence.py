"""Whether an organisation lives in a database, by its row there. Only where there are several databases.

A process may have an old choice of the database. So what it does there begins with a look at this row, in the same
transaction or statement. Whoever changes a row to something else than HERE has to wait, before it reads what the
organisation has there, until every transaction has ended that began before the change was committed.
"""

from collections.abc import Callable
from dataclasses import dataclass

from service.domain.ids import OrgId
from service.domain.moves import SET_ASIDE

HERE = "here"
LEAVING = "leaving"  # lives here, but nothing more is sent from here: it will soon live elsewhere
STOPPED = "stopped"  # is on its way
GONE = "gone"  # lives elsewhere
ARRIVING, RETURNING = "arriving", "returning"  # is on its way to here, for the first time or after it was gone
RESIDENTS = frozenset({HERE, LEAVING})

# Of the organisation of a row `i`. No `EXISTS`, for which a plan may read the whole table.
_RESIDENCE = "(SELECT residence FROM organisation o WHERE o.org_id = {row}.org_id)"
LIVES_HERE = f"{_RESIDENCE.format(row='i')} IN ('{HERE}', '{LEAVING}')"
STAYS_HERE = f"{_RESIDENCE.format(row='e')} = '{HERE}'"
IS_LEAVING = f"{_RESIDENCE.format(row='w')} = '{LEAVING}'"

ASIDE = f"interval '{SET_ASIDE.days} days'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Residence:
    """The organisation whose transaction it is. `moved` is called when it does not live in the database."""

    org_id: OrgId
    moved: Callable[[OrgId], None]
