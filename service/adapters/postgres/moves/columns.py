"""The columns of the tables that are moved, and the statements that are made of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from service.adapters.postgres.moves.belongings import BELONGINGS, Belonging
from service.domain.ids import OrgId

_COLUMNS = """
SELECT c.relname AS name, a.attname AS column, format_type(a.atttypid, a.atttypmod) AS type
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.oid = ANY ($1::regclass[]) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
ORDER BY a.attnum
"""
# The least value of each type of a column that rows are read by.
_LEAST = {
    "text": "''",
    "bytea": "''",
    "smallint": "'-32768'",
    "bigint": "'-9223372036854775808'",
    "timestamp with time zone": "'-infinity'",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A table that is moved, and its columns with their types."""

    belonging: Belonging
    types: dict[str, str]

    @property
    def columns(self) -> Sequence[str]:
        """Their names, in order."""
        return list(self.types)

    def mine(self, org_id: OrgId) -> str:
        """The condition on a row `c`."""
        return f"({self.belonging.mine.replace('{org}', org_id)})"

    def rows(self, org_id: OrgId) -> str:
        """Rows in order, with `its_owner` and what they are ordered by as `its_place`. Of owners $1 (if the table has
        any), the first one's after $2, at most $3."""
        of, order = self.belonging, self.belonging.order
        at = f"ARRAY[{', '.join(f'c.{name}::text' for name in order)}]::text[]"
        by = ", ".join(f"c.{name}" for name in order)
        if of.owner is None:
            first = "$1::text[] IS NULL"  # of no use here, but as a parameter
            return (
                f"SELECT c.*, NULL::text AS its_owner, {at} AS its_place FROM {of.table} c "
                f"WHERE {first} AND {self.mine(org_id)} AND {self._after('true')} ORDER BY {by} LIMIT $3"
            )
        beyond = self._after("o.nth = 1") if order else "(o.nth > 1 OR $2::text[] IS NULL)"
        ordered = f"ORDER BY {by}" if order else ""
        return (
            f"SELECT c.*, o.id AS its_owner, {at} AS its_place FROM unnest($1::text[]) WITH ORDINALITY AS o(id, nth) "
            f"CROSS JOIN LATERAL (SELECT * FROM {of.table} c "
            f"WHERE c.{of.owner} = o.id AND {beyond} {ordered} LIMIT $3) c LIMIT $3"
        )

    def _after(self, first: str) -> str:
        """Whether a row is after $2. A comparison with the least values otherwise, so that an index serves both."""
        names = self.belonging.order
        types = [self.types[name] for name in names]
        given = [f"CASE WHEN {first} THEN ($2::text[])[{nth}]::{of} END" for nth, of in enumerate(types, 1)]
        bounds = [f"coalesce({one}, {_LEAST[of]}::{of})" for one, of in zip(given, types, strict=True)]
        return f"({', '.join(f'c.{name}' for name in names)}) > ({', '.join(bounds)})"

    def now(self) -> str:
        """Each key of $1 (JSON, arrays of text) as `its_key`, with its row as it is; `is_there` is null without one."""
        return (
            "SELECT k.key::text AS its_key, c.* FROM json_array_elements($1::json) AS k(key) LEFT JOIN LATERAL "
            f"(SELECT true AS is_there, c.* FROM {self.belonging.table} c WHERE {self._has_key()}) c ON true"
        )

    def gone(self) -> str:
        """Delete the rows with the keys of $1 (JSON, arrays of text)."""
        keys = "json_array_elements($1::json) AS k(key)"
        return f"DELETE FROM {self.belonging.table} c USING {keys} WHERE {self._has_key()}"

    def _has_key(self) -> str:
        parts = ", ".join(f"(k.key->>{nth})::{self.types[name]}" for nth, name in enumerate(self.belonging.key))
        own = ", ".join(f"c.{name}" for name in self.belonging.key)
        return f"({own}) = ({parts})"

    def stage(self) -> str:
        """A table for rows that come in."""
        return f"CREATE TEMP TABLE IF NOT EXISTS {self.staged} (LIKE {self.belonging.table}) ON COMMIT DELETE ROWS"

    @property
    def staged(self) -> str:
        """The name of that table."""
        return f"arriving_{self.belonging.table}"

    def free(self) -> str | None:
        """Give up names of rows that come in, in case two have swapped theirs."""
        of = self.belonging
        if of.freed is None:
            return None
        same = " AND ".join(f"c.{name} = s.{name}" for name in of.key)
        return (
            f"UPDATE {of.table} c SET {of.freed} = NULL FROM {self.staged} s "
            f"WHERE {same} AND c.{of.freed} IS DISTINCT FROM s.{of.freed}"
        )

    def settle(self) -> str:
        """Store the rows that have come in."""
        of = self.belonging
        values = ", ".join(of.arrives.get(name, f'"{name}"') for name in self.types)
        names = ", ".join(f'"{name}"' for name in self.types)
        changed = [name for name in self.types if name not in of.key]
        update = ", ".join(f'"{name}" = excluded."{name}"' for name in changed)
        does = f"UPDATE SET {update}" if of.replaced and changed else "NOTHING"
        conflict = f"({', '.join(of.key)})" if of.replaced and changed else ""
        return f"INSERT INTO {of.table} ({names}) SELECT {values} FROM {self.staged} ON CONFLICT {conflict} DO {does}"

    def remove(self, org_id: OrgId) -> str:
        """Delete at most $2 rows, of the owners $1 if the table has any."""
        of = self.belonging
        whose = (
            f"$1::text[] IS NULL AND {self.mine(org_id)}" if of.owner is None else f"c.{of.owner} = ANY ($1::text[])"
        )
        keys = ", ".join(of.key)
        same = " AND ".join(f"c.{name} = d.{name}" for name in of.key)
        return (
            f"WITH doomed AS MATERIALIZED (SELECT {keys} FROM {of.table} c WHERE {whose} LIMIT $2) "
            f"DELETE FROM {of.table} c USING doomed d WHERE {same}"
        )


async def shapes(connection: asyncpg.Connection) -> dict[str, Shape]:
    """Of every table that is moved, by name, parents first."""
    types: dict[str, dict[str, str]] = {of.table: {} for of in BELONGINGS}
    for row in await connection.fetch(_COLUMNS, list(types)):
        types[row["name"]][row["column"]] = row["type"]
    return {of.table: Shape(belonging=of, types=types[of.table]) for of in BELONGINGS}
