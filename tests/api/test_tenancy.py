"""Every statement on a tenant's table names the tenant, or is known to work for all of them.

What sessions run is heard while each test of the API lasts (see `postgres` beside this file); here it is the walk over
every operation. What the hot paths run is SQL that is written out, and is read from the modules.
"""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from fastapi import FastAPI
from httpx import AsyncClient

from service.adapters import postgres as adapters
from service.adapters.postgres.server.database import Database
from service.adapters.postgres.server.statements import parsed
from tests.api.tenancy import listening, names_its_tenant, touches, unbound
from tests.api.walking import ENDLESS, one_of_each, operations

BY_AGE_ALONE = {"upkeep"}
# The engine delivers for everybody, by the keys of what it has claimed.
FOR_ALL_TENANTS = {
    "background_tasks.claim",
    "background_tasks.give_up",
    "background_tasks.next_due",
    "background_tasks.postpone",
    "claims.claim",
    "claims.claim_by_turns",
    "claims.claim_throttled",
    "deliveries.release",
    "sample.sample",
    "settlements.settle",
    # A gauge of the whole process: how many, and never whose.
    "endpoint_health.count_failing",
    # Each process knows all that was revoked, so that no request has to ask.
    "revocations.forget",
    "revocations.since",
    # Readers of streams and of sources work for everybody: by the lease of what they have claimed, or the source's id.
    "ordered.advance",
    "ordered.fail",
    "ordered.release",
    "sources.report",
    # By the ids of messages that the same transaction has just made.
    "intake.release_event_ids",
    # By scopes, each a digest of its organisation.
    "intake.first_uses",
    # Parts of statements, into which a move puts its organisation; what has changed, by the numbers just read; and the
    # one move that there may be.
    "belongings._APPLICATIONS",
    "belongings._OF_APPLICATION",
    "belongings._OF_DESTINATION",
    "belongings._OF_ENDPOINT",
    "journal.current",
    "source.forget",
    "watching._FUNCTION",
    # How many live in each database, and for an operator who lives where.
    "homes.counts",
    "homes.listed",
}


async def test_every_statement_of_a_session_names_its_tenant(
    app: FastAPI, api: AsyncClient, postgres: Database
) -> None:
    things = await one_of_each(api, postgres)

    with listening(postgres) as statements:
        for operation in operations(app, last="DELETE"):
            if operation.name not in ENDLESS:
                answer = await operation.ask(api, things)
                assert answer.status_code < 500, f"{operation.name}: {answer.text}"

    assert len([statement for statement in statements if touches(statement)]) > 30
    assert unbound(statements) == []


def test_written_out_sql_names_its_tenant_or_is_known_to_work_for_all() -> None:
    (directory,) = adapters.__path__
    found = {
        f"{file.stem}.{name}": names_its_tenant(text)
        for file in Path(directory).rglob("*.*")
        if "migrations" not in file.parts
        if file.stem not in BY_AGE_ALONE
        for name, text in written_out(file)
        if touches(text)
    }

    assert {name for name, bound in found.items() if not bound} == FOR_ALL_TENANTS
    assert any(found.values())


def written_out(file: Path) -> Iterable[tuple[str, str]]:
    """Each text that may be a statement, under its own name or that of what it is in."""
    match file.suffix:
        case ".sql":
            return ((name, statement.text) for name, statement in parsed(file.read_text()).items())
        case ".py":
            return in_module(ast.parse(file.read_text()))
        case _:
            return ()


def in_module(tree: ast.AST, name: str = "") -> Iterator[tuple[str, str]]:
    """Each text in the module, under the name of the constant or the function that it is in."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from in_module(node, node.name)
            case ast.Assign(targets=[ast.Name(id=target)]):
                yield from in_module(node, target)
            case ast.JoinedStr(values=values):
                yield name, "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in values)
            case ast.Constant(value=str(text)):
                yield name, text
            case _:
                yield from in_module(node, name)
