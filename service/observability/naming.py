"""What a request turns out to be about, told where everybody looks for it: on its span and on its further lines."""

from opentelemetry import trace
from structlog.contextvars import bind_contextvars


def name(**ids: str) -> None:
    """Ids by the keys that lines have; on the span `app_id` is `relevo.app.id`. Nothing that customers write."""
    bind_contextvars(**ids)
    trace.get_current_span().set_attributes({f"relevo.{key.replace('_', '.')}": value for key, value in ids.items()})
