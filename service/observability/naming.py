"""Puts the ids that a request is about (organisation, application, message) on its span and its later log lines."""

from opentelemetry import trace
from structlog.contextvars import bind_contextvars


def name(**ids: str) -> None:
    """Add ids to the log lines that follow, under these keys, and to the current span: `app_id` becomes
    `relevo.app.id`. Only our own ids, never text that customers write."""
    bind_contextvars(**ids)
    span = trace.get_current_span()
    if span.is_recording():
        span.set_attributes({f"relevo.{key.replace('_', '.')}": value for key, value in ids.items()})
