"""What belongs to an organisation: the tables, which of their rows are its own, and in which order they are read.

A table that has a row of an organisation is here, or among those that stay; a test compares that with the schema.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from service.adapters.postgres.server.residence import ASIDE
from service.domain.operational_webhooks import OPERATIONS

# Conditions on a row `c`. `{org}` is the organisation. Operational webhooks are messages of an application that belongs
# to another organisation, ours, and has the organisation as its uid.
_APPLICATION = f"a.org_id = '{{org}}' OR a.org_id = '{OPERATIONS}' AND a.uid = '{{org}}'"
_OF_ORGANISATION = "c.org_id = '{org}'"
_OF_APPLICATION = f"EXISTS (SELECT FROM application a WHERE a.id = c.{{column}} AND ({_APPLICATION}))"
_OF_ENDPOINT = (
    "EXISTS (SELECT FROM endpoint e JOIN application a ON a.id = e.app_id "
    f"WHERE e.id = c.{{column}} AND ({_APPLICATION}))"
)
_OF_DESTINATION = (
    "EXISTS (SELECT FROM destination d JOIN application a ON a.id = d.app_id "
    f"WHERE d.id = c.destination_id AND ({_APPLICATION}))"
)
_OF_SOURCE = "EXISTS (SELECT FROM source s WHERE s.id = c.source_id AND s.org_id = '{org}')"
_OF_IMPORT = "EXISTS (SELECT FROM message_import i WHERE i.id = c.import_id AND i.org_id = '{org}')"

# The owners of rows, by kind, in the order in which they are gone through.
_APPLICATIONS = f"SELECT a.id FROM application a WHERE {_APPLICATION}"
_ENDPOINTS = f"SELECT e.id FROM endpoint e WHERE e.app_id IN ({_APPLICATIONS})"
OWNERS: Mapping[str, str] = MappingProxyType(
    {
        "application": f"{_APPLICATIONS} ORDER BY 1",
        "organisation or application": f"SELECT '{{org}}' UNION {_APPLICATIONS} ORDER BY 1",
        "endpoint": f"{_ENDPOINTS} ORDER BY 1",
        "application or endpoint": f"{_APPLICATIONS} UNION {_ENDPOINTS} ORDER BY 1",
        "destination": f"SELECT d.id FROM destination d WHERE d.app_id IN ({_APPLICATIONS}) ORDER BY 1",
        "source": "SELECT s.id FROM source s WHERE s.org_id = '{org}' ORDER BY 1",
        "import": "SELECT i.id FROM message_import i WHERE i.org_id = '{org}' ORDER BY 1",
    }
)

_SET_ASIDE = f"CASE WHEN {{due}} < now() + {ASIDE} / 2 THEN {{due}} + {ASIDE} ELSE {{due}} END"


@dataclass(frozen=True, slots=True, kw_only=True)
class Belonging:
    """A table's rows that are an organisation's.

    `mine` is the condition on a row `c`, `key` the primary key. Rows are read by `order`: those of one owner after the
    other, if `owners` of that kind are what `owner` has. `arrives` has expressions of columns that are not copied as
    they are; `freed` is a column with a unique index that is not the key. What is not `copied` is only removed, since
    a trigger makes it again.
    """

    table: str
    mine: str
    key: Sequence[str]
    order: Sequence[str]
    owner: str | None = None
    owners: str | None = None
    rows: int = 2000  # at once
    arrives: Mapping[str, str] = field(default_factory=dict)
    freed: str | None = None
    replaced: bool = True  # by what has changed; else rows never change
    copied: bool = True


def _of(
    table: str,
    mine: str,
    *key: str,
    owned: tuple[str, str] | None = None,
    order: Sequence[str] | None = None,
    **more: object,
) -> Belonging:
    owner, owners = owned or (None, None)
    inferred = [column for column in key if column != owner]
    return Belonging(
        table=table,
        mine=mine,
        key=key,
        order=inferred if order is None else order,
        owner=owner,
        owners=owners,
        **more,  # type: ignore[arg-type]  # of Belonging
    )


def _app(column: str = "app_id") -> str:
    return _OF_APPLICATION.replace("{column}", column)


def _endpoint(column: str = "endpoint_id") -> str:
    return _OF_ENDPOINT.replace("{column}", column)


_OF_APP, _OF_ENDPOINTS = ("app_id", "application"), ("endpoint_id", "endpoint")
_OF_DESTINATIONS = ("destination_id", "destination")

# Parents first.
BELONGINGS: Sequence[Belonging] = (
    _of("application", _APPLICATION.replace("a.", "c."), "id", freed="uid"),
    _of("event_type", _OF_ORGANISATION, "org_id", "name", order=["name"]),
    _of("organisation_token", _OF_ORGANISATION, "id"),
    _of("console_session", _OF_ORGANISATION, "digest"),
    _of("portal_brand", _OF_ORGANISATION, "org_id"),
    _of("endpoint", _app(), "id", owned=_OF_APP, freed="uid"),
    _of("message", _app(), "id", owned=_OF_APP, rows=200),
    _of("message_label", _app(), "app_id", "label", "message_id", owned=_OF_APP, copied=False),
    _of("event_id", _app(), "app_id", "event_id", owned=_OF_APP),
    _of(
        "idempotency_key",
        f"({_OF_ORGANISATION} OR c.org_id IS NULL AND EXISTS "
        "(SELECT FROM message m WHERE m.id = c.message_id AND m.org_id = '{org}'))",
        "scope",
        order=["created_at", "scope"],
    ),
    _of(
        "pending_delivery",
        _app(),
        "endpoint_id",
        "message_id",
        "resend",
        owned=_OF_ENDPOINTS,
        arrives={"due_at": _SET_ASIDE.format(due="due_at"), "lease": "NULL", "throttled": "false"},
    ),
    _of("throttle", f"({_app('id')} OR {_endpoint('id')})", "id", owned=("id", "application or endpoint")),
    _of("endpoint_rest", _endpoint(), "endpoint_id", owned=_OF_ENDPOINTS),
    _of("settled_delivery", _app(), "message_id", "endpoint_id", owned=_OF_ENDPOINTS),
    _of("attempt", _app(), "id", owned=_OF_ENDPOINTS),
    _of("endpoint_hour", _app(), "endpoint_id", "hour", "part", owned=_OF_ENDPOINTS),
    _of(
        "activity_hour",
        f"(c.owner = '{{org}}' OR {_app('owner')})",
        "owner",
        "hour",
        "part",
        owned=("owner", "organisation or application"),
    ),
    _of("stream", _app(), "app_id", owned=_OF_APP),
    _of("stream_message", _app(), "app_id", "position", owned=_OF_APP),
    _of(
        "destination",
        _app(),
        "id",
        owned=_OF_APP,
        freed="uid",
        arrives={"due_at": _SET_ASIDE.format(due="due_at"), "lease": "NULL", "lease_until": "NULL"},
    ),
    _of(
        "destination_consumer",
        _OF_DESTINATION,
        "destination_id",
        "consumer_id",
        owned=_OF_DESTINATIONS,
    ),
    _of(
        "background_task",
        f"({_OF_ORGANISATION} OR {_app()})",
        "id",
        arrives={"due_at": _SET_ASIDE.format(due="due_at"), "lease": "NULL"},
    ),
    _of("message_import", _app(), "id", owned=_OF_APP),
    _of("message_import_fault", _OF_IMPORT, "import_id", "line", owned=("import_id", "import")),
    _of("source", _OF_ORGANISATION, "id"),
    _of("source_fault", _OF_SOURCE, "id", owned=("source_id", "source")),
    _of("audit_event", _OF_ORGANISATION, "id", replaced=False),
)

# Of all organisations, in the database that is home; or of processes, which tell it again.
STAYING = frozenset(
    {"revocation", "organisation_home", "organisation", "tenant_move", "tenant_change", "source_reader"}
)
