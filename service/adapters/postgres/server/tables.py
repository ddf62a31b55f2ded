"""The tables as the repositories use them. The migrations define types, indexes and partitions.

`message`, `message_label`, `settled_delivery` and `attempt` are range-partitioned by week on time-ordered ids, so that
old weeks are dropped whole. `pending_delivery` has only pending deliveries: a row is inserted in its message's own
commit and deleted when it is final. A leased row's `due_at` is the lease's end, so an expired lease is due again.
"""

from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    DateTime,
    Double,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    cast,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import UserDefinedType


class WrittenJson(UserDefinedType[str]):
    """JSON that is read as the text that was written."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """The type's name."""
        return "JSON"

    def column_expression(self, colexpr: ColumnElement[Any]) -> ColumnElement[Any]:
        """Read as text, since the driver would parse JSON."""
        return cast(colexpr, Text)


metadata = MetaData()

application = Table(
    "application",
    metadata,
    Column("id", Text, primary_key=True),
    Column("org_id", Text),
    Column("uid", Text),
    Column("name", Text),
    Column("throttle_rate", Integer),
    Column("metadata", JSONB),
    Column("created_at", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True)),
    Column("deleted_at", DateTime(timezone=True)),
)

endpoint = Table(
    "endpoint",
    metadata,
    Column("id", Text, primary_key=True),
    Column("org_id", Text),
    Column("app_id", Text),
    Column("uid", Text),
    Column("url", Text),
    Column("description", Text),
    Column("version", Integer),
    Column("disabled", Boolean),
    Column("disabled_reason", Text),
    Column("disabled_at", DateTime(timezone=True)),
    Column("throttle_rate", Integer),
    Column("event_types", ARRAY(Text)),
    Column("channels", ARRAY(Text)),
    Column("metadata", JSONB),
    Column("secrets", LargeBinary),  # sealed by the vault
    Column("headers", LargeBinary),  # sealed by the vault
    Column("first_failure_at", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True)),
    Column("deleted_at", DateTime(timezone=True)),
)


event_type = Table(
    "event_type",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("description", Text),
    Column("archived", Boolean),
    Column("deprecated", Boolean),
    Column("schemas", WrittenJson),
    Column("feature_flags", ARRAY(Text)),
    Column("group_name", Text),
    Column("validate_payloads", Boolean),
    Column("created_at", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True)),
)

message = Table(
    "message",
    metadata,
    Column("id", Text, primary_key=True),
    Column("org_id", Text),
    Column("app_id", Text),
    Column("event_id", Text),
    Column("event_type", Text),
    Column("payload", LargeBinary),
    Column("channels", ARRAY(Text)),
    Column("tags", ARRAY(Text)),
    Column("deliver_at", DateTime(timezone=True)),
    Column("expires_at", DateTime(timezone=True)),
    Column("correlation_id", Text),
    Column("traceparent", Text),
    Column("content_type", Text),
)

# The channels and tags of messages, as `channel:...` and `tag:...`. A trigger of `message` fills it.
message_label = Table(
    "message_label",
    metadata,
    Column("app_id", Text, primary_key=True),
    Column("label", Text, primary_key=True),
    Column("message_id", Text, primary_key=True),
)

event_id = Table(
    "event_id",
    metadata,
    Column("app_id", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("message_id", Text),
)

pending_delivery = Table(
    "pending_delivery",
    metadata,
    Column("endpoint_id", Text, primary_key=True),
    Column("message_id", Text, primary_key=True),
    Column("resend", Text, primary_key=True),  # '' for the scheduled delivery, an id of its own for a manual one
    Column("org_id", Text),
    Column("app_id", Text),
    Column("attempts", SmallInteger),
    Column("due_at", DateTime(timezone=True)),
    Column("lease", Text),
    Column("previous", Text),  # the traceparent of the attempt before
    Column("throttled", Boolean),  # claimed by `claim_throttled` only; `due_at` then means when to check it again
    Column("delivered", Boolean),  # another attempt succeeded while this delivery was leased
    Column("again", Boolean),  # resent although delivered before: only its own success ends it
)

# When the next delivery of a throttled endpoint or application (`id`) may leave.
throttle = Table(
    "throttle",
    metadata,
    Column("id", Text, primary_key=True),
    Column("next_at", DateTime(timezone=True)),
)

# Until when an endpoint rests, and how many rests it has had in a row.
endpoint_rest = Table(
    "endpoint_rest",
    metadata,
    Column("endpoint_id", Text, primary_key=True),
    Column("rests", SmallInteger),
    Column("until", DateTime(timezone=True)),
)

settled_delivery = Table(
    "settled_delivery",
    metadata,
    Column("message_id", Text, primary_key=True),
    Column("endpoint_id", Text, primary_key=True),
    Column("org_id", Text),
    Column("app_id", Text),
    Column("status", SmallInteger),
    Column("attempts", SmallInteger),
)

attempt = Table(
    "attempt",
    metadata,
    Column("id", Text, primary_key=True),
    Column("org_id", Text),
    Column("app_id", Text),
    Column("message_id", Text),
    Column("endpoint_id", Text),
    Column("event_type", Text),
    Column("channels", ARRAY(Text)),
    Column("url", Text),
    Column("status", SmallInteger),
    Column("response", Text),
    Column("response_status_code", SmallInteger),
    Column("duration_ms", Integer),
    Column("trigger", SmallInteger),
    Column("number", SmallInteger),
    Column("error_type", Text),
    Column("trace_id", Text),
    Column("span_id", Text),
    Column("request_headers", Text),  # JSON, pairs of name and value
    Column("response_headers", Text),
)

idempotency_key = Table(
    "idempotency_key",
    metadata,
    Column("scope", LargeBinary, primary_key=True),
    Column("fingerprint", LargeBinary),
    Column("message_id", Text),
    Column("status", SmallInteger),
    Column("body", LargeBinary),
    Column("created_at", DateTime(timezone=True)),
    Column("org_id", Text),  # null for the key of a message, whose organisation is the message's
)

background_task = Table(
    "background_task",
    metadata,
    Column("id", Text, primary_key=True),
    Column("org_id", Text),
    Column("app_id", Text),
    Column("kind", Text),
    Column("status", Text),
    Column("params", JSONB),
    Column("cursor", Text),
    Column("data", JSONB),
    Column("failures", SmallInteger),
    Column("due_at", DateTime(timezone=True)),
    Column("lease", Text),
    Column("created_at", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True)),
)

# Hourly counts, written as attempts are settled. `part` spreads an endpoint's row, so that processes do not block.
endpoint_hour = Table(
    "endpoint_hour",
    metadata,
    Column("endpoint_id", Text, primary_key=True),
    Column("hour", DateTime(timezone=True), primary_key=True),
    Column("part", SmallInteger, primary_key=True),
    Column("org_id", Text),
    Column("app_id", Text),
    Column("success", Integer),
    Column("fail", Integer),
    Column("canceled", Integer),
    Column("exhausted", Integer),
    Column("milliseconds", BigInteger),  # that its attempts took together
)

# The same for an organisation and for each of its applications, with what was accepted. `owner` is the id of either.
activity_hour = Table(
    "activity_hour",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("hour", DateTime(timezone=True), primary_key=True),
    Column("part", SmallInteger, primary_key=True),
    Column("org_id", Text),
    Column("accepted", Integer),
    Column("success", Integer),
    Column("fail", Integer),
    Column("exhausted", Integer),
    Column("canceled", Integer),
)

revocation = Table(
    "revocation",
    metadata,
    Column("id", Text, primary_key=True),
    Column("org_id", Text),
    Column("app_id", Text),  # null for a token of the organisation itself
    Column("token_id", Text),  # this token alone; null for any
    Column("session_id", Text),  # tokens of this session alone; null for any
    Column("issued_before", DateTime(timezone=True)),
    Column("effective_at", DateTime(timezone=True)),
    Column("forgettable_at", DateTime(timezone=True)),
    Column("written_at", DateTime(timezone=True)),
)

organisation_token = Table(
    "organisation_token",
    metadata,
    Column("id", Text, primary_key=True),
    Column("org_id", Text),
    Column("name", Text),
    Column("role", Text),
    Column("digest", Text),
    Column("created_at", DateTime(timezone=True)),
    Column("expires_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
)

console_session = Table(
    "console_session",
    metadata,
    Column("digest", LargeBinary, primary_key=True),  # SHA-256 of the secret in the browser's cookie
    Column("org_id", Text),
    Column("app_id", Text),  # null for a session of the organisation itself
    Column("role", Text),
    Column("capabilities", ARRAY(Text)),
    Column("feature_flags", ARRAY(Text)),  # null for all
    Column("token_id", Text),  # of the token that it was opened with, which may be revoked meanwhile
    Column("token_session_id", Text),
    Column("token_issued_at", Double),
    Column("token_granted_at", Double),
    Column("token_expires_at", Double),
    Column("created_at", DateTime(timezone=True)),
    Column("expires_at", DateTime(timezone=True)),
)

portal_brand = Table(
    "portal_brand",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("name", Text),
    Column("logo_url", Text),
    Column("accent", Text),  # as #rrggbb
    Column("updated_at", DateTime(timezone=True)),
)

source = Table(
    "source",
    metadata,
    Column("id", Text, primary_key=True),
    Column("org_id", Text),
    Column("name", Text),
    Column("kind", Text),
    Column("place", JSONB),  # what may be shown of its origin
    Column("sealed", LargeBinary),  # the whole origin
    Column("application", Text),
    Column("event_type", Text),
    Column("enabled", Boolean),
    Column("created_at", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True)),
)

source_reader = Table(
    "source_reader",
    metadata,
    Column("source_id", Text, primary_key=True),
    Column("reader", Text, primary_key=True),  # a process
    Column("state", Text),
    Column("reason", Text),
    Column("lag", BigInteger),
    Column("seen_at", DateTime(timezone=True)),
)

source_fault = Table(
    "source_fault",
    metadata,
    Column("id", Text, primary_key=True),
    Column("source_id", Text),
    Column("position", Text),
    Column("application", Text),
    Column("event_type", Text),
    Column("event_id", Text),
    Column("code", Text),
    Column("detail", Text),
    Column("created_at", DateTime(timezone=True)),
)

audit_event = Table(
    "audit_event",
    metadata,
    Column("id", Text, primary_key=True),
    Column("org_id", Text),
    Column("action", Text),
    Column("actor", Text),
    Column("role", Text),
    Column("token_id", Text),
    Column("app_id", Text),
    Column("target", Text),
    Column("correlation_id", Text),
)

message_import = Table(
    "message_import",
    metadata,
    Column("id", Text, primary_key=True),
    Column("org_id", Text),
    Column("app_id", Text),
    Column("file_id", Text),
    Column("sending", Text),
    Column("status", Text),
    Column("lines", BigInteger),
    Column("accepted", BigInteger),
    Column("repeated", BigInteger),
    Column("refused", BigInteger),
    Column("created_at", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True)),
)

message_import_fault = Table(
    "message_import_fault",
    metadata,
    Column("import_id", Text, primary_key=True),
    Column("line", BigInteger, primary_key=True),
    Column("code", Text),
    Column("detail", Text),
)

# Which database each organisation lives in, by name. Filled where several are configured, in the one that is home.
organisation_home = Table(
    "organisation_home",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("database", Text),
    Column("placed_at", DateTime(timezone=True)),
)

# Whether an organisation lives in this database; see `residence.py`.
organisation = Table(
    "organisation",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("residence", Text),
    Column("since", DateTime(timezone=True)),
    Column("mover", BigInteger),  # the number of who moves it, from here or to here
)

# An organisation's move to another database, in the one that is home: at most one row.
tenant_move = Table(
    "tenant_move",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("source", Text),
    Column("target", Text),
    Column("step", Text),
    Column("cancelled", Boolean),
    Column("cursor", Text),
    Column("copied", BigInteger),
    Column("mover", BigInteger),
    Column("started_at", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True)),
)

# What has changed of an organisation that is being copied, by primary key. Triggers fill it.
tenant_change = Table(
    "tenant_change",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("org_id", Text),
    Column("belonging", Text),
    Column("key", ARRAY(Text)),
)

# The messages of an application that has, or had, a destination: `head` is the position of the last one. Without
# `active` no pushed destination is behind it.
stream = Table(
    "stream",
    metadata,
    Column("app_id", Text, primary_key=True),
    Column("head", BigInteger),
    Column("active", Boolean),
)

# Positions are in the order of commit, without gaps; `created_at` is when the position was given.
stream_message = Table(
    "stream_message",
    metadata,
    Column("app_id", Text, primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("message_id", Text),
    Column("event_type", Text),
    Column("channels", ARRAY(Text)),
    Column("created_at", DateTime(timezone=True)),
)

destination = Table(
    "destination",
    metadata,
    Column("id", Text, primary_key=True),
    Column("org_id", Text),
    Column("app_id", Text),
    Column("uid", Text),
    Column("kind", Text),
    Column("sealed", LargeBinary),  # the sink, sealed by the vault
    Column("secrets", LargeBinary),  # that sign, sealed by the vault; null for kinds without signatures
    Column("status", Text),
    Column("batch_size", Integer),
    Column("max_wait_secs", Integer),
    Column("event_types", ARRAY(Text)),
    Column("channels", ARRAY(Text)),
    Column("metadata", JSONB),
    Column("position", BigInteger),  # everything up to it is done
    Column("ahead", ARRAY(BigInteger)),  # done beyond it, where keys go side by side
    Column("attempts", Integer),  # in a row that failed
    Column("first_failed_at", DateTime(timezone=True)),  # since the last success
    Column("due_at", DateTime(timezone=True)),
    Column("failure_reason", Text),
    Column("lease", Text),
    Column("lease_until", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True)),
)

# What a consumer of a polled destination has read: `position` for good, `polled` with its last poll. One that
# `acknowledges` does so by iterators.
destination_consumer = Table(
    "destination_consumer",
    metadata,
    Column("destination_id", Text, primary_key=True),
    Column("consumer_id", Text, primary_key=True),
    Column("position", BigInteger),
    Column("polled", BigInteger),
    Column("acknowledges", Boolean),
    Column("updated_at", DateTime(timezone=True)),
)
