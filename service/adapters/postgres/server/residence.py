"""Whether an organisation lives in a database, by its row there. Only where there are several databases.

A process may have an old choice of the database. So what it does there begins with a look at this row, in the same
transaction or statement. Whoever changes a row to something else than HERE has to wait, before it reads what the
organisation has there, until every transaction has ended that began before the change was committed.
"""

from collections.abc import Callable
from dataclasses import dataclass

from service.domain.ids import OrgId

HERE = "here"
# Of the organisation of a row `i`. No `EXISTS`, for which a plan may read the whole table.
LIVES_HERE = f"(SELECT residence FROM organisation o WHERE o.org_id = i.org_id) = '{HERE}'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Residence:
    """The organisation whose transaction it is. `moved` is called when it does not live in the database."""

    org_id: OrgId
    moved: Callable[[OrgId], None]
