"""The telemetry of background tasks: a trace for each batch."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, StatusCode

from service.domain.background_tasks import BackgroundTask
from service.observability.telemetry import Telemetry


class TaskTelemetry:
    """Makes the spans of background tasks."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._tracer = telemetry.tracer

    @contextmanager
    def batch(self, task: BackgroundTask) -> Iterator[None]:
        """The CONSUMER span of one batch. An error is recorded by its class alone."""
        span = self._tracer.start_span(
            "process background task",
            context=Context(),
            kind=SpanKind.CONSUMER,
            attributes={"relevo.task.id": task.id, "relevo.task.kind": task.kind.value, "relevo.org.id": task.org_id},
        )
        try:
            with trace.use_span(span, end_on_exit=False, record_exception=False, set_status_on_exception=False):
                yield
        except Exception as error:
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(StatusCode.ERROR)
            raise
        finally:
            span.end()
