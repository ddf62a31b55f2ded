"""Statistics of attempts, read from hourly counts, so that the cost does not grow with the attempts."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, func, select, true

from service.adapters.postgres.repositories.endpoint_health import condition_of, failing_endpoints
from service.adapters.postgres.repositories.pages import keyset, page_of
from service.adapters.postgres.server import tables
from service.adapters.postgres.server.transaction import Transaction
from service.application.ports.pages import Page, PageRequest
from service.domain import ids
from service.domain.endpoints import Endpoint
from service.domain.health import EndpointCondition, EndpointStandings, FailingEndpoint
from service.domain.ids import ApplicationId, OrgId
from service.domain.replays import Window
from service.domain.statistics import AttemptCounts, HourCounts, Owner, Subscriptions, Usage

_application = tables.application
_endpoint = tables.endpoint
_hour = tables.endpoint_hour
_activity = tables.activity_hour
_pending = tables.pending_delivery
OLDEST_LOOKED_AT = 1_000
_OF_OWNERS = ("accepted", "success", "fail", "exhausted", "canceled")
_OF_ENDPOINTS = ("success", "fail", "exhausted", "canceled", "milliseconds")


class PostgresStatistics:
    """Fulfils `ports.StatisticsRepository`."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def attempts(self, endpoint: Endpoint, window: Window) -> AttemptCounts:
        """The endpoint's attempts in every hour that the window touches."""
        statement = select(*(_sum(_hour.c[name]).label(name) for name in ("success", "fail", "canceled"))).where(
            _hour.c.app_id == endpoint.app_id, _hour.c.endpoint_id == endpoint.id, *_within(window)
        )
        row = (await self._transaction.execute(statement)).one()
        return AttemptCounts(success=row.success, fail=row.fail, canceled=row.canceled)

    async def hours(
        self, org_id: OrgId, window: Window, owners: Collection[Owner]
    ) -> Mapping[Owner, Sequence[HourCounts]]:
        """The hours that the window touches and in which something happened, by time."""
        found: defaultdict[Owner, list[HourCounts]] = defaultdict(list)
        for table, key, names, is_endpoint in (
            (_activity, _activity.c.owner, _OF_OWNERS, False),
            (_hour, _hour.c.endpoint_id, _OF_ENDPOINTS, True),
        ):
            these = [owner for owner in owners if owner.startswith(ids.ENDPOINT) is is_endpoint]
            if not these:
                continue
            sums = (_sum(table.c[name]).label(name) for name in names)
            statement = (
                select(key.label("owner"), table.c.hour, *sums)
                .where(table.c.org_id == org_id, key.in_(these), *_within(window, table))
                .group_by(key, table.c.hour)
                .order_by(key, table.c.hour)
            )
            for row in (await self._transaction.execute(statement)).mappings():
                counts = {name: int(row[name]) for name in names}
                found[row["owner"]].append(HourCounts(hour=row["hour"], **counts))
        return found

    async def standings(
        self, org_id: OrgId, app_ids: Collection[ApplicationId]
    ) -> Mapping[ApplicationId, EndpointStandings]:
        """Counts live endpoints by application."""
        live = _endpoint.c.org_id == org_id, _endpoint.c.app_id.in_(app_ids), _endpoint.c.deleted_at.is_(None)
        failing = and_(_endpoint.c.disabled.is_(False), _endpoint.c.first_failure_at.is_not(None))
        statement = (
            select(
                _endpoint.c.app_id,
                func.count().label("endpoints"),
                func.count().filter(_endpoint.c.disabled).label("disabled"),
                func.count().filter(failing).label("failing"),
            )
            .where(*live)
            .group_by(_endpoint.c.app_id)
        )
        return {
            row.app_id: EndpointStandings(endpoints=row.endpoints, disabled=row.disabled, failing=row.failing)
            for row in await self._transaction.execute(statement)
        }

    async def applications(self, org_id: OrgId, refs: Collection[str]) -> dict[str, ApplicationId]:
        """The applications with these ids or uids; unknown ones are missing."""
        found: dict[str, ApplicationId] = {}
        for key in (_application.c.id, _application.c.uid):
            named = [ref for ref in refs if ref.startswith(ids.APPLICATION) == (key is _application.c.id)]
            statement = select(_application.c.id, key.label("ref")).where(
                _application.c.org_id == org_id, _application.c.deleted_at.is_(None), key.in_(named)
            )
            found |= {row.ref: row.id for row in await self._transaction.execute(statement)}
        return found

    async def usage(
        self, org_id: OrgId, page: PageRequest, window: Window, *, among: Collection[ApplicationId] | None
    ) -> Page[Usage]:
        """The number of attempts of each application, by application id."""
        chosen = select(_application.c.id, _application.c.uid).where(
            _application.c.org_id == org_id, _application.c.deleted_at.is_(None)
        )
        if among is not None:
            chosen = chosen.where(_application.c.id.in_(among))
        apps = keyset(chosen, _application.c.id, page).cte()
        made = (
            select(_sum(_hour.c.success + _hour.c.fail).label("attempts"))
            .select_from(_endpoint)
            .join(_hour, _hour.c.endpoint_id == _endpoint.c.id)
            .where(_endpoint.c.org_id == org_id, _endpoint.c.app_id == apps.c.id, *_within(window))
            .lateral()
        )
        statement = select(apps.c.id, apps.c.uid, made.c.attempts).join(made, true()).order_by(apps.c.id)
        rows = (await self._transaction.execute(statement)).all()
        return page_of(rows, page, lambda row: Usage(app_id=row.id, app_uid=row.uid, attempts=row.attempts))

    async def failing(self, org_id: OrgId, *, size: int) -> Sequence[FailingEndpoint]:
        """The failing endpoints, longest failing first."""
        return await failing_endpoints(self._transaction, org_id, size=size)

    async def oldest_due(self, org_id: OrgId) -> datetime | None:
        """Looks at the head of the queue only, as claims do: first attempts and retries have an index each."""
        heads = [
            select(_pending.c.org_id, _pending.c.due_at)
            .where(attempts, _pending.c.due_at <= func.now())
            .order_by(_pending.c.due_at)
            .limit(OLDEST_LOOKED_AT)
            .subquery()
            for attempts in (_pending.c.attempts == 0, _pending.c.attempts > 0)
        ]
        oldest = [select(func.min(head.c.due_at)).where(head.c.org_id == org_id).scalar_subquery() for head in heads]
        found: datetime | None = (await self._transaction.execute(select(func.least(*oldest)))).scalar_one()
        return found

    async def condition(self, endpoint: Endpoint) -> EndpointCondition:
        """How the endpoint stands now."""
        return await condition_of(self._transaction, endpoint)

    async def subscriptions(self, org_id: OrgId, page: PageRequest) -> Page[Subscriptions]:
        """The event types that the endpoints of each application want, by application id."""
        chosen = select(_application.c.id).where(_application.c.org_id == org_id, _application.c.deleted_at.is_(None))
        apps = keyset(chosen, _application.c.id, page).cte()
        live = and_(_endpoint.c.org_id == org_id, _endpoint.c.app_id == apps.c.id, _endpoint.c.deleted_at.is_(None))
        names = select(func.unnest(_endpoint.c.event_types).label("name")).where(live).correlate(apps).subquery()
        gathered = select(func.array_agg(names.c.name.distinct()).label("names")).lateral()
        catches_all = select(_endpoint.c.id).where(live, _endpoint.c.event_types.is_(None)).exists()
        statement = (
            select(apps.c.id, gathered.c.names, catches_all.label("catches_all"))
            .join(gathered, true())
            .order_by(apps.c.id)
        )
        rows = (await self._transaction.execute(statement)).all()
        return page_of(
            rows,
            page,
            lambda row: Subscriptions(
                app_id=row.id, event_types=tuple(sorted(row.names or ())), catches_all=row.catches_all
            ),
        )


def _sum(column: ColumnElement[int]) -> ColumnElement[int]:
    return func.coalesce(func.sum(column), 0)


def _within(window: Window, table: Table = _hour) -> tuple[Any, ...]:
    return table.c.hour >= _hour_of(window.since), table.c.hour <= _hour_of(window.until)


def _hour_of(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)
