"""What comes of attempts, as tests say it; what a test does not name does not matter to it."""

from datetime import timedelta

from service.adapters.destinations.http.outcomes import answered as http_answered
from service.domain.outcomes import ErrorType, Exchange, Failed, Outcome

MOMENT = timedelta(milliseconds=12)


def answered(status: int, *, text: str = "", retry_after: str | None = None, duration: timedelta = MOMENT) -> Outcome:
    """What comes of an HTTP answer with this status."""
    headers = [] if retry_after is None else [("retry-after", retry_after)]
    return http_answered(status, headers, text.encode(), sent=(), duration=duration)


def failed(error_type: ErrorType, *, text: str = "It failed.", duration: timedelta = MOMENT) -> Failed:
    """What comes of a call without an answer."""
    return Failed(exchange=Exchange(duration=duration, text=text), error_type=error_type)
