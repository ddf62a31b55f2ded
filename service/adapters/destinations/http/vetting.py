"""Whether a URL is worth keeping: one that can never be called is refused when it is said, not at each attempt."""

import httpx
import structlog

from service.adapters.destinations.http.egress import Egress, literal
from service.domain.addresses import why_nowhere
from service.domain.deliveries import NO_ANSWER, ErrorType

SETTING = "RELEVO_EGRESS_ALLOW"

_log = structlog.stdlib.get_logger("relevo.egress")


def why_refused(url: str, *, egress: Egress) -> str | None:
    """What is wrong with the URL, for whoever said it; None when it may work.

    A name is not looked up: where it leads is judged at each attempt.
    """
    try:
        target = httpx.URL(url)
        host = target.raw_host.decode("ascii")
    except (httpx.InvalidURL, ValueError):
        return "The URL cannot be requested."
    if literal(host) is None:
        return why_nowhere(host, target.port)
    if not egress.permits_host(host):
        tell_operator(host)
        return f"{host} is not an address that may be called: it is private or reserved."
    return why_nowhere("address", target.port)


def tell_operator(host: str) -> None:
    """Customers are not told of settings, who could change nothing; operators find the one that opens the way."""
    _log.warning("egress.refused", host=host, reason=NO_ANSWER[ErrorType.EGRESS], setting=SETTING)
