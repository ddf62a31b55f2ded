"""Relevo's tables as the ORM maps them, as far as accepting a message touches them."""

from datetime import datetime

from sqlalchemy import ARRAY, DateTime, SmallInteger, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Row(DeclarativeBase):
    """A row of any of them."""

    type_annotation_map = {datetime: DateTime(timezone=True), list[str]: ARRAY(Text)}  # noqa: RUF012 - as it is read


class Application(Row):
    """An application."""

    __tablename__ = "application"
    id: Mapped[str] = mapped_column(primary_key=True)
    org_id: Mapped[str]
    uid: Mapped[str | None]
    name: Mapped[str]
    deleted_at: Mapped[datetime | None]


class Endpoint(Row):
    """An endpoint."""

    __tablename__ = "endpoint"
    id: Mapped[str] = mapped_column(primary_key=True)
    org_id: Mapped[str]
    app_id: Mapped[str]
    url: Mapped[str]
    disabled: Mapped[bool]
    event_types: Mapped[list[str] | None]
    channels: Mapped[list[str] | None]
    deleted_at: Mapped[datetime | None]


class Message(Row):
    """A message."""

    __tablename__ = "message"
    id: Mapped[str] = mapped_column(primary_key=True)
    org_id: Mapped[str]
    app_id: Mapped[str]
    event_id: Mapped[str | None]
    event_type: Mapped[str]
    payload: Mapped[bytes]
    channels: Mapped[list[str] | None]
    tags: Mapped[list[str] | None]
    deliver_at: Mapped[datetime | None]
    expires_at: Mapped[datetime]
    correlation_id: Mapped[str]


class PendingDelivery(Row):
    """A message owed to an endpoint."""

    __tablename__ = "pending_delivery"
    endpoint_id: Mapped[str] = mapped_column(primary_key=True)
    message_id: Mapped[str] = mapped_column(primary_key=True)
    resend: Mapped[str] = mapped_column(primary_key=True)
    org_id: Mapped[str]
    app_id: Mapped[str]
    attempts: Mapped[int] = mapped_column(SmallInteger)
    due_at: Mapped[datetime]
