"""A log line and a metric point for each connection's bytes that were refused before they became a request."""

import structlog

from service.observability.metrics import Metrics


class RefusedRequests:
    """Called by the protocol layer for each refusal."""

    def __init__(self, metrics: Metrics | None = None) -> None:
        self._metrics = metrics
        self._log = structlog.get_logger("relevo.request")

    def __call__(self, *, status: int, detail: str, request_id: str, scheme: str) -> None:
        """The answer is written, and the connection will be closed."""
        if self._metrics is not None:
            self._metrics.request_refused(scheme=scheme, status=status)
        self._log.info("request.refused", status=status, reason=detail, correlation_id=request_id)
