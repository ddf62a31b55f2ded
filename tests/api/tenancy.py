"""Whether a statement on a tenant's table says which tenant's, and a listener to the statements that sessions run."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from service.adapters.postgres.server import tables
from service.adapters.postgres.server.database import Database

OWNED = {name for name, table in tables.metadata.tables.items() if {"org_id", "app_id"} & set(table.c.keys())}
# By an id that was found under its application a moment before, in the same transaction.
BY_ITS_OWN_ID = (
    re.compile(r"SELECT endpoint\.(secrets|headers) \nFROM endpoint \nWHERE endpoint\.id = "),
    re.compile(r"UPDATE endpoint SET (secrets|headers)=\S+ WHERE endpoint\.id = "),
    re.compile(r"SELECT destination\.secrets \nFROM destination \nWHERE destination\.id = "),
    re.compile(r"UPDATE destination SET secrets=\S+ WHERE destination\.id = "),
    # By its scope, a digest of the organisation and of what it asked.
    re.compile(r"SELECT idempotency_key\..*\nFROM idempotency_key \nWHERE idempotency_key\.scope = ", re.DOTALL),
    re.compile(r"UPDATE idempotency_key SET status=\S+ body=\S+ WHERE idempotency_key\.scope = "),
)
_TOUCHED = re.compile(r"\b(?:FROM|JOIN|UPDATE|INTO)\s+(\w+)")
_BOUND = re.compile(r"\b(?:org_id|app_id) (?:= |IN )|\bUSING \([^)]*\b(?:org_id|app_id)\b")
_INSERTS = re.compile(
    r"\s*INSERT INTO \w+ \((?:[^)]*\b(?:org_id|app_id)\b[^)]*\) VALUES|org_id\b[^)]*\)\s+SELECT \$1::text,)"
)


def touches(statement: str) -> set[str]:
    """The tenants' tables that it reads or writes."""
    return OWNED & set(_TOUCHED.findall(statement))


def names_its_tenant(statement: str) -> bool:
    """Whether it is bound to an organisation or an application, which what it inserts is as well."""
    return bool(_BOUND.search(statement) or _INSERTS.match(statement))


def unbound(statements: Iterable[str]) -> list[str]:
    """Those on a tenant's table that do not say whose, and are not known to be right without."""
    open_ones = (each for each in statements if touches(each) and not names_its_tenant(each))
    return sorted(each for each in open_ones if not any(known.match(each) for known in BY_ITS_OWN_ID))


@contextmanager
def listening(postgres: Database) -> Iterator[set[str]]:
    """The statements of sessions while the block lasts."""
    heard: set[str] = set()

    def hear(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        heard.add(statement)

    event.listen(postgres.engine.sync_engine, "before_cursor_execute", hear)
    try:
        yield heard
    finally:
        event.remove(postgres.engine.sync_engine, "before_cursor_execute", hear)
